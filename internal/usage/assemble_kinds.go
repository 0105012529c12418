package usage

import (
	"encoding/json"
	"maps"
	"slices"
)

// chunks puts chat completions and completions together: each chunk has the same members, and choices that go on.
type chunks struct {
	chat    bool
	whole   object
	choices []object
	done    bool

	last *plainChunk // the last chunk, if it was plain
}

func (c *chunks) add(_ string, data []byte, late bool) error {
	if string(data) == "[DONE]" {
		c.done = true
		return nil
	}
	if !late && c.addPlain(data) {
		return nil
	}
	return c.addAny(data, late)
}

// addAny takes a chunk, whatever it brings.
func (c *chunks) addAny(data []byte, late bool) error {
	c.last = nil
	chunk := decode(data)
	if chunk == nil || chunk["choices"] == nil && chunk["usage"] == nil {
		return nil // an error, or what is no chunk
	}
	if c.whole == nil {
		c.whole = object{}
	}
	choices, _ := chunk["choices"].([]any)
	for key, value := range chunk {
		switch key {
		case "choices", "obfuscation":
		case "usage":
			if value != nil {
				c.whole[key] = value
			}
		default:
			if old, known := c.whole[key]; !known || old == nil || old == "" {
				c.whole[key] = value
			}
		}
	}
	if c.chat {
		c.whole["object"] = "chat.completion"
	}
	for _, choice := range choices {
		if choice, ok := choice.(object); ok {
			c.addChoice(choice, late)
		}
	}
	return nil
}

func (c *chunks) addChoice(piece object, late bool) {
	i := indexOf(piece, "index")
	if i < 0 {
		return
	}
	choice := at(&c.choices, i)
	choice["index"] = piece["index"]
	delta, _ := piece["delta"].(object)
	if c.chat {
		message, ok := choice["message"].(object)
		if !ok {
			message = object{"role": "assistant", "content": nil}
			choice["message"] = message
		}
		if !late {
			addDelta(message, delta)
		}
	}
	for key, value := range piece {
		switch key {
		case "index", "delta":
		case "text":
			if s, ok := value.(string); ok && !late {
				grow(choice, key, s)
			}
		case "logprobs":
			if !late {
				addValue(choice, key, value)
			}
		default:
			if old, known := choice[key]; !known || old == nil || value != nil {
				choice[key] = value
			}
		}
	}
}

func (c *chunks) answer() (any, bool) {
	if c.whole == nil {
		return nil, false
	}
	ended := c.done
	choices := present(c.choices)
	for _, choice := range choices {
		ended = ended || choice["finish_reason"] != nil
	}
	c.whole["choices"] = choices
	return c.whole, ended
}

// saidOnce are the strings of a delta that come whole, in its first piece.
var saidOnce = []string{"role", "id", "type", "name"}

// addDelta adds the members of a delta: strings go on, lists of pieces with an index are put together by it.
func addDelta(to, delta object) {
	for key, value := range delta {
		if key == "tool_calls" {
			calls, _ := to[key].([]object)
			pieces, _ := value.([]any)
			for _, piece := range pieces {
				piece, ok := piece.(object)
				i := indexOf(piece, "index")
				if !ok || i < 0 {
					continue
				}
				piece = maps.Clone(piece)
				delete(piece, "index")
				addDelta(at(&calls, i), piece)
			}
			if calls != nil {
				to[key] = calls
			}
			continue
		}
		addValue(to, key, value)
	}
}

func addValue(to object, key string, value any) {
	switch value := value.(type) {
	case nil:
		if _, known := to[key]; !known {
			to[key] = nil
		}
	case string:
		if !slices.Contains(saidOnce, key) {
			grow(to, key, value)
		} else if old, known := to[key]; !known || old == nil || old == "" || key == "role" {
			to[key] = value
		}
	case object:
		inner, ok := to[key].(object)
		if !ok {
			inner = object{}
			to[key] = inner
		}
		addDelta(inner, value)
	case []any:
		list, _ := to[key].([]any)
		to[key] = append(list, value...)
	default:
		to[key] = value
	}
}

// response puts an answer of the responses API together. Its last event holds it; without that, it is built from what came.
type response struct {
	terminal object
	created  object
	items    []object
}

