package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// cloud plays S3 and SQS.
type cloud struct {
	mu      sync.Mutex
	down    bool              // S3
	objects map[string]string // lines by path
	letters []string          // bodies of requests to SQS
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Header.Get("X-Amz-Target") == "AmazonSQS.SendMessage":
		body, _ := io.ReadAll(r.Body)
		c.letters = append(c.letters, string(body))
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{"MessageId":"1"}`)
	case r.Method == http.MethodPut && !c.down:
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		lines, _ := io.ReadAll(z)
		c.objects[r.URL.Path] = string(lines)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func start(t *testing.T) (*cloud, []string) {
	c := &cloud{objects: map[string]string{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake",
	} {
		t.Setenv(name, value)
	}
	return c, []string{
		"LLM_PROXY_DESTINATION=s3", "LLM_PROXY_S3_BUCKET=bucket", "LLM_PROXY_S3_PREFIX=requests/", "LLM_PROXY_EVENT_BUCKET=bucket",
		"LLM_PROXY_DEAD_LETTERS=" + server.URL + "/1/dead",
	}
}

func TestABatchOfTheQueueReachesTheBucket(t *testing.T) {
	c, environ := start(t)
	consumer, err := join(environ)
	require.NoError(t, err)
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	e := llmproxy.Event{ID: llmproxy.NewEventID(noon), Time: noon, Path: "/v1/chat/completions", Outcome: llmproxy.Complete}
	record := func(id, body string) events.SQSMessage {
		return events.SQSMessage{MessageId: id, Body: body, Attributes: map[string]string{"ApproximateReceiveCount": "3"}}
	}
	good := record("1", `{"detail":`+string(e.AppendJSON(nil))+`}`)

	answer := handle(t.Context(), consumer, events.SQSEvent{Records: []events.SQSMessage{good, record("2", "junk")}})
	require.Empty(t, answer.BatchItemFailures)
	require.Len(t, c.objects, 1)
	for path, lines := range c.objects {
		require.True(t, strings.HasPrefix(path, "/bucket/requests/dt=2026-11-22/hour=12/"), path)
		require.Equal(t, e.ID.String(), gjson.Get(lines, "id").Str)
	}
	require.Len(t, c.letters, 1)
	require.Equal(t, "junk", gjson.Get(c.letters[0], "MessageBody").Str)
	require.Equal(t, "3", gjson.Get(c.letters[0], "MessageAttributes.receives.StringValue").Str)

	c.down = true
	answer = handle(t.Context(), consumer, events.SQSEvent{Records: []events.SQSMessage{good}})
	require.Equal(t, []events.SQSBatchItemFailure{{ItemIdentifier: "1"}}, answer.BatchItemFailures)
	require.Len(t, c.letters, 1)
}

func TestAllThatIsMissingIsNamedAtOnce(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1") // as Lambda does
	_, err := join(nil)
	for _, name := range []string{"LLM_PROXY_DESTINATION", "LLM_PROXY_DEAD_LETTERS", "LLM_PROXY_EVENT_BUCKET"} {
		require.ErrorContains(t, err, name)
	}
	_, err = join([]string{"LLM_PROXY_DESTINATION=carrier-pigeon", "LLM_PROXY_DEAD_LETTERS=q", "LLM_PROXY_EVENT_BUCKET=b"})
	require.ErrorContains(t, err, "carrier-pigeon")
}
