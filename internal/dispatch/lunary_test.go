package dispatch

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestALunaryRunHasTheShapeOfItsClients(t *testing.T) {
	backend := newStub(t, (&lunaryStore{started: map[string]bool{}}).take)
	s := Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}
	e := asked(askHi, "text/event-stream", streamsHello)
	require.Equal(t, []Result{{}}, handOver(t, "lunary", s, e))
	require.Equal(t, "Bearer "+fakeSecret, backend.last.Get("Authorization"))
	id, token, project := e.ID.String(), e.TokenID.String(), e.ProjectID.String()
	require.JSONEq(t, `{"events":[
		{"type":"llm","event":"start","runId":"`+id+`","name":"gpt-4o-2024-08-06","timestamp":"2026-11-22T10:20:30.456Z","input":[{"role":"user","content":"Hi"}],
			"params":{"temperature":0.5,"stream":true},"userId":"`+token+`","tags":["project:`+project+`"],"runtime":"llm-proxy",
			"metadata":{"path":"/v1/chat/completions","outcome":"complete","project_id":"`+project+`","provider":"openai","status":200,"usage_source":"estimate","cost_usd":0.00004}},
		{"type":"llm","event":"end","runId":"`+id+`","name":"gpt-4o-2024-08-06","timestamp":"2026-11-22T10:20:31.690Z","output":{"role":"assistant","content":"Hello!"},"tokensUsage":{"prompt":8,"completion":2}}]}`,
		string(backend.body(t, 0)))

	// The members that the JavaScript client 1.0.18 sends, captured, are there; its times are numbers, ours ISO 8601 as the Python client's.
	captured := gjson.Parse(`{"events":[{"event":"start","type":"llm","userId":"u1","runtime":"lunary-js","runId":"019345ab-0000-7000-8000-000000000001","name":"gpt-4o","input":[{"role":"user","content":"Hi"}],"tags":["t"],"params":{"temperature":0.5}},
		{"event":"end","type":"llm","runId":"019345ab-0000-7000-8000-000000000001","name":"gpt-4o","output":{"role":"assistant","content":"Hello!"},"tokensUsage":{"prompt":8,"completion":2}}]}`)
	for i := range 2 {
		sameShape(t, "", captured.Get(fmt.Sprintf("events.%d", i)), gjson.GetBytes(backend.body(t, 0), fmt.Sprintf("events.%d", i)))
	}
}

func TestLunaryGetsEachKindOfCall(t *testing.T) {
	for name, c := range map[string]struct {
		kind, request, answer string
		status                int
		want                  map[string]string
	}{
		"embeddings":      {"openai-embeddings", `{"model":"e","input":["a"]}`, `{"data":[],"usage":{"prompt_tokens":1,"total_tokens":1}}`, 200, map[string]string{"0.type": `"embed"`, "1.type": `"embed"`, "0.input": `["a"]`, "1.tokensUsage": `{"prompt":1,"completion":0}`, "1.output": ""}},
		"several choices": {"openai-chat", askHi, `{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}`, 200, map[string]string{"1.output": `[{"content":"a"},{"content":"b"}]`, "1.tokensUsage": `{"prompt":9,"completion":2,"promptCached":4}`}},
		"completions":     {"openai-completions", `{"model":"m","prompt":"Hi"}`, `{"choices":[{"text":"a"}]}`, 200, map[string]string{"0.input": `"Hi"`, "1.output": `"a"`}},
		"responses":       {"openai-responses", `{"model":"m","input":"Hi"}`, `{"output":[{"type":"message"}]}`, 200, map[string]string{"0.input": `"Hi"`, "1.output": `[{"type":"message"}]`}},
		"messages":        {"anthropic-messages", `{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":9}`, `{"content":[{"type":"text","text":"a"}]}`, 200, map[string]string{"0.params.max_tokens": "9", "1.output": `{"role":"assistant","content":[{"type":"text","text":"a"}]}`}},
		"an error":        {"openai-chat", askHi, `{"error":{"message":"slow down"}}`, 429, map[string]string{"1.event": `"error"`, "1.error": `{"message":"slow down","stack":"status 429, complete"}`, "1.output": ""}},
		"our own error":   {"openai-chat", askHi, ``, 504, map[string]string{"1.event": `"error"`, "1.error.message": `"upstream_timeout"`}},
	} {
		t.Run(name, func(t *testing.T) {
			backend := newStub(t, (&lunaryStore{started: map[string]bool{}}).take)
			e := asked(c.request, "application/json", c.answer)
			e.UsageKind, e.Status = c.kind, c.status
			if c.status == 504 {
				e.Outcome, e.Code, e.Response.Body = llmproxy.UpstreamError, "upstream_timeout", nil
			}
			require.Equal(t, []Result{{}}, handOver(t, "lunary", Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}, e))
			for at, want := range c.want {
				require.Equal(t, want, gjson.GetBytes(backend.body(t, 0), "events."+at).Raw, at)
			}
		})
	}
}

func TestARunOfWhichLunaryHasNoPartIsSentAgainAsAPair(t *testing.T) {
	events := requests(4)
	id := func(i int) string { return events[i].ID.String() }
	backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
		_, _ = fmt.Fprintf(w, `{"results":[{"id":%q,"success":true},{"id":%q,"success":false,"error":"Run with this ID already exists in the database."},{"id":%q,"success":true},
			{"id":%q,"success":true},{"id":%q,"success":true},{"id":%q,"success":false,"error":"database %s is gone"},{"id":%q,"success":true}]}`,
			id(1), id(1), id(0), id(0), id(2), id(2), fakeSecret, id(2))
		return nil
	})
	results := handOver(t, "lunary", Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}, events...)
	require.Equal(t, Result{}, results[0])
	require.Equal(t, Result{}, results[1], "it was there before")
	require.EqualError(t, results[2].Err, "status 200: database REDACTED is gone")
	require.False(t, results[2].Poison)
	require.ErrorContains(t, results[3].Err, "does not name the run")
}
