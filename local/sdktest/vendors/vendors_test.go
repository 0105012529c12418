package vendors_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
	"github.com/sofatutor/llm-proxy/local/sdktest/suite"
)

// recorder keeps what is sent to it, and answers as the two services do.
type recorder struct {
	*httptest.Server
	mu     sync.Mutex
	lunary []gjson.Result // events, in the order of coming
	logs   []sentLog      // to Helicone
	keys   map[string]bool
}

type sentLog struct {
	path, user string
	body       gjson.Result
}

func record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{keys: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return // the test will miss it
		}
		body := gjson.ParseBytes(data)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keys[req.Header.Get("Authorization")] = true
		if req.URL.Path == "/v1/runs/ingest" {
			var results []map[string]any
			for _, e := range body.Get("events").Array() {
				r.lunary = append(r.lunary, e)
				results = append(results, map[string]any{"id": e.Get("runId").Str, "success": true})
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
			return
		}
		r.logs = append(r.logs, sentLog{req.URL.Path, req.Header.Get("Helicone-User-Id"), body})
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(r.Close)
	return r
}

const fakeKey = "00000000-fake-4000-8000-000000000000"

// call is one model call, as both sides get it.
type call struct {
	Request   json.RawMessage   `json:"request"`
	Response  json.RawMessage   `json:"response,omitempty"`
	Chunks    []json.RawMessage `json:"chunks,omitempty"`  // of a stream
	Failure   string            `json:"failure,omitempty"` // of an error, what it says
	Started   int64             `json:"started"`
	Ended     int64             `json:"ended"`
	FirstByte int64             `json:"firstByte"`
	User      string            `json:"user"`
	Lunary    string            `json:"lunary"`
	Helicone  string            `json:"helicone"`
	Key       string            `json:"key"`
}

var (
	token   = llmproxy.NewTokenID(time.Now())
	started = time.Date(2026, 11, 22, 8, 0, 0, 123e6, time.UTC)
)

// sendTheirs reports the call with the vendors' clients.
func sendTheirs(t *testing.T, c call) *recorder {
	t.Helper()
	r := record(t)
	c.Lunary, c.Helicone, c.Key, c.User = r.URL, r.URL, fakeKey, token.String()
	c.Started, c.Ended, c.FirstByte = started.UnixMilli(), started.Add(884*time.Millisecond).UnixMilli(), 212
	input, err := json.Marshal(c)
	require.NoError(t, err)
	modules := filepath.Join(suite.Installed(t, "vendors", "package-lock.json"), "node_modules")
	cmd := exec.CommandContext(t.Context(), "node", "clients.cjs")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return r
}

// sendOurs delivers the event of the same call to both destinations.
func sendOurs(t *testing.T, c call) *recorder {
	t.Helper()
	r := record(t)
	answer, contentType, status := string(c.Response), "application/json", http.StatusOK
	if c.Chunks != nil {
		contentType = "text/event-stream"
		var stream strings.Builder
		for _, chunk := range c.Chunks {
			stream.WriteString("data: " + string(chunk) + "\n\n")
		}
		answer = stream.String() + "data: [DONE]\n\n"
	}
	if c.Failure != "" {
		answer, status = `{"error":{"message":"`+c.Failure+`","type":"server_error","code":null,"param":null}}`, http.StatusInternalServerError
	}
	message := func(text, contentType string) llmproxy.Message {
		return llmproxy.Message{Bytes: int64(len(text)), ContentType: contentType, Body: &llmproxy.Body{Head: []byte(text), Size: int64(len(text))}}
	}
	e := &llmproxy.Event{
		ID: llmproxy.NewEventID(started), Time: started, TokenID: token, ProjectID: llmproxy.NewProjectID(started), Provider: "openai", Method: http.MethodPost, Path: "/v1/chat/completions",
		Status: status, Outcome: llmproxy.Complete, Stream: c.Chunks != nil, Timing: llmproxy.Timing{Total: 884 * time.Millisecond, FirstByte: 212 * time.Millisecond},
		Request: message(string(c.Request), "application/json"), Response: message(answer, contentType), UsageKind: "openai-chat",
	}
	require.NoError(t, dispatch.Meter(price.Embedded())(e))
	for name, s := range map[string]dispatch.Settings{
		"lunary":   {Lunary: dispatch.LunaryConfig{Key: llmproxy.NewSecret(fakeKey), BaseURL: r.URL}},
		"helicone": {Helicone: dispatch.HeliconeConfig{Key: llmproxy.NewSecret(fakeKey), BaseURL: r.URL}},
	} {
		d, err := dispatch.Open(name, s)
		require.NoError(t, err)
		require.NoError(t, d.Start(t.Context(), nil))
		require.Equal(t, []dispatch.Result{{}}, d.Deliver(t.Context(), []*llmproxy.Event{e}))
		require.NoError(t, d.Close())
	}
	return r
}

// holds requires that ours has all that theirs has, member by member, but for what is named. Ours may have more.
func holds(t *testing.T, theirs, ours gjson.Result, but ...string) {
	t.Helper()
	theirs.ForEach(func(key, value gjson.Result) bool {
		for _, name := range but {
			if name == key.Str {
				return true
			}
		}
		mine := ours.Get(strings.ReplaceAll(key.Str, ".", `\.`))
		require.True(t, mine.Exists(), "ours has no %q: theirs %s, ours %s", key.Str, theirs.Raw, ours.Raw)
		if value.IsObject() && mine.IsObject() {
			holds(t, value, mine)
			return true
		}
		require.JSONEq(t, value.Raw, mine.Raw, key.Str)
		return true
	})
}

