package estimate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

func TestPromptsAndCompletionsCountAsTheCorpusSays(t *testing.T) {
	seen := 0
	for _, c := range corpus(t) {
		var n int
		var ok bool
		switch {
		case c.Messages != nil:
			request := fmt.Sprintf(`{"messages":%s}`, c.Messages)
			if c.Tools != nil {
				request = fmt.Sprintf(`{"messages":%s,"tools":%s}`, c.Messages, c.Tools)
			}
			n, ok = Prompt("openai-chat", c.Model, []byte(request))
		case c.Input != nil:
			n, ok = Prompt("openai-embeddings", c.Model, fmt.Appendf(nil, `{"input":%s}`, c.Input))
			require.True(t, ok)
			again, _ := Prompt("openai-completions", c.Model, fmt.Appendf(nil, `{"prompt":%s}`, c.Input))
			require.Equal(t, n, again)
		case c.Choices != nil:
			var messages []json.RawMessage
			require.NoError(t, json.Unmarshal(c.Choices, &messages))
			var choices []map[string]any
			for i, m := range messages {
				choices = append(choices, map[string]any{"index": i, "message": m})
			}
			answer, err := json.Marshal(map[string]any{"choices": choices})
			require.NoError(t, err)
			n, ok = Completion("openai-chat", c.Model, answer)
		default:
			continue
		}
		seen++
		require.True(t, ok, c.Name)
		require.Equal(t, c.Expected, n, "%s (%s)", c.Name, c.How)
	}
	require.Equal(t, 51, seen)
}

func TestOtherKindsCountByTheSameRules(t *testing.T) {
	chat := func(request string) int {
		n, ok := Prompt("openai-chat", "gpt-5", []byte(request))
		require.True(t, ok)
		return n
	}
	tools := `"description":"Find a town.","PARAMETERS":{"type":"object","properties":{"q":{"type":"string","description":"Name."}}}`
	openai, anthropic := strings.Replace(tools, "PARAMETERS", "parameters", 1), strings.Replace(tools, "PARAMETERS", "input_schema", 1)
	like := chat(`{"messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Hello!"}],"tools":[{"type":"function","function":{"name":"find",` + openai + `}}]}`)

	for kind, requests := range map[string][]string{
		"openai-responses": {
			`{"instructions":"Be short.","input":"Hello!","tools":[{"type":"function","name":"find",` + openai + `},{"type":"web_search"}]}`,
			`{"instructions":"Be short.","input":[{"role":"user","content":[{"type":"input_text","text":"Hello!"}]}],"tools":[{"type":"function","name":"find",` + openai + `}]}`,
		},
		"anthropic-messages": {
			`{"system":"Be short.","messages":[{"role":"user","content":"Hello!"}],"tools":[{"name":"find",` + anthropic + `}]}`,
			`{"system":[{"type":"text","text":"Be short."}],"messages":[{"role":"user","content":[{"type":"text","text":"Hello!"}]}],"tools":[{"name":"find",` + anthropic + `}]}`,
		},
		"openai-chat": {
			`{"messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Hello!"}],"functions":[{"name":"find",` + openai + `}]}`,
		},
	} {
		for _, request := range requests {
			n, ok := Prompt(kind, "gpt-5", []byte(request))
			require.True(t, ok)
			require.Equal(t, like, n, request)
		}
	}

	count := CounterFor("gpt-5").Count
	history := chat(`{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","function":{"name":"find","arguments":"{\"q\":1}"}}]}]}`)
	require.Equal(t, eachReply+eachMessage+count("assistant")+count("find")+count(`{"q":1}`)+eachCall, history)
	require.Equal(t, history, chat(`{"messages":[{"role":"assistant","function_call":{"name":"find","arguments":"{\"q\":1}"}}]}`))
	picture := []byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}},{"type":"input_audio"}]}]}`)
	require.Equal(t, chat(`{"messages":[{"role":"user","content":"x"}]}`), chat(string(picture)))
	for model, units := range map[string]int{"gpt-5": 70, "ft:gpt-4o-mini-2024-07-18:a::b": 2833, "gpt-4o-2024-08-06": 85, "o3": 75, "gemini-3": 85} {
		text, _ := Prompt("openai-chat", model, picture)
		all, ok := promptWithImages("openai-chat", model, picture)
		require.True(t, ok)
		require.Equal(t, units, all-text, model)
	}
	n, _ := Prompt("openai-responses", "gpt-5", []byte(`{"input":[{"type":"function_call","name":"find","arguments":"{}"},{"type":"function_call_output","output":"found"},{"type":"reasoning"}]}`))
	require.Equal(t, eachReply+count("find")+count("{}")+eachCall+eachMessage+count("found"), n)
	n, _ = Prompt("anthropic-messages", "claude-opus-4-8", []byte(`{"messages":[{"role":"assistant","content":[{"type":"tool_use","name":"find","input":{"q":1}},{"type":"image"}]},{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"found"}]}]}]}`))
	require.Equal(t, eachReply+2*eachMessage+count("assistant")+count("user")+count("find")+count(`{"q":1}`)+eachCall+count("found"), n)

	for kind, answer := range map[string]string{
		"openai-chat":        `{"choices":[{"message":{"content":"Hi there","function_call":{"name":"find","arguments":"{}"}}}]}`,
		"openai-responses":   `{"output":[{"type":"reasoning"},{"type":"message","content":[{"type":"output_text","text":"Hi there"}]},{"type":"function_call","name":"find","arguments":"{}"}]}`,
		"anthropic-messages": `{"content":[{"type":"text","text":"Hi there"},{"type":"tool_use","name":"find","input":{}}]}`,
	} {
		n, ok := Completion(kind, "gpt-5", []byte(answer))
		require.True(t, ok)
		require.Equal(t, count("Hi there")+count("find")+count("{}"), n, kind)
	}
	n, _ = Completion("anthropic-messages", "m", []byte(`{"content":[{"type":"tool_use","name":"find","input":"{\"q"}]}`))
	require.Equal(t, count("find")+count(`{"q`), n, "a call that was cut")
	n, _ = Completion("openai-completions", "gpt-5", []byte(`{"choices":[{"text":"Hi"},{"text":" there"}]}`))
	require.Equal(t, count("Hi")+count(" there"), n)

	for _, kind := range []string{"openai-images", "openai-speech", "openai-audio"} {
		_, ok := Prompt(kind, "m", []byte(`{"prompt":"x"}`))
		require.False(t, ok, kind)
		_, ok = Completion(kind, "m", []byte(`{"text":"x"}`))
		require.False(t, ok, kind)
	}
}