func (r *response) add(_ string, data []byte, late bool) error {
	event := decode(data)
	if event == nil {
		return nil
	}
	kind, _ := event["type"].(string)
	if kind == "response.completed" || kind == "response.incomplete" || kind == "response.failed" {
		r.terminal, _ = event["response"].(object)
		return nil
	}
	if late {
		return nil
	}
	if kind == "response.created" {
		r.created, _ = event["response"].(object)
		return nil
	}
	i := indexOf(event, "output_index")
	if i < 0 {
		return nil
	}
	switch kind {
	case "response.output_item.added", "response.output_item.done":
		if item, ok := event["item"].(object); ok {
			at(&r.items, i)
			r.items[i] = item
		}
	case "response.content_part.added":
		if part, ok := event["part"].(object); ok {
			setPart(at(&r.items, i), "content", indexOf(event, "content_index"), part)
		}
	case "response.reasoning_summary_part.added":
		if part, ok := event["part"].(object); ok {
			setPart(at(&r.items, i), "summary", indexOf(event, "summary_index"), part)
		}
	case "response.output_text.delta":
		growPart(at(&r.items, i), "content", indexOf(event, "content_index"), "output_text", "text", event["delta"])
	case "response.refusal.delta":
		growPart(at(&r.items, i), "content", indexOf(event, "content_index"), "refusal", "refusal", event["delta"])
	case "response.reasoning_summary_text.delta":
		growPart(at(&r.items, i), "summary", indexOf(event, "summary_index"), "summary_text", "text", event["delta"])
	case "response.function_call_arguments.delta":
		if s, ok := event["delta"].(string); ok {
			grow(at(&r.items, i), "arguments", s)
		}
	}
	return nil
}

// setPart sets a part of an item's content or summary.
func setPart(item object, list string, i int, part object) {
	if i < 0 {
		return
	}
	parts, _ := item[list].([]any)
	for len(parts) <= i {
		parts = append(parts, object{})
	}
	parts[i] = part
	item[list] = parts
}

// growPart adds to the string that a part of an item has under key. A part that was not begun is begun.
func growPart(item object, list string, i int, kind, key string, delta any) {
	s, ok := delta.(string)
	if !ok || i < 0 {
		return
	}
	parts, _ := item[list].([]any)
	if i >= len(parts) {
		setPart(item, list, i, object{"type": kind})
		parts, _ = item[list].([]any)
	}
	if part, ok := parts[i].(object); ok {
		grow(part, key, s)
	}
}

func (r *response) answer() (any, bool) {
	if r.terminal != nil {
		return r.terminal, true
	}
	if r.created == nil && r.items == nil {
		return nil, false
	}
	whole := object{}
	maps.Copy(whole, r.created)
	whole["output"] = present(r.items)
	return whole, false
}

// message puts an answer of Anthropic's messages API together.
type message struct {
	whole  object
	blocks []object
	inputs []*text // of tool calls, JSON in pieces
	ended  bool
}

func (m *message) add(_ string, data []byte, late bool) error {
	event := decode(data)
	if event == nil {
		return nil
	}
	switch event["type"] {
	case "message_start":
		m.whole, _ = event["message"].(object)
	case "content_block_start":
		if i := indexOf(event, "index"); i >= 0 && !late {
			block, _ := event["content_block"].(object)
			maps.Copy(at(&m.blocks, i), block)
		}
	case "content_block_delta":
		delta, ok := event["delta"].(object)
		if i := indexOf(event, "index"); ok && i >= 0 && !late {
			m.addDelta(i, delta)
		}
	case "message_delta":
		m.end(event)
	case "message_stop":
		m.ended = true
	}
	return nil
}

func (m *message) addDelta(i int, delta object) {
	block := at(&m.blocks, i)
	for key, to := range map[string]string{"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"} {
		if s, ok := delta[to].(string); ok && delta["type"] == key {
			grow(block, to, s)
		}
	}
	switch delta["type"] {
	case "input_json_delta":
		for len(m.inputs) <= i {
			m.inputs = append(m.inputs, nil)
		}
		if m.inputs[i] == nil {
			m.inputs[i] = &text{}
		}
		if s, ok := delta["partial_json"].(string); ok {
			m.inputs[i].add(s)
		}
	case "citations_delta":
		list, _ := block["citations"].([]any)
		block["citations"] = append(list, delta["citation"])
	}
}

// end takes what a message_delta says: why the message ended, and the counts so far.
func (m *message) end(event object) {
	if m.whole == nil {
		m.whole = object{}
	}
	delta, _ := event["delta"].(object)
	maps.Copy(m.whole, delta)
	counts, _ := event["usage"].(object)
	known, ok := m.whole["usage"].(object)
	if !ok {
		known = object{}
	}
	for key, value := range counts {
		if value != nil {
			known[key] = value
		}
	}
	if len(known) > 0 {
		m.whole["usage"] = known
	}
}

func (m *message) answer() (any, bool) {
	if m.whole == nil && m.blocks == nil {
		return nil, false
	}
	if m.whole == nil {
		m.whole = object{}
	}
	for i, input := range m.inputs {
		if input == nil || len(input.b) == 0 {
			continue
		}
		if json.Valid(input.b) {
			m.blocks[i]["input"] = json.RawMessage(input.b)
		} else {
			m.blocks[i]["input"] = input // what there is of it
		}
	}
	m.whole["content"] = present(m.blocks)
	return m.whole, m.ended
}

// transcript takes the text of a transcription, which its last event holds whole.
type transcript struct{ whole object }

func (t *transcript) add(_ string, data []byte, _ bool) error {
	if event := decode(data); event != nil && event["type"] == "transcript.text.done" {
		delete(event, "type")
		t.whole = event
	}
	return nil
}

func (t *transcript) answer() (any, bool) {
	if t.whole == nil {
		return nil, false
	}
	return t.whole, true
}
