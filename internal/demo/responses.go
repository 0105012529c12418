package demo

import (
	"iter"
	"strings"

	"github.com/tidwall/gjson"
)

type response struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	CreatedAt          int64             `json:"created_at"`
	Status             string            `json:"status"`
	Error              any               `json:"error"`
	IncompleteDetails  any               `json:"incomplete_details"`
	Instructions       any               `json:"instructions"`
	MaxOutputTokens    any               `json:"max_output_tokens"`
	Metadata           map[string]string `json:"metadata"`
	Model              string            `json:"model"`
	Output             []outputItem      `json:"output"`
	ParallelToolCalls  bool              `json:"parallel_tool_calls"`
	PreviousResponseID any               `json:"previous_response_id"`
	Store              bool              `json:"store"`
	Temperature        float64           `json:"temperature"`
	Text               any               `json:"text"`
	ToolChoice         string            `json:"tool_choice"`
	Tools              any               `json:"tools"`
	TopP               float64           `json:"top_p"`
	Truncation         string            `json:"truncation"`
	Usage              *responseUsage    `json:"usage"`
}

type outputItem struct {
	ID        string         `json:"id"`
	Type      string         `json:"type"`
	Status    string         `json:"status"`
	Role      string         `json:"role,omitempty"`
	Content   *[]contentPart `json:"content,omitempty"` // of a message
	CallID    string         `json:"call_id,omitempty"`
	Name      string         `json:"name,omitempty"`
	Arguments *string        `json:"arguments,omitempty"` // of a function call
}

type contentPart struct {
	Type        string `json:"type"`
	Text        string `json:"text"`
	Annotations []any  `json:"annotations"`
	Logprobs    []any  `json:"logprobs"`
}

