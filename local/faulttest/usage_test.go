package faulttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo"
)

// TestTheUsageOfLargeAnswersIsInTheEventLog: what the caller was told at the end of 5 MB of a stream or of 20 MB of JSON stands in the
// event log too. Of a compressed answer that capture had to cut the output is unknown, which is null and never 0.
func TestTheUsageOfLargeAnswersIsInTheEventLog(t *testing.T) {
	h := newHouse(t, nil)
	h.upstream.mux.Handle("/", demo.New())
	log := filepath.Join(h.data, "events.jsonl")
	s := h.start("--file-event-log", log)
	const question = `"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]`
	const captured = (256 + 16) << 10 // of an answer, at most
	const streamed = `{` + question + `,"stream":true,"stream_options":{"include_usage":true}}`

	var want []gjson.Result // the caller's own numbers, or nothing where they are not to be known
	ask := func(body, misbehave string, least int, known bool) {
		t.Helper()
		a := h.send("POST", s.url+"/v1/chat/completions", h.secret, body, "Content-Type: application/json", "X-Demo: "+misbehave, "Accept-Encoding: identity")
		require.NoError(t, a.err)
		require.Equal(t, 200, a.status, a.body)
		require.Greater(t, len(a.body), least)
		told := gjson.Result{}
		if known {
			answer := strings.TrimSuffix(strings.TrimSpace(a.body), "data: [DONE]")
			if i := strings.LastIndex(answer, "data: "); i >= 0 {
				answer = answer[i+len("data: "):]
			}
			told = gjson.Get(answer, "usage")
			require.Positive(t, told.Get("completion_tokens").Int())
		}
		want = append(want, told)
	}
	ask(streamed, "size=5242880", 5<<20, true)
	ask(`{`+question+`}`, "size=20971520", 20<<20, true)
	ask(`{`+question+`}`, "size=67108864, gzip", captured, false)
	ask(streamed, "size=16777216, gzip", captured, false)

	var lines []string
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(log)
		require.NoError(t, err)
		lines = strings.Split(strings.TrimSpace(string(data)), "\n")
		return len(lines) == len(want)
	}, patience, 50*time.Millisecond, "one line for each request")
	for i, line := range lines {
		require.Equal(t, "complete", gjson.Get(line, "outcome").Str)
		if !want[i].Exists() {
			require.Equal(t, gjson.Null, gjson.Get(line, "metadata.completion_tokens").Type, "%s", line)
			require.Equal(t, gjson.Null, gjson.Get(line, "metadata.total_tokens").Type, "%s", line)
			continue
		}
		for _, name := range []string{"prompt_tokens", "completion_tokens", "total_tokens"} {
			require.Equal(t, want[i].Get(name).Int(), gjson.Get(line, "metadata."+name).Int(), "%s of %s", name, line)
		}
	}
}
