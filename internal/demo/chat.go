package demo

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"

	"github.com/tidwall/gjson"
)

// maxChoices is the largest n.
const maxChoices = 128

type chatCompletion struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	Choices           []chatChoice `json:"choices"`
	ServiceTier       string       `json:"service_tier"`
	SystemFingerprint string       `json:"system_fingerprint"`
	Usage             any          `json:"usage,omitempty"` // null in the chunks of a stream that ends with it
}

type chatChoice struct {
	Index        int          `json:"index"`
	Message      *chatMessage `json:"message,omitempty"`
	Delta        *chatDelta   `json:"delta,omitempty"`
	Logprobs     any          `json:"logprobs"`
	FinishReason *string      `json:"finish_reason"`
}

type chatMessage struct {
	Role        string     `json:"role"`
	Content     *string    `json:"content"`
	Refusal     *string    `json:"refusal"`
	ToolCalls   []toolCall `json:"tool_calls,omitempty"`
	Annotations []string   `json:"annotations"`
}

type chatDelta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

type toolCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function calledByName `json:"function"`
}

type calledByName struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type chatUsage struct {
	Prompt            int           `json:"prompt_tokens"`
	Completion        int           `json:"completion_tokens"`
	Total             int           `json:"total_tokens"`
	PromptDetails     promptDetails `json:"prompt_tokens_details"`
	CompletionDetails outputDetails `json:"completion_tokens_details"`
}

type promptDetails struct {
	Cached int `json:"cached_tokens"`
	Audio  int `json:"audio_tokens"`
}

type outputDetails struct {
	Reasoning          int `json:"reasoning_tokens"`
	Audio              int `json:"audio_tokens"`
	AcceptedPrediction int `json:"accepted_prediction_tokens"`
	RejectedPrediction int `json:"rejected_prediction_tokens"`
}

func newChatUsage(prompt, completion int) chatUsage {
	return chatUsage{Prompt: prompt, Completion: completion, Total: prompt + completion}
}

// said is one choice of an answer: text in pieces, or the call of a tool.
type said struct {
	parts     []string
	finish    string
	tool      string
	arguments string
	tokens    int
}

// answers returns the choices of a chat. It calls the first tool, unless the last message is a tool's result or tools are turned off.
func (c *call) answers(question string, tool, schema gjson.Result, n int, limit int64) []said {
	all := make([]said, n)
	for i := range all {
		if tool.Str != "" {
			args := arguments(schema, question)
			all[i] = said{tool: tool.Str, arguments: args, finish: "tool_calls", tokens: count(tool.Str) + count(args)}
			continue
		}
		parts, clipped := clip(c.say(question, i), limit)
		all[i] = said{parts: parts, finish: "stop", tokens: countAll(parts)}
		if clipped {
			all[i].finish = "length"
		}
	}
	return all
}

// countAll is the number of tokens of a text in pieces.
func countAll(parts []string) int {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	return (length + 3) / 4
}

func chat(p *provider, c *call) answer {
	q, bad := c.question("model", "messages")
	if bad != nil {
		return *bad
	}
	all := q.Get("messages").Array()
	if len(all) == 0 {
		return c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_request", "Invalid 'messages': empty array. Expected an array with minimum length 1.")
	}
	n := 1
	if asked := q.Get("n"); asked.Exists() {
		if n = int(asked.Int()); n < 1 || n > maxChoices {
			return c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_request", fmt.Sprintf("Invalid 'n': want 1 to %d.", maxChoices))
		}
	}
	var tool, schema gjson.Result
	if all[len(all)-1].Get("role").Str != "tool" && q.Get("tool_choice").Str != "none" {
		tool, schema = q.Get("tools.0.function.name"), q.Get("tools.0.function.parameters")
	}
	limit := max(q.Get("max_completion_tokens").Int(), q.Get("max_tokens").Int())
	choices := c.answers(lastText(q.Get("messages")), tool, schema, n, limit)

	prompt, completion := 0, 0
	for _, m := range all {
		prompt += count(textOf(m.Get("content"))) + 3
	}
	for _, s := range choices {
		completion += s.tokens
	}
	head := chatCompletion{
		ID: identifier("chatcmpl-demo-", string(c.body)), Created: p.born, Model: q.Get("model").Str,
		ServiceTier: "default", SystemFingerprint: "fp_demo",
	}
	usage := newChatUsage(prompt, completion)
	if q.Get("stream").Bool() {
		head.Object = "chat.completion.chunk"
		return stream(head.chunks(choices, usage, q.Get("stream_options.include_usage").Bool()))
	}
	head.Object, head.Usage = "chat.completion", usage
	for i, s := range choices {
		message := chatMessage{Role: "assistant", Annotations: []string{}}
		if s.tool != "" {
			message.ToolCalls = []toolCall{{ID: toolID(head.ID, i), Type: "function", Function: calledByName{s.tool, s.arguments}}}
		} else {
			message.Content = join(s.parts)
		}
		head.Choices = append(head.Choices, chatChoice{Index: i, Message: &message, FinishReason: &s.finish})
	}
	return object(head)
}

func toolID(id string, choice int) string { return identifier("call_demo_", id, fmt.Sprint(choice)) }

// chunks are the events of a streamed chat: for each choice its role, its pieces and its end; then usage, if it was asked for.
func (head chatCompletion) chunks(choices []said, usage chatUsage, includeUsage bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		chunk := head
		if includeUsage {
			chunk.Usage = json.RawMessage("null")
		}
		next := func(i int, d chatDelta, finish *string) bool {
			chunk.Choices = []chatChoice{{Index: i, Delta: &d, FinishReason: finish}}
			return yield(data(chunk))
		}
		for i, s := range choices {
			none, zero := "", 0
			first := chatDelta{Role: "assistant", Content: &none}
			if s.tool != "" {
				first = chatDelta{Role: "assistant", ToolCalls: []toolCall{{Index: &zero, ID: toolID(head.ID, i), Type: "function", Function: calledByName{Name: s.tool}}}}
			}
			if !next(i, first, nil) {
				return
			}
			if s.tool != "" && !next(i, chatDelta{ToolCalls: []toolCall{{Index: &zero, Function: calledByName{Arguments: s.arguments}}}}, nil) {
				return
			}
			for _, part := range s.parts {
				if !next(i, chatDelta{Content: &part}, nil) {
					return
				}
			}
			if !next(i, chatDelta{}, &s.finish) {
				return
			}
		}
		if includeUsage {
			chunk.Choices, chunk.Usage = []chatChoice{}, usage
			if !yield(data(chunk)) {
				return
			}
		}
		yield(done)
	}
}
