package demo_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caller is a client of one test; it holds no connection beyond it.
func caller(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask sends a request with a key and what X-Demo asks for; a body makes it a POST.
func ask(t *testing.T, up *demo.Server, path, body, misbehave string) (*http.Response, error) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, up.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer sk-fake-key-of-a-test-1234")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if misbehave != "" {
		r.Header.Set(demo.Header, misbehave)
	}
	resp, err := caller(t).Do(r)
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}

// answer is a whole good answer.
func answer(t *testing.T, up *demo.Server, path, body, misbehave string) string {
	t.Helper()
	resp, err := ask(t, up, path, body, misbehave)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", b)
	return string(b)
}

// hello is a chat.
const hello = `{"model":"gpt-4o","messages":[{"role":"user","content":"Hello there"}]}`

// streamed makes the same request ask for a stream with usage.
func streamed(body string) string {
	return strings.TrimSuffix(body, "}") + `,"stream":true,"stream_options":{"include_usage":true}}`
}

// events are the data of a stream.
func events(body string) []string {
	var all []string
	for line := range strings.SplitSeq(body, "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			all = append(all, data)
		}
	}
	return all
}

func TestTheSameQuestionGetsTheSameAnswerPlainAndStreamed(t *testing.T) {
	up := demo.Serve(t)
	plain := answer(t, up, "/v1/chat/completions", hello, "")
	said := gjson.Get(plain, "choices.0.message.content").Str
	require.Contains(t, said, "Hello there")
	require.Equal(t, said, gjson.Get(answer(t, up, "/v1/chat/completions", hello, ""), "choices.0.message.content").Str)
	require.NotEqual(t, said, gjson.Get(answer(t, up, "/v1/chat/completions", strings.Replace(hello, "Hello", "Hi", 1), ""), "choices.0.message.content").Str)

	all := events(answer(t, up, "/v1/chat/completions", streamed(hello), ""))
	require.Equal(t, "[DONE]", all[len(all)-1])
	var joined string
	for _, e := range all {
		joined += gjson.Get(e, "choices.0.delta.content").Str
	}
	require.Equal(t, said, joined)
	require.JSONEq(t, gjson.Get(plain, "usage").Raw, gjson.Get(all[len(all)-2], "usage").Raw, "a stream counts like a plain answer")
	require.Equal(t, gjson.Get(plain, "usage.total_tokens").Int(), gjson.Get(plain, "usage.prompt_tokens").Int()+gjson.Get(plain, "usage.completion_tokens").Int())
}

func TestACutStreamLooksCut(t *testing.T) {
	up := demo.Serve(t, demo.CutAfter(3))
	resp, err := ask(t, up, "/v1/chat/completions", streamed(hello), "")
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, events(string(b)), 3)
}

func TestARequestIsKeptAsItCame(t *testing.T) {
	up := demo.Serve(t)
	answer(t, up, "/v1/models/17?x=%41", "", "")
	answer(t, up, "/v1/chat/completions", hello, "")
	all := up.WaitFor(t, 2, func(r demo.Request) bool { return r.Ended })
	assert.Equal(t, []string{"/v1/models/17", "/v1/chat/completions"}, up.Paths())
	assert.Equal(t, "x=%41", all[0].Query)
	assert.Equal(t, hello, string(all[1].Body))
	assert.EqualValues(t, len(hello), all[1].Size)
	assert.False(t, all[1].Gone)
}

func TestWhatHangsEndsWhenTheCallerLeaves(t *testing.T) {
	up := demo.Serve(t, demo.Hang())
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, up.URL+"/v1/models", nil)
		if err == nil {
			_, err = caller(t).Do(r)
		}
		left <- err
	}()
	up.WaitFor(t, 1, nil)
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	gone := up.WaitFor(t, 1, func(r demo.Request) bool { return r.Ended })
	require.True(t, gone[0].Gone)
}
