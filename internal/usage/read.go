package usage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/tidwall/gjson"
)

// Read fills in the event's Model, Created and Usage from its captured bodies, as far as they are not known yet. Numbers come from
// the answer to a POST that succeeded (2xx), since other answers repeat the usage of work that was counted before; the model comes
// from the answer, else from the request. An event whose UsageKind is "" is left as it is, and so is one whose answer gives no
// numbers: that is no error. An error says why numbers that may be there could not be read: [ErrCut], [ErrBomb], a coding or a kind
// that is not known, damaged data. What could be read before stands. Read bounds its memory by what capture keeps, whatever
// the bodies hold, and keeps nothing of them.
func Read(e *llmproxy.Event) (err error) {
	if e.UsageKind == "" || e.Method != http.MethodPost {
		return nil
	}
	defer func() { // decoders of others read hostile bytes here
		if p := recover(); p != nil {
			err = fmt.Errorf("read usage of event %s: panic: %v", e.ID, p)
		}
	}()
	k := kindOf(e.UsageKind)
	if k == nil {
		return fmt.Errorf("read usage of event %s: there is no kind of usage %q", e.ID, e.UsageKind)
	}
	if e.Usage == nil && e.Status >= 200 && e.Status <= 299 {
		a, readErr := readAnswer(k, e)
		if readErr != nil {
			err = fmt.Errorf("read usage of event %s: %w", e.ID, readErr)
		}
		if k.name == "openai-speech" {
			a.details.Characters = spoken(&e.Request)
		}
		e.Usage = a.counts.usage(k.fields, a.details)
		if e.Model == "" {
			e.Model = a.model
		}
		if e.Created == 0 {
			e.Created = a.created
		}
	}
	if e.Model == "" {
		e.Model = RequestModel(&e.Request)
	}
	return err
}

// answer is what an answer says of itself.
type answer struct {
	model   string
	created int64
	counts  counts
	details llmproxy.UsageDetails
}

func readAnswer(k *kind, e *llmproxy.Event) (answer, error) {
	a := answer{counts: noCounts()}
	body := e.Response.Body
	media := mediaType(e.Response.ContentType)
	stream := e.Stream || media == "text/event-stream"
	if body == nil || !stream && !isJSON(media) {
		return a, nil
	}
	body, err := plain(e.Response.Encoding, body)
	if err != nil {
		return a, err
	}
	if stream {
		return a, a.readStream(k, body)
	}
	a.readJSON(k, body, e.Outcome == llmproxy.Complete)
	return a, nil
}

// readJSON reads an answer that is one JSON object. Where its middle is missing, the end counts: usage and model stand there behind
// data that may be large, and the head is asked for the rest. The end of an answer that is not complete tells nothing: how deep it is
// cannot be known.
func (a *answer) readJSON(k *kind, body *llmproxy.Body, complete bool) {
	if !body.Truncated() {
		doc := body.Head
		if len(body.Tail) > 0 {
			doc = slices.Concat(body.Head, body.Tail)
		}
		a.take(k, members(doc, ""), false)
		return
	}
	if complete {
		a.take(k, lastMembers(body.Tail, ""), false)
	}
	head := members(body.Head, "")
	if a.counts != noCounts() {
		head.usage = gjson.Result{}
	}
	a.take(k, head, false)
}

// found are the members of an object that matter here.
type found struct{ usage, model, created, tier, tools gjson.Result }

// members reads them from doc's member holder, or from doc itself.
func members(doc []byte, holder string) found {
	if holder != "" {
		holder += "."
	}
	f := found{usage: gjson.GetBytes(doc, holder+"usage"), model: gjson.GetBytes(doc, holder+"model")}
	f.created = gjson.GetBytes(doc, holder+"created")
	if !f.created.Exists() {
		f.created = gjson.GetBytes(doc, holder+"created_at")
	}
	f.tier, f.tools = gjson.GetBytes(doc, holder+"service_tier"), gjson.GetBytes(doc, holder+"tool_usage")
	return f
}

// take takes over what was found; a model or time that is known stays.
func (a *answer) take(k *kind, f found, provisional bool) {
	if isWhole(f.usage) && f.usage.IsObject() {
		a.counts.add(k.fields, f.usage, provisional)
		a.addDetails(k.fields, f.usage)
	}
	if f.tools.IsObject() && isWhole(f.tools) {
		setCount(&a.details.Searches, f.tools, "web_search.num_requests")
	}
	a.setTier(f.tier)
	if a.model == "" {
		a.model = modelOf(f.model)
	}
	if n := countOf(f.created); a.created == 0 && n.known() {
		a.created = int64(n)
	}
}

// maxUsage bounds a usage object.
const maxUsage = 64 << 10

// isWhole reports whether a value was not cut: gjson reads what there is of one.
func isWhole(r gjson.Result) bool {
	return r.Raw != "" && len(r.Raw) <= maxUsage && json.Valid([]byte(r.Raw))
}

// maxModel bounds the name of a model.
const maxModel = 256

// modelOf is the name of a model, "" if r is none.
func modelOf(r gjson.Result) string {
	if r.Type != gjson.String || len(r.Str) > maxModel || !isWhole(r) {
		return ""
	}
	return strings.Clone(r.Str)
}

// RequestModel is the model that a request asks for, in JSON or in a form; "" if its captured head does not say.
func RequestModel(m *llmproxy.Message) string {
	if m.Body == nil {
		return ""
	}
	body := m.Body.Head
	if m.Encoding != "" {
		body = Inflate(m.Encoding, body, maxPlain)
	}
	media, params, err := mime.ParseMediaType(m.ContentType)
	if err == nil && media == "multipart/form-data" {
		return formModel(multipart.NewReader(bytes.NewReader(body), params["boundary"]))
	}
	return modelOf(gjson.GetBytes(body, "model"))
}

func formModel(form *multipart.Reader) string {
	for {
		part, err := form.NextRawPart()
		if err != nil {
			return ""
		}
		if part.FormName() != "model" {
			continue
		}
		name, err := io.ReadAll(io.LimitReader(part, maxModel+1))
		if err != nil || len(name) > maxModel {
			return ""
		}
		return string(name)
	}
}

// mediaType is the media type without its parameters, in lower case.
func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// isJSON reports whether a body of this media type may be JSON; one without a type may.
func isJSON(media string) bool {
	return media == "" || media == "application/json" || strings.HasSuffix(media, "+json")
}
