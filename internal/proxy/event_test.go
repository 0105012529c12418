package proxy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestAnEventTellsItsRequest: who, what, how long, what came of it, and the begin before it.
func TestAnEventTellsItsRequest(t *testing.T) {
	stream := "data: {\"model\":\"gpt-x\"}\n\n: ping\n\ndata: [DONE]\n\n"
	o := serveOrigin(t, answerWith("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nX-Request-Id: req_1\r\nX-RateLimit-Remaining-Requests: 5\r\nx-ratelimit-remaining-requests: 6\r\nOpenAI-Processing-Ms: 12\r\nX-Other: no\r\nTransfer-Encoding: chunked\r\n\r\n", inChunks(stream, 7)))
	p := newProxy(t, o.URL)
	token := p.mint(t)
	id, _ := llmproxy.ParseTokenSecret(token)
	res := p.chat(t, token, "Content-Type", "application/json", "Content-Encoding", "identity")
	e := p.event(t, res.Response)
	require.Equal(t, id, e.TokenID)
	require.False(t, e.ProjectID.IsZero())
	require.Equal(t, "openai", e.Provider)
	require.Equal(t, "POST", e.Method)
	require.Equal(t, "/v1/chat/completions", e.Path)
	require.Equal(t, 200, e.Status)
	require.Equal(t, llmproxy.Complete, e.Outcome)
	require.True(t, e.Stream)
	require.Equal(t, "openai-chat", e.UsageKind)
	require.Equal(t, "application/json", e.Request.ContentType)
	require.Equal(t, "identity", e.Request.Encoding)
	require.EqualValues(t, len(`{"model":"m"}`), e.Request.Bytes)
	require.Equal(t, `{"model":"m"}`, string(e.Request.Body.Head))
	require.EqualValues(t, 2, e.Response.Events, "a comment is no event")
	require.EqualValues(t, len(stream), e.Response.Bytes)
	require.Equal(t, stream, string(e.Response.Body.Head))
	require.ElementsMatch(t, []llmproxy.Header{
		{Name: "x-request-id", Value: "req_1"}, {Name: "x-ratelimit-remaining-requests", Value: "5, 6"}, {Name: "openai-processing-ms", Value: "12"},
	}, e.Response.Headers)
	require.Len(t, p.Events.begins, 1)
	require.Equal(t, llmproxy.Begin{ID: e.ID, Time: e.Time, TokenID: e.TokenID, ProjectID: e.ProjectID, Method: e.Method, Path: e.Path}, p.Events.begins[0])
}

// TestWhoMayKeepBodies: the project says, and where it does not the installation does.
func TestWhoMayKeepBodies(t *testing.T) {
	const canary = "prompt-canary"
	o := serveOrigin(t, answerWith(withLength("200 OK", "", `{"model":"gpt-x","answer":"`+canary+`","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`)))
	for _, c := range []struct {
		installation, project llmproxy.Capture
		kept                  bool
	}{
		{llmproxy.CaptureDefault, llmproxy.CaptureDefault, true},
		{llmproxy.CaptureFull, llmproxy.CaptureDefault, true},
		{llmproxy.CaptureMetadata, llmproxy.CaptureDefault, false},
		{llmproxy.CaptureMetadata, llmproxy.CaptureFull, true},
		{llmproxy.CaptureFull, llmproxy.CaptureMetadata, false},
	} {
		p := newProxy(t, o.URL, func(s *setup) { s.Capture = c.installation })
		token := p.mint(t, func(_ *llmproxy.Gate, p *llmproxy.Project) { p.Capture = c.project })
		for _, body := range []string{canary, strings.Repeat(canary, 20_000)} {
			e := p.event(t, p.ask(t, token, "POST", "/v1/chat/completions", body).Response)
			require.Equal(t, c.kept, strings.Contains(string(e.AppendJSON(nil)), canary), c)
			require.EqualValues(t, len(body), e.Request.Bytes, "sizes are told in any case")
			if !c.kept {
				require.Equal(t, "gpt-x", e.Model, "usage is read before the body is dropped")
				require.EqualValues(t, 3, *e.Usage.Total)
			}
		}
		require.NotContains(t, p.Log.String(), canary)
	}
}

func TestErrorsInAnthropicsShape(t *testing.T) {
	o := serveOrigin(t, func(c *call) {
		if c.origin.last(t).Length == 3 {
			c.write(withLength("401 No", "", "{}"))
			return
		}
		c.untilGone()
	})
	p := newProxy(t, o.URL, stanza(short, "limits: {request_bytes: 10B}"))
	token := p.mint(t, of("anthropic"))
	for _, c := range []struct {
		method, path, body string
		status             int
		kind               string
	}{
		{"POST", "/anthropic/v1/messages", strings.Repeat("x", 11), 413, "request_too_large"},
		{"POST", "/anthropic/v1/messages?key=x", "{}", 400, "invalid_request_error"},
		{"POST", "/anthropic/v1/messages", "{ }", 502, "api_error"},
		{"POST", "/anthropic/v1/messages", "{}", 504, "timeout_error"},
	} {
		res := p.ask(t, token, c.method, c.path, c.body)
		require.Equal(t, c.status, res.StatusCode, res.Body)
		require.Contains(t, res.Body, `{"type":"error","error":{"type":"`+c.kind+`","message":"`)
	}
}
