package usage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Answer is an upstream's answer as one JSON object.
type Answer struct {
	JSON    []byte // the object; nil if there is none to show: no body, no JSON, a kind of which nothing can be put together
	Partial bool   // a piece is missing: the stream broke off, or capture left something out
	Events  int64  // of a stream: how many of its events JSON stands for
}

// Assemble returns the event's answer: as it came if it is JSON, and a stream as the same call would have answered without one. Of
// a stream whose middle capture left out, the text ends where the gap begins; what stands after the gap is used as far as it says
// how the answer ended. JSON that is cut is returned closed: with the strings, lists and objects ended that were open.
func Assemble(e *llmproxy.Event) (a Answer, err error) {
	if e.Response.Body == nil {
		return Answer{}, nil
	}
	defer func() { // decoders of others read hostile bytes here
		if p := recover(); p != nil {
			a, err = Answer{}, fmt.Errorf("assemble the answer of event %s: panic: %v", e.ID, p)
		}
	}()
	body, err := plain(e.Response.Encoding, e.Response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("assemble the answer of event %s: %w", e.ID, err)
	}
	media := mediaType(e.Response.ContentType)
	if e.Stream || media == "text/event-stream" {
		a, err = assembleStream(e.UsageKind, body)
		if err != nil {
			return Answer{}, fmt.Errorf("assemble the answer of event %s: %w", e.ID, err)
		}
		a.Partial = a.Partial || e.Outcome != llmproxy.Complete
		return a, nil
	}
	if !isJSON(media) {
		return Answer{}, nil
	}
	doc, cut := Whole(body)
	return Answer{JSON: doc, Partial: cut}, nil
}

// Whole returns a body that is a JSON object; one that is cut is closed, which cut tells. It is nil if the body is no JSON object.
func Whole(body *llmproxy.Body) (doc []byte, cut bool) {
	if !body.Truncated() {
		doc = slices.Concat(body.Head, body.Tail)
		if json.Valid(doc) {
			return objectOrNil(doc), false
		}
		return objectOrNil(closeJSON(doc)), true
	}
	return objectOrNil(closeJSON(body.Head)), true
}

func objectOrNil(doc []byte) []byte {
	if doc = bytes.TrimSpace(doc); len(doc) == 0 || doc[0] != '{' || !json.Valid(doc) {
		return nil
	}
	return doc
}

// assembler puts the events of one kind of stream together.
type assembler interface {
	// add takes the next event. Late is set for events that stand behind a gap.
	add(name string, data []byte, late bool) error
	// answer returns the object, nil if there is none, and whether the stream said that it has ended.
	answer() (object any, ended bool)
}

func assemblerOf(kind string) assembler {
	switch kind {
	case "openai-chat", "openai-completions":
		return &chunks{chat: kind == "openai-chat"}
	case "openai-responses":
		return &response{}
	case "anthropic-messages":
		return &message{}
	case "openai-audio":
		return &transcript{}
	}
	return nil
}

func assembleStream(kind string, body *llmproxy.Body) (Answer, error) {
	as := assemblerOf(kind)
	if as == nil {
		return Answer{}, nil
	}
	head, rest := body.Head, body.Tail
	gap := body.Truncated()
	if gap {
		head, rest = head[:lastBoundary(head)], nil
	}
	n, err := feed(as, head, rest, false)
	if err != nil {
		return Answer{}, err
	}
	if gap {
		if _, err := feed(as, body.Tail[nextBoundary(body.Tail):], nil, true); err != nil {
			return Answer{}, err
		}
	}
	object, ended := as.answer()
	if object == nil {
		return Answer{Partial: true, Events: n}, nil
	}
	doc, err := encode(object)
	if err != nil {
		return Answer{}, err
	}
	_, isTerminal := as.(*response) // its last event holds the whole answer, whatever was left out before
	return Answer{JSON: doc, Partial: !ended || gap && !isTerminal, Events: n}, nil
}

// feed gives the events of a stream, which comes in two pieces, to as and returns how many there were.
func feed(as assembler, head, tail []byte, late bool) (int64, error) {
	n := int64(0)
	for event, err := range events(head, tail) {
		if err != nil {
			return n, err
		}
		n++
		if err := as.add(event.name, event.data, late); err != nil {
			return n, err
		}
	}
	return n, nil
}

// boundaries are the ways of writing the empty line that ends an event.
var boundaries = [][]byte{[]byte("\n\n"), []byte("\n\r\n"), []byte("\r\r")}

// lastBoundary is the place behind the last empty line of b: what follows is an event of which a part is missing.
func lastBoundary(b []byte) int {
	last := 0
	for _, line := range boundaries {
		if i := bytes.LastIndex(b, line); i >= 0 {
			last = max(last, i+len(line))
		}
	}
	return last
}

// nextBoundary is the place behind the first empty line of b, its end if there is none.
func nextBoundary(b []byte) int {
	next := len(b)
	for _, line := range boundaries {
		if i := bytes.Index(b, line); i >= 0 {
			next = min(next, i+len(line))
		}
	}
	return next
}

// object is a JSON object whose numbers stay as they were written.
type object = map[string]any

// decode reads an object; nil if data is none, such as [DONE] or what a cut left.
func decode(data []byte) object {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var o object
	if err := d.Decode(&o); err != nil {
		return nil
	}
	return o
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// text is a string that grows; it is JSON's null until something is added.
type text struct {
	b     []byte
	known bool
}

func (t *text) add(s string) { t.b, t.known = append(t.b, s...), true }

// MarshalJSON implements [json.Marshaler].
func (t *text) MarshalJSON() ([]byte, error) {
	if !t.known {
		return []byte("null"), nil
	}
	return encode(string(t.b))
}

// grow adds s to the text that o has under key.
func grow(o object, key, s string) {
	t, ok := o[key].(*text)
	if !ok {
		t = &text{}
		if first, ok := o[key].(string); ok {
			t.add(first)
		}
		o[key] = t
	}
	t.add(s)
}

// indexOf is the place that an event names, -1 if it names none.
func indexOf(o object, key string) int {
	n, ok := o[key].(json.Number)
	if !ok {
		return -1
	}
	i, err := n.Int64()
	if err != nil || i < 0 || i > maxIndex {
		return -1
	}
	return int(i)
}

// maxIndex bounds the memory that a stream can ask for.
const maxIndex = 4096

// at returns the object at place i of list, which grows to it.
func at(list *[]object, i int) object {
	for len(*list) <= i {
		*list = append(*list, nil)
	}
	if (*list)[i] == nil {
		(*list)[i] = object{}
	}
	return (*list)[i]
}

// present leaves out the places of which nothing came.
func present(list []object) []object {
	return slices.DeleteFunc(slices.Clone(list), func(o object) bool { return o == nil })
}

// maxRequest bounds an inflated request; capture keeps 64 KiB of one.
const maxRequest = 1 << 20

// Request returns a request's JSON object; one that capture has cut is closed, which cut tells. It is nil if there is none: no body,
// no JSON object, or a compressed one that is cut.
func Request(m *llmproxy.Message) (doc []byte, cut bool) {
	body := m.Body
	if body == nil {
		return nil, false
	}
	if !isIdentity(m.Encoding) {
		if body.Truncated() {
			return nil, true
		}
		inflated := Inflate(m.Encoding, slices.Concat(body.Head, body.Tail), maxRequest)
		body = &llmproxy.Body{Head: inflated, Size: int64(len(inflated))}
	}
	return Whole(body)
}