type responseUsage struct {
	Input        int `json:"input_tokens"`
	InputDetails struct {
		Cached int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	Output        int `json:"output_tokens"`
	OutputDetails struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int `json:"total_tokens"`
}

func outputText(text string) contentPart {
	return contentPart{Type: "output_text", Text: text, Annotations: []any{}, Logprobs: []any{}}
}

func responses(p *provider, c *call) answer {
	q, bad := c.question("model", "input")
	if bad != nil {
		return *bad
	}
	input, instructions := q.Get("input"), q.Get("instructions").Str
	var tool, schema gjson.Result
	items := input.Array()
	answered := input.IsArray() && len(items) > 0 && items[len(items)-1].Get("type").Str == "function_call_output"
	if !answered && q.Get("tool_choice").Str != "none" && q.Get("tools.0.type").Str == "function" {
		tool, schema = q.Get("tools.0.name"), q.Get("tools.0.parameters")
	}
	s := c.answers(lastText(input), tool, schema, 1, q.Get("max_output_tokens").Int())[0]

	id := identifier("resp_demo_", string(c.body))
	r := response{
		ID: id, Object: "response", CreatedAt: p.born, Status: "completed", Instructions: q.Get("instructions").Value(),
		MaxOutputTokens: q.Get("max_output_tokens").Value(), Metadata: map[string]string{}, Model: q.Get("model").Str,
		ParallelToolCalls: true, PreviousResponseID: q.Get("previous_response_id").Value(), Store: false, Temperature: 1,
		Text: map[string]any{"format": map[string]any{"type": "text"}}, ToolChoice: "auto", Tools: []any{}, TopP: 1, Truncation: "disabled",
	}
	if tools := q.Get("tools"); tools.IsArray() {
		r.Tools = tools.Value()
	}
	if s.finish == "length" {
		r.Status, r.IncompleteDetails = "incomplete", map[string]string{"reason": "max_output_tokens"}
	}
	r.Usage = &responseUsage{Input: count(textOf(input)) + count(instructions), Output: s.tokens}
	r.Usage.Total = r.Usage.Input + r.Usage.Output
	r.Output = []outputItem{outputOf(id, s, r.Status)}
	if q.Get("stream").Bool() {
		return stream(r.events(s))
	}
	return object(r)
}

func outputOf(id string, s said, status string) outputItem {
	if s.tool != "" {
		return outputItem{ID: identifier("fc_demo_", id), Type: "function_call", Status: status, CallID: toolID(id, 0), Name: s.tool, Arguments: &s.arguments}
	}
	return outputItem{ID: identifier("msg_demo_", id), Type: "message", Status: status, Role: "assistant", Content: &[]contentPart{outputText(strings.Join(s.parts, ""))}}
}

// responseEvent is any event of a streamed response; each type has its own members.
type responseEvent struct {
	Type           string       `json:"type"`
	SequenceNumber int          `json:"sequence_number"`
	Response       *response    `json:"response,omitempty"`
	ItemID         string       `json:"item_id,omitempty"`
	OutputIndex    *int         `json:"output_index,omitempty"`
	ContentIndex   *int         `json:"content_index,omitempty"`
	Item           *outputItem  `json:"item,omitempty"`
	Part           *contentPart `json:"part,omitempty"`
	Delta          *string      `json:"delta,omitempty"`
	Text           *string      `json:"text,omitempty"`
	Name           string       `json:"name,omitempty"`
	Arguments      *string      `json:"arguments,omitempty"`
	Logprobs       *[]any       `json:"logprobs,omitempty"`
}

// events are the events of the streamed response: it is created, its one item grows piece by piece, and it is complete.
func (r response) events(s said) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		number, zero := 0, 0
		next := func(e responseEvent) bool {
			e.SequenceNumber = number
			number++
			return yield(typed(e.Type, e))
		}
		started := r
		started.Status, started.IncompleteDetails, started.Usage, started.Output = "in_progress", nil, nil, []outputItem{}
		item := r.Output[0]
		empty := item
		empty.Status = "in_progress"
		nothing := ""
		if s.tool != "" {
			empty.Arguments = &nothing
		} else {
			empty.Content = &[]contentPart{}
		}
		if !next(responseEvent{Type: "response.created", Response: &started}) ||
			!next(responseEvent{Type: "response.in_progress", Response: &started}) ||
			!next(responseEvent{Type: "response.output_item.added", OutputIndex: &zero, Item: &empty}) {
			return
		}
		grown := r.text
		if s.tool != "" {
			grown = r.arguments
		}
		if !grown(s, next) || !next(responseEvent{Type: "response.output_item.done", OutputIndex: &zero, Item: &item}) {
			return
		}
		next(responseEvent{Type: "response." + r.Status, Response: &r})
	}
}

// text are the events in which a message grows.
func (r response) text(s said, next func(responseEvent) bool) bool {
	zero, id := 0, r.Output[0].ID
	in := responseEvent{ItemID: id, OutputIndex: &zero, ContentIndex: &zero}
	none, part, whole := outputText(""), (*r.Output[0].Content)[0], (*r.Output[0].Content)[0].Text

	e := in
	e.Type, e.Part = "response.content_part.added", &none
	if !next(e) {
		return false
	}
	for _, piece := range s.parts {
		e := in
		e.Type, e.Delta, e.Logprobs = "response.output_text.delta", &piece, &[]any{}
		if !next(e) {
			return false
		}
	}
	e = in
	e.Type, e.Text, e.Logprobs = "response.output_text.done", &whole, &[]any{}
	if !next(e) {
		return false
	}
	e = in
	e.Type, e.Part = "response.content_part.done", &part
	return next(e)
}

// arguments are the events in which the call of a function grows.
func (r response) arguments(s said, next func(responseEvent) bool) bool {
	zero, id := 0, r.Output[0].ID
	return next(responseEvent{Type: "response.function_call_arguments.delta", ItemID: id, OutputIndex: &zero, Delta: &s.arguments}) &&
		next(responseEvent{Type: "response.function_call_arguments.done", ItemID: id, OutputIndex: &zero, Name: s.tool, Arguments: &s.arguments})
}
