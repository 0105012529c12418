package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/usage/estimate"
)

// managed is what the server's management answers to a GET.
func (s *testServer) managed(path string, status int) gjson.Result {
	s.t.Helper()
	got, body := s.asksManagement(path)
	require.Equal(s.t, status, got, "GET /manage/%s: %s", path, body.Raw)
	return body
}

// asksManagement is managed, whatever the status is.
func (s *testServer) asksManagement(path string) (status int, body gjson.Result) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/manage/"+path, nil)
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+operatorToken)
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, gjson.ParseBytes(text)
}

// TestAServerEstimatesWhatTheUpstreamDoesNotTell: a stream whose caller did not ask for usage has none. The numbers are in the event log, in
// requests and in sums of usage all the same, and are marked.
func TestAServerEstimatesWhatTheUpstreamDoesNotTell(t *testing.T) {
	s := start(t, map[string]string{"MANAGEMENT_TOKEN": operatorToken})
	const question = `{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hello"}]`
	ask := func(rest string) (id, said string, told gjson.Result) {
		t.Helper()
		res := s.send(http.MethodPost, "/v1/chat/completions", question+rest)
		require.Equal(t, http.StatusOK, res.StatusCode)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		for line := range strings.Lines(string(body)) {
			chunk := gjson.Parse(strings.TrimPrefix(line, "data: "))
			said += chunk.Get("choices.0.delta.content").Str
			if usage := chunk.Get("usage"); usage.IsObject() {
				told = usage
			}
		}
		return eventID(res), said, told
	}
	id, said, told := ask(`}`)
	require.NotEmpty(t, said)
	require.False(t, told.Exists(), "the stand-in tells no usage that nobody asked for")
	output := estimate.CounterFor("gpt-4o").Count(said)
	require.Positive(t, output)

	require.Eventually(t, func() bool {
		return s.managed("usage?group_by=model", http.StatusOK).Get("total.requests").Int() == 1 && len(eventLines(t, s.settings.EventLog)) == 1
	}, patience, 20*time.Millisecond)
	one := s.managed("requests/"+id, http.StatusOK).Get("usage")
	require.Equal(t, "estimate", one.Get("source").Str)
	require.EqualValues(t, 8, one.Get("input").Int(), "a message of one word, as OpenAI counts it")
	require.EqualValues(t, output, one.Get("output").Int())
	total := s.managed("usage?group_by=model", http.StatusOK).Get("total")
	require.EqualValues(t, 1, total.Get("estimated").Int(), total.Raw)
	require.EqualValues(t, 8+output, total.Get("usage.total").Int(), total.Raw)
	line := eventLines(t, s.settings.EventLog)[0]
	require.Equal(t, id, line["id"])
	require.EqualValues(t, 8, line["metadata"].(map[string]any)["prompt_tokens"])
	require.EqualValues(t, output, line["metadata"].(map[string]any)["completion_tokens"])
	require.Equal(t, "estimate", line["usage"].(map[string]any)["source"])

	id, _, told = ask(`,"stream_options":{"include_usage":true}}`)
	require.True(t, told.Exists())
	require.Eventually(t, func() bool {
		return s.managed("usage?group_by=model", http.StatusOK).Get("total.requests").Int() == 2
	}, patience, 20*time.Millisecond)
	one = s.managed("requests/"+id, http.StatusOK).Get("usage")
	require.Equal(t, "upstream", one.Get("source").Str)
	require.Equal(t, told.Get("prompt_tokens").Int(), one.Get("input").Int(), "the upstream's own numbers stand")
	total = s.managed("usage?group_by=model", http.StatusOK).Get("total")
	require.Equal(t, []int64{2, 1}, []int64{total.Get("metered").Int(), total.Get("estimated").Int()}, total.Raw)
}