func body(s string) *llmproxy.Body { return &llmproxy.Body{Head: []byte(s), Size: int64(len(s))} }

// cutStream is a stream of chunks that broke off before it told its usage.
func cutStream(words ...string) *llmproxy.Event {
	var b strings.Builder
	for _, w := range words {
		fmt.Fprintf(&b, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", w)
	}
	return &llmproxy.Event{
		Method: http.MethodPost, Status: 200, Outcome: llmproxy.Cut, Stream: true, UsageKind: "openai-chat", Model: "gpt-4o",
		Request:  llmproxy.Message{Body: body(`{"model":"gpt-4o","messages":[{"role":"user","content":"Hello!"}]}`)},
		Response: llmproxy.Message{ContentType: "text/event-stream", Events: int64(len(words)), Body: body(b.String())},
	}
}

func shown(t *testing.T, e *llmproxy.Event) string {
	t.Helper()
	if e.Usage == nil {
		return ""
	}
	b, err := json.Marshal(e.Usage)
	require.NoError(t, err)
	return string(b)
}

func TestAStreamThatBrokeOffIsEstimated(t *testing.T) {
	e := cutStream("Good", " morning", " to", " you")
	require.NoError(t, Fill(e))
	require.Equal(t, `{"input":9,"output":4,"total":13,"source":"estimate"}`, shown(t, e))
}

func TestWhatCaptureLeftOutIsScaledAndMarked(t *testing.T) {
	e := cutStream("Good", " morning", " to", " you")
	e.Response.Events, e.Response.Body.Size = 40, 4000
	require.NoError(t, Fill(e))
	require.Equal(t, `{"input":9,"output":40,"total":49,"source":"estimate","partial":true}`, shown(t, e))

	e = cutStream("Good")
	text := `{"model":"gpt-4o","messages":[{"role":"user","content":"` + strings.Repeat("Hello ", 100)
	e.Request.Body = &llmproxy.Body{Head: []byte(text), Size: int64(10 * len(text))}
	require.NoError(t, Fill(e))
	require.InEpsilon(t, 1100, *e.Usage.Input, 0.05)
	require.True(t, e.Usage.Partial)

	e.Usage = nil
	text = `{"messages":[{"role":"user","content":[{"type":"text","text":"Hello!"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", 1000)
	e.Request.Body = &llmproxy.Body{Head: []byte(text), Size: 5 << 20}
	require.NoError(t, Fill(e))
	require.EqualValues(t, 9+85, *e.Usage.Input, "the rest of a picture is not text")
	require.True(t, e.Usage.Partial)

	e = cutStream()
	e.Stream, e.Response.ContentType = false, "application/json"
	text = `{"choices":[{"message":{"content":"` + strings.Repeat("Hello ", 100)
	e.Response.Body = &llmproxy.Body{Head: []byte(text), Size: int64(5 * len(text))}
	require.NoError(t, Fill(e))
	require.InEpsilon(t, 500, *e.Usage.Output, 0.1)
	require.True(t, e.Usage.Partial)
}

func TestTheUpstreamsNumbersStand(t *testing.T) {
	three, four := int64(3), int64(4)
	e := cutStream("Good", " morning")
	e.Usage = &llmproxy.Usage{Input: &three, Output: &four, Source: llmproxy.SourceUpstream}
	require.NoError(t, Fill(e))
	require.Equal(t, `{"input":3,"output":4,"source":"upstream"}`, shown(t, e))

	e.Usage = &llmproxy.Usage{Input: &three, Source: llmproxy.SourceUpstream}
	require.NoError(t, Fill(e))
	require.Equal(t, `{"input":3,"output":2,"total":5,"source":"estimate"}`, shown(t, e), "a message that was cut after its start has told its input")
}

func TestEmbeddingsHaveAnInputOnly(t *testing.T) {
	e := cutStream()
	e.UsageKind, e.Outcome, e.Stream, e.Response.ContentType = "openai-embeddings", llmproxy.Complete, false, "application/json"
	e.Request.Body, e.Response.Body = body(`{"input":["Hello!","Hello!"]}`), body(`{"data":[]}`)
	require.NoError(t, Fill(e))
	require.Equal(t, `{"input":4,"total":4,"source":"estimate"}`, shown(t, e))
}

func TestWhatCannotBeToldStaysUnknown(t *testing.T) {
	for name, change := range map[string]func(*llmproxy.Event){
		"refused by the upstream":   func(e *llmproxy.Event) { e.Status = 429 },
		"no POST":                   func(e *llmproxy.Event) { e.Method = http.MethodGet },
		"a kind without usage":      func(e *llmproxy.Event) { e.UsageKind = "" },
		"a picture":                 func(e *llmproxy.Event) { e.UsageKind = "openai-images" },
		"no bodies":                 func(e *llmproxy.Event) { e.Request.Body, e.Response.Body = nil, nil },
		"nothing of it can be read": func(e *llmproxy.Event) { e.Request.Body, e.Response.Body = body("x"), body("x") },
		"a total that has no parts": func(e *llmproxy.Event) { n := int64(3); e.Usage = &llmproxy.Usage{Total: &n, Source: "upstream"} },
		"a cut request, compressed": func(e *llmproxy.Event) {
			e.Request.Encoding, e.Request.Body.Size, e.Response.Body = "gzip", 1000, body("")
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := cutStream("Hello")
			change(e)
			before := shown(t, e)
			require.NoError(t, Fill(e))
			require.Equal(t, before, shown(t, e))
		})
	}
	e := cutStream("Hello")
	e.Response.Encoding = "gzip"
	require.Error(t, Fill(e))
	require.EqualValues(t, 9, *e.Usage.Input, "the prompt is known still")
	require.Nil(t, e.Usage.Output)
}
