package estimate

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// BenchmarkAStreamIsEstimated is what a stream of 43 words costs whose caller did not ask for usage.
func BenchmarkAStreamIsEstimated(b *testing.B) {
	request := `{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("Tell me of rivers. ", 20) + `"}]}`
	var chunks strings.Builder
	for i := range 43 { // each hides the length of its word, as OpenAI's do
		fmt.Fprintf(&chunks, `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763798400,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"word "}}],"obfuscation":"%09d"}`+"\n\n", i*i*i)
	}
	answer := chunks.String() + "data: [DONE]\n\n"
	message := func(kind, text string) llmproxy.Message {
		return llmproxy.Message{ContentType: kind, Bytes: int64(len(text)), Body: &llmproxy.Body{Head: []byte(text), Size: int64(len(text))}}
	}
	e := llmproxy.Event{Method: http.MethodPost, Status: 200, UsageKind: "openai-chat", Request: message("application/json", request), Response: message("text/event-stream", answer)}
	e.Response.Events = 44
	for b.Loop() {
		e.Usage = nil
		if err := Fill(&e); err != nil || e.Usage == nil {
			b.Fatal(err)
		}
	}
}
