package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// cloud plays EventBridge and CloudWatch Logs, and keeps the ids of events.
type cloud struct {
	mu    sync.Mutex
	ids   []string
	lines []string // of each log group
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch r.Header.Get("X-Amz-Target") {
	case "AWSEvents.PutEvents":
		entries := []map[string]string{}
		for _, detail := range gjson.GetBytes(body, "Entries.#.Detail").Array() {
			c.ids = append(c.ids, gjson.Get(detail.Str, "id").Str)
			entries = append(entries, map[string]string{"EventId": "1"})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Entries": entries})
	case "Logs_20140328.FilterLogEvents":
		events := []map[string]any{}
		for _, line := range c.lines {
			events = append(events, map[string]any{"message": line})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"events": events})
	default:
		http.Error(w, "not a request of ours", http.StatusNotImplemented)
	}
}

func start(t *testing.T) (*cloud, []string) {
	c := &cloud{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake",
	} {
		t.Setenv(name, value)
	}
	return c, []string{"LLM_PROXY_EVENT_BUS=events", "LLM_PROXY_LOG_GROUPS=proxy,own"}
}

func TestEachKindOfInvocationPublishesItsEvents(t *testing.T) {
	c, environ := start(t)
	redriver, err := join(environ)
	require.NoError(t, err)
	e := llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Outcome: llmproxy.Complete}
	detail := string(e.AppendMeta(nil))

	sqs, err := json.Marshal(map[string]any{"Records": []map[string]any{
		{"messageId": "1", "body": `{"source":"llm-proxy","detail":` + detail + `}`}, {"messageId": "2", "body": "junk"},
	}})
	require.NoError(t, err)
	answer, err := handle(t.Context(), redriver, sqs)
	require.NoError(t, err)
	text, err := json.Marshal(answer)
	require.NoError(t, err)
	require.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"2"}]}`, string(text))
	require.Equal(t, []string{e.ID.String()}, c.ids)

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	require.NoError(t, json.NewEncoder(z).Encode(map[string]any{"messageType": "DATA_MESSAGE", "logEvents": []map[string]any{{"id": "1", "message": `{"event":` + detail + `}`}}}))
	require.NoError(t, z.Close())
	lines := `{"awslogs":{"data":"` + base64.StdEncoding.EncodeToString(packed.Bytes()) + `"}}`
	_, err = handle(t.Context(), redriver, []byte(lines))
	require.NoError(t, err)
	require.Len(t, c.ids, 2)

	ago := time.Now().Add(-time.Hour)
	begin := llmproxy.Begin{ID: llmproxy.NewEventID(ago), Time: ago, Method: "GET", Path: "/v1/models"}
	c.lines = []string{string(begin.AppendJSON(nil))}
	answer, err = handle(t.Context(), redriver, []byte(`{"source":"aws.events","detail-type":"Scheduled Event"}`))
	require.NoError(t, err)
	require.Equal(t, map[string]int{"lost": 1}, answer)
	require.Equal(t, begin.ID.String(), c.ids[2])

	for _, other := range []string{`{}`, `[]`, `{"awslogs":{"data":"junk"}}`} {
		_, err = handle(t.Context(), redriver, []byte(other))
		require.Error(t, err, other)
	}
}

func TestAllThatIsMissingIsNamedAtOnce(t *testing.T) {
	_, err := join(nil)
	require.ErrorContains(t, err, "LLM_PROXY_EVENT_BUS")
	require.ErrorContains(t, err, "LLM_PROXY_LOG_GROUPS")
}