const ask = `{"model":"gpt-4o","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],"temperature":0.5,"max_tokens":100,"seed":7}`

var calls = map[string]call{
	"an answer": {
		Request:  json.RawMessage(ask),
		Response: json.RawMessage(`{"id":"chatcmpl-1","object":"chat.completion","created":1763798400,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":17,"completion_tokens":2,"total_tokens":19}}`),
	},
	"a call of a tool": {
		Request:  json.RawMessage(`{"model":"gpt-4o","messages":[{"role":"user","content":"The weather in Kiel?"}],"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}],"tool_choice":"auto"}`),
		Response: json.RawMessage(`{"id":"chatcmpl-2","object":"chat.completion","created":1763798400,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Kiel\"}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":40,"completion_tokens":9,"total_tokens":49}}`),
	},
	"a stream": {
		Request: json.RawMessage(`{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}],"stream":true}`),
		Chunks: []json.RawMessage{
			json.RawMessage(`{"id":"chatcmpl-3","object":"chat.completion.chunk","created":1763798400,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`),
			json.RawMessage(`{"id":"chatcmpl-3","object":"chat.completion.chunk","created":1763798400,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}`),
			json.RawMessage(`{"id":"chatcmpl-3","object":"chat.completion.chunk","created":1763798400,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"lo!"},"finish_reason":"stop"}]}`),
		},
	},
	"a failure": {Request: json.RawMessage(ask), Failure: "The server had an error."},
}

// TestLunaryGetsWhatItsOwnClientSends: the two events of a run, each with all that Lunary's client puts there.
func TestLunaryGetsWhatItsOwnClientSends(t *testing.T) {
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			theirs, ours := sendTheirs(t, c).lunary, sendOurs(t, c).lunary
			require.Len(t, theirs, 2)
			require.Len(t, ours, 2)
			for i, event := range theirs {
				mine := ours[i]
				require.Len(t, mine.Get("runId").Str, len(event.Get("runId").Str), "a UUID, which Lunary takes as it is")
				// What differs on purpose: ids are ours, times are those of the call in the other form that Lunary takes.
				but := []string{"runId", "timestamp", "runtime"}
				if event.Get("event").Str == "error" {
					require.Contains(t, mine.Get("error.message").Str, event.Get("error.message").Str)
					require.True(t, mine.Get("error.stack").Exists())
					but = append(but, "error", "name") // theirs names the model in the start alone
				}
				if c.Chunks != nil { // theirs counts chunks and writes an empty list where nothing was called; Lunary then counts for itself
					but = append(but, "tokensUsage", "output")
					if event.Get("output").Exists() {
						require.Equal(t, event.Get("output.role").Str, mine.Get("output.role").Str)
						require.Equal(t, event.Get("output.content").Str, mine.Get("output.content").Str, "assembled")
						require.Positive(t, mine.Get("tokensUsage.completion").Int())
					}
				}
				holds(t, event, mine, but...)
			}
			require.Equal(t, ours[0].Get("runId").Str, ours[1].Get("runId").Str)
			require.Equal(t, token.String(), ours[0].Get("userId").Str)
			for i, at := range []time.Time{started, started.Add(884 * time.Millisecond)} {
				require.Equal(t, at.Format(llmproxy.TimeFormat), ours[i].Get("timestamp").Str)
			}
		})
	}
}

// TestHeliconeGetsWhatItsOwnClientSends: the same log at the same path, times to the millisecond.
func TestHeliconeGetsWhatItsOwnClientSends(t *testing.T) {
	for name, c := range calls {
		if c.Failure != "" {
			continue // theirs logs none
		}
		t.Run(name, func(t *testing.T) {
			theirs, ours := sendTheirs(t, c), sendOurs(t, c)
			require.Len(t, theirs.logs, 1)
			require.Len(t, ours.logs, 1)
			their, mine := theirs.logs[0], ours.logs[0]
			require.Equal(t, their.path, mine.path)
			require.Equal(t, theirs.keys, ours.keys)
			require.Equal(t, their.user, mine.body.Get("providerRequest.meta.Helicone-User-Id").Str, "what theirs says in a header may stand in meta")
			holds(t, their.body, mine.body, "provider", "providerRequest", "providerResponse") // the path says the provider
			asked, answered := []string{"url"}, []string(nil)
			if c.Chunks != nil { // theirs is the text of the stream; ours is assembled and asks for no stream, so that Helicone finds the usage
				asked, answered = append(asked, "json"), []string{"json", "textBody"}
				require.Equal(t, "Hello!", mine.body.Get("providerResponse.json.choices.0.message.content").Str)
				require.Positive(t, mine.body.Get("providerResponse.json.usage.completion_tokens").Int())
				require.False(t, mine.body.Get("providerRequest.json.stream").Exists())
				require.Equal(t, their.body.Get("providerRequest.json.messages").Raw, mine.body.Get("providerRequest.json.messages").Raw)
			}
			holds(t, their.body.Get("providerRequest"), mine.body.Get("providerRequest"), asked...)
			holds(t, their.body.Get("providerResponse"), mine.body.Get("providerResponse"), answered...)
			require.Equal(t, "https://api.openai.com/v1/chat/completions", mine.body.Get("providerRequest.url").Str, "theirs has no path, so that Helicone cannot tell chats from the rest")
			require.JSONEq(t, their.body.Get("timing").Raw, mine.body.Get("timing").Raw)
		})
	}
}
