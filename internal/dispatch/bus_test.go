package dispatch

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

// TestWhatARecordHasOfACallIsReadBehindABusToo: for each kind of usage, a record that has been JSON on its way tells the same as the event
// itself, also under a path of which no kind can be guessed.
func TestWhatARecordHasOfACallIsReadBehindABusToo(t *testing.T) {
	for kind, c := range map[string]struct{ request, response string }{
		"openai-chat":        {`{"model":"gpt-4o","messages":[{"role":"user","content":"Hello!"}]}`, `{"model":"gpt-4o","choices":[{"message":{"role":"assistant","content":"Hi"}}]}`}, // estimated
		"openai-completions": {`{"model":"gpt-3.5-turbo-instruct","prompt":"Hello!"}`, `{"model":"gpt-3.5-turbo-instruct","choices":[{"text":"Hi"}]}`},
		"openai-responses":   {`{"model":"gpt-4o","input":"Hello!"}`, `{"model":"gpt-4o","usage":{"input_tokens":8,"output_tokens":2,"total_tokens":10}}`},
		"openai-embeddings":  {`{"model":"text-embedding-3-small","input":"Hello!"}`, `{"model":"text-embedding-3-small","usage":{"prompt_tokens":2,"total_tokens":2}}`},
		"openai-audio":       {`{"model":"whisper-1"}`, `{"text":"Hello","usage":{"type":"duration","seconds":9}}`},
		"openai-speech":      {`{"model":"tts-1","input":"Hello!"}`, `ID3`},
		"openai-images":      {`{"model":"gpt-image-1","prompt":"a cat"}`, `{"usage":{"input_tokens":5,"output_tokens":100,"total_tokens":105,"input_tokens_details":{"text_tokens":5,"image_tokens":0}}}`},
		"anthropic-messages": {`{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hello!"}]}`, `{"model":"claude-sonnet-4-5","usage":{"input_tokens":8,"output_tokens":2}}`},
	} {
		require.Contains(t, usage.Kinds(), kind)
		at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		e := &llmproxy.Event{
			ID: llmproxy.NewEventID(at), Time: at, Provider: "openai", Method: http.MethodPost, Path: "/acme/run", Status: 200, Outcome: llmproxy.Complete, UsageKind: kind,
			Request:  llmproxy.Message{Bytes: 1, ContentType: "application/json", Body: &llmproxy.Body{Head: []byte(c.request), Size: int64(len(c.request))}},
			Response: llmproxy.Message{Bytes: 1, ContentType: "application/json", Body: &llmproxy.Body{Head: []byte(c.response), Size: int64(len(c.response))}},
		}
		if kind == "anthropic-messages" {
			e.Provider = "anthropic"
		}
		var arrived llmproxy.Event
		require.NoError(t, json.Unmarshal(e.AppendJSON(nil), &arrived))
		meter := Meter(price.Embedded())
		require.NoError(t, meter(e))
		require.NotNil(t, e.Usage, kind)
		require.NoError(t, meter(&arrived))
		require.Equal(t, string(e.AppendJSON(nil)), string(arrived.AppendJSON(nil)), kind)
		_, is := callOf(&arrived)
		require.True(t, is, kind)
	}
}
