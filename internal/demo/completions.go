package demo

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
)

type textCompletion struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	Choices           []textChoice `json:"choices"`
	SystemFingerprint string       `json:"system_fingerprint"`
	Usage             any          `json:"usage,omitempty"`
}

type textChoice struct {
	Text         string  `json:"text"`
	Index        int     `json:"index"`
	Logprobs     any     `json:"logprobs"`
	FinishReason *string `json:"finish_reason"`
}

type textUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// completions is the older endpoint without messages.
func completions(p *provider, c *call) answer {
	q, bad := c.question("model", "prompt")
	if bad != nil {
		return *bad
	}
	n := 1
	if asked := q.Get("n"); asked.Exists() {
		if n = int(asked.Int()); n < 1 || n > maxChoices {
			return c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_request", fmt.Sprintf("Invalid 'n': want 1 to %d.", maxChoices))
		}
	}
	prompt := textOf(q.Get("prompt"))
	none := q.Get("none")
	choices := c.answers(prompt, none, none, n, q.Get("max_tokens").Int())
	usage := textUsage{Prompt: count(prompt)}
	for _, s := range choices {
		usage.Completion += s.tokens
	}
	usage.Total = usage.Prompt + usage.Completion
	head := textCompletion{
		ID: identifier("cmpl-demo-", string(c.body)), Object: "text_completion", Created: p.born,
		Model: q.Get("model").Str, SystemFingerprint: "fp_demo",
	}
	if q.Get("stream").Bool() {
		return stream(head.chunks(choices, usage, q.Get("stream_options.include_usage").Bool()))
	}
	head.Usage = usage
	for i, s := range choices {
		head.Choices = append(head.Choices, textChoice{Text: *join(s.parts), Index: i, FinishReason: &s.finish})
	}
	return object(head)
}

func (head textCompletion) chunks(choices []said, usage textUsage, includeUsage bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		chunk := head
		if includeUsage {
			chunk.Usage = json.RawMessage("null")
		}
		for i, s := range choices {
			for _, part := range s.parts {
				chunk.Choices = []textChoice{{Text: part, Index: i}}
				if !yield(data(chunk)) {
					return
				}
			}
			chunk.Choices = []textChoice{{Index: i, FinishReason: &s.finish}}
			if !yield(data(chunk)) {
				return
			}
		}
		if includeUsage {
			chunk.Choices, chunk.Usage = []textChoice{}, usage
			if !yield(data(chunk)) {
				return
			}
		}
		yield(done)
	}
}
