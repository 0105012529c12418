package demo

import (
	"iter"
	"strings"

	"github.com/tidwall/gjson"
)

type message struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	Role         string         `json:"role"`
	Model        string         `json:"model"`
	Content      []messageBlock `json:"content"`
	StopReason   *string        `json:"stop_reason"`
	StopSequence *string        `json:"stop_sequence"`
	Usage        messageUsage   `json:"usage"`
}

type messageBlock struct {
	Type  string  `json:"type"`
	Text  *string `json:"text,omitempty"`
	ID    string  `json:"id,omitempty"`
	Name  string  `json:"name,omitempty"`
	Input any     `json:"input,omitempty"`
}

type messageUsage struct {
	Input      int `json:"input_tokens"`
	CacheWrite int `json:"cache_creation_input_tokens"`
	CacheRead  int `json:"cache_read_input_tokens"`
	Output     int `json:"output_tokens"`
}

// messages is Anthropic's endpoint.
func messages(_ *provider, c *call) answer {
	q, bad := c.question("model", "messages", "max_tokens")
	if bad != nil {
		return *bad
	}
	var tool, schema gjson.Result
	all := q.Get("messages").Array()
	if len(all) > 0 && all[len(all)-1].Get("content.0.type").Str != "tool_result" {
		tool, schema = q.Get("tools.0.name"), q.Get("tools.0.input_schema")
	}
	s := c.answers(lastText(q.Get("messages")), tool, schema, 1, q.Get("max_tokens").Int())[0]
	stop := map[string]string{"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}[s.finish]
	m := message{
		ID: identifier("msg_demo_", string(c.body)), Type: "message", Role: "assistant", Model: q.Get("model").Str, StopReason: &stop,
		Usage: messageUsage{Input: messageTokens(q), Output: s.tokens},
	}
	if q.Get("stream").Bool() {
		return stream(m.events(s))
	}
	if s.tool != "" {
		m.Content = []messageBlock{{Type: "tool_use", ID: toolID(m.ID, 0), Name: s.tool, Input: gjson.Parse(s.arguments).Value()}}
	} else {
		m.Content = []messageBlock{{Type: "text", Text: join(s.parts)}}
	}
	return object(m)
}

func messageTokens(q gjson.Result) int {
	return count(textOf(q.Get("messages"))) + count(textOf(q.Get("system")))
}

func countTokens(_ *provider, c *call) answer {
	q, bad := c.question("model", "messages")
	if bad != nil {
		return *bad
	}
	return object(map[string]int{"input_tokens": messageTokens(q)})
}

// events are the events of a streamed message.
func (m message) events(s said) iter.Seq[[]byte] {
	type fields = map[string]any
	return func(yield func([]byte) bool) {
		next := func(kind string, members fields) bool {
			members["type"] = kind
			return yield(typed(kind, members))
		}
		started, stop := m, m.StopReason
		started.Content, started.StopReason, started.Usage.Output = []messageBlock{}, nil, 1
		block := fields{"type": "text", "text": ""}
		delta, pieces := "text_delta", s.parts
		if s.tool != "" {
			block = fields{"type": "tool_use", "id": toolID(m.ID, 0), "name": s.tool, "input": fields{}}
			delta, pieces = "input_json_delta", []string{s.arguments}
		}
		if !next("message_start", fields{"message": started}) || !next("content_block_start", fields{"index": 0, "content_block": block}) || !next("ping", fields{}) {
			return
		}
		member := strings.TrimSuffix(delta, "_delta")
		if s.tool != "" {
			member = "partial_json"
		}
		for _, piece := range pieces {
			if !next("content_block_delta", fields{"index": 0, "delta": fields{"type": delta, member: piece}}) {
				return
			}
		}
		if next("content_block_stop", fields{"index": 0}) &&
			next("message_delta", fields{"delta": fields{"stop_reason": stop, "stop_sequence": nil}, "usage": m.Usage}) {
			next("message_stop", fields{})
		}
	}
}
