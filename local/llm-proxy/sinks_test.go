package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/testschema"
)

// everySink is all that destinations bring events to, on one address. It keeps what comes, and refuses one event of webhooks for good, that of embeddings.
type everySink struct {
	*httptest.Server
	mu      sync.Mutex
	got     strings.Builder // since it was last emptied
	records []string        // of webhooks
}

func (e *everySink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		if plain, err := io.ReadAll(z); err == nil {
			body = plain
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprintf(&e.got, "%s %s %v\n%s\n", r.Method, r.URL, r.Header, body)
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasSuffix(target, ".PutEvents"):
		n := gjson.GetBytes(body, "Entries.#").Int()
		fmt.Fprintf(w, `{"FailedEntryCount":0,"Entries":[%s]}`, strings.TrimSuffix(strings.Repeat(`{"EventId":"e"},`, int(n)), ","))
	case target != "":
		_, _ = io.WriteString(w, "{}")
	case strings.HasSuffix(r.URL.Path, "/v1/log"):
		_, _ = io.WriteString(w, "ok")
	case strings.HasSuffix(r.URL.Path, "/v1/runs/ingest"):
		var results []string
		for _, event := range gjson.GetBytes(body, "events").Array() {
			results = append(results, fmt.Sprintf(`{"id":%q,"success":true}`, event.Get("runId").Str))
		}
		fmt.Fprintf(w, `{"results":[%s]}`, strings.Join(results, ","))
	case r.URL.Path == "/hook":
		if e.records = append(e.records, string(body)); gjson.GetBytes(body, "path").Str == "/v1/embeddings" {
			http.Error(w, "not this one", http.StatusBadRequest)
		}
	}
}

// empty returns what has come since the last time.
func (e *everySink) empty() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := e.got.String()
	e.got.Reset()
	return text
}

// TestAPromptIsInNoSinkWhereNothingIsCaptured is H15 from the caller to each destination: with capture metadata a prompt is in nothing that
// is sent or written, dead letters included, also where a destination is told to keep bodies. With capture full it is found in all of
// that, so the search finds what is there. What goes out is as the event's schema says either way.
func TestAPromptIsInNoSinkWhereNothingIsCaptured(t *testing.T) {
	const canary = "prompt-canary-4711"
	schema := testschema.Read(t, "../../docs/event.schema.json")
	for capture, kept := range map[string]bool{"metadata": false, "full": true} {
		t.Run(capture, func(t *testing.T) {
			dataWith(t, 0) // for what it does to the environment
			sink := &everySink{}
			sink.Server = httptest.NewServer(sink)
			t.Cleanup(sink.Close)
			for name, value := range map[string]string{
				"LLM_PROXY_WEBHOOK_URL": sink.URL + "/hook", "HELICONE_API_KEY": "sk-fake-helicone", "LLM_PROXY_HELICONE_URL": sink.URL,
				"LUNARY_PUBLIC_KEY": "00000000-fake-0000-0000-000000000000", "LLM_PROXY_LUNARY_URL": sink.URL, "LLM_PROXY_S3_BUCKET": "bucket", "LLM_PROXY_S3_PATH_STYLE": "true",
				"LLM_PROXY_LOG_GROUP": "group", "LLM_PROXY_EVENT_BUS": "bus",
				"AWS_ENDPOINT_URL": sink.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_EC2_METADATA_DISABLED": "true",
			} {
				t.Setenv(name, value)
			}
			s := start(t, map[string]string{"LLM_PROXY_CAPTURE": capture, "LLM_PROXY_LOG_LEVEL": "debug", "LLM_PROXY_DEFAULT_MAX_REQUESTS": "10"})
			dir := s.settings.DataDir
			deliver := func(service string) string {
				args := []string{"dispatcher", "--service", service, "--name", "sink-" + service, "--bodies", "--once", "--data-dir", dir}
				if service == eventLogName {
					args = append(args, "--file", filepath.Join(dir, "sink.jsonl"))
				}
				said, talk, err := runLine(t.Context(), args...)
				require.NoError(t, err, "%s: %s", service, talk)
				return sink.empty() + said + talk
			}
			var services []string
			for _, service := range dispatch.Names() {
				if service != ledgerName { // the server has it
					services = append(services, service)
					deliver(service) // from here on
				}
			}
			question := `{"model":"gpt-4o","messages":[{"role":"user","content":"` + canary + `"}]`
			for _, ask := range []struct{ path, body, demo string }{
				{"/v1/chat/completions", question + "}", ""},
				{"/v1/chat/completions", question + `,"stream":true}`, ""},
				{"/v1/chat/completions", question + `,"stream":true}`, "cut-after=3"},
				{"/v1/chat/completions", question + "}", "status=500"},
				{"/v1/chat/completions", question + "}", "garbage"},
				{"/v1/chat/completions", question + "}", "gzip"},
				{"/v1/embeddings", `{"model":"text-embedding-3-small","input":"` + canary + `"}`, ""},
				{"/v1/responses", `{"model":"gpt-4o","input":"` + canary + `"}`, ""},
				{"/v1/chat/completions", `no JSON, but ` + canary, ""},
				{"/v1/chat/completions", strings.Replace(question, "gpt-4o", "gpt-4o\u0000\u202e", 1) + "}", ""},
				{"/v1/chat/completions", question + "}", ""}, // one too many
			} {
				_, _ = io.Copy(io.Discard, s.send(http.MethodPost, ask.path, ask.body, "X-Demo: "+ask.demo).Body) // it may break off
			}
			require.NoError(t, s.end())
			sinks := map[string]string{"the server's log": s.log.String()}
			for _, service := range services {
				sinks[service] = deliver(service)
			}
			for name, text := range sinks {
				if strings.HasPrefix(name, "the server") || name == eventLogName {
					require.NotContains(t, text, canary, name)
					continue
				}
				require.Contains(t, text, "gpt-4o", "%s got nothing", name)
				require.Equal(t, kept, strings.Contains(text, canary), name)
			}
			found := map[string]bool{}
			require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				data, err := os.ReadFile(path)
				if strings.Contains(string(data), canary) {
					found[filepath.Base(path)] = true
				}
				return err
			}))
			if !kept {
				require.Empty(t, found)
			} else {
				require.True(t, found["sink.jsonl"] && found["dead-letters-sink-webhook.jsonl"], "%v", found)
			}

			outcomes := map[string]bool{}
			for _, record := range sink.records {
				var v any
				require.NoError(t, json.Unmarshal([]byte(record), &v))
				require.Empty(t, schema.Problems("event", v, map[string]bool{}), record)
				outcomes[gjson.Get(record, "outcome").Str] = true
			}
			require.Len(t, sink.records, 11)
			require.Equal(t, map[string]bool{string(llmproxy.Complete): true, string(llmproxy.Cut): true, string(llmproxy.UpstreamError): true, string(llmproxy.Refused): true}, outcomes)
		})
	}
}
