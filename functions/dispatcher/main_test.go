package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// cloud plays S3, SQS, Secrets Manager and a webhook.
type cloud struct {
	mu      sync.Mutex
	down    bool              // S3
	objects map[string]string // lines by path
	letters []string          // bodies of requests to SQS
	hidden  []string          // likewise
	secret  string            // empty is none
	reads   int               // of it
	posted  []string          // ids of events
	wait    string            // seconds for which the webhook wants to be left alone; empty takes
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
	case r.Header.Get("X-Amz-Target") == "AmazonSQS.ChangeMessageVisibilityBatch":
		body, _ := io.ReadAll(r.Body)
		c.hidden = append(c.hidden, string(body))
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{"Successful":[]}`)
	case r.Header.Get("X-Amz-Target") == "secretsmanager.GetSecretValue" && c.secret != "":
		c.reads++
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": c.secret})
	case r.URL.Path == "/hook" && c.wait != "":
		w.Header().Set("Retry-After", c.wait)
		w.WriteHeader(http.StatusTooManyRequests)
	case r.URL.Path == "/hook":
		body, _ := io.ReadAll(r.Body)
		c.posted = append(c.posted, gjson.GetBytes(body, "id").Str)
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
		"LLM_PROXY_QUEUE=" + server.URL + "/1/queue", "LLM_PROXY_DEAD_LETTERS=" + server.URL + "/1/dead",
	}
}

func TestABatchOfTheQueueReachesTheBucket(t *testing.T) {
	c, environ := start(t)
	d, err := join(environ)
	require.NoError(t, err)
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	e := llmproxy.Event{ID: llmproxy.NewEventID(noon), Time: noon, Path: "/v1/chat/completions", Outcome: llmproxy.Complete}
	good := record("1", `{"detail":`+string(e.AppendJSON(nil))+`}`)

	answer, err := d.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{good, record("2", "junk")}})
	require.NoError(t, err)
	require.Empty(t, answer.BatchItemFailures)
	require.Empty(t, c.hidden)
	require.Len(t, c.objects, 1)
	for path, lines := range c.objects {
		require.True(t, strings.HasPrefix(path, "/bucket/requests/dt=2026-11-22/hour=12/"), path)
		require.Equal(t, e.ID.String(), gjson.Get(lines, "id").Str)
	}
	require.Len(t, c.letters, 1)
	require.Equal(t, "junk", gjson.Get(c.letters[0], "MessageBody").Str)
	require.Equal(t, "3", gjson.Get(c.letters[0], "MessageAttributes.receives.StringValue").Str)

	c.down = true
	answer, err = d.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{good}})
	require.NoError(t, err)
	require.Equal(t, []events.SQSBatchItemFailure{{ItemIdentifier: "1"}}, answer.BatchItemFailures)
	require.Len(t, c.letters, 1)
	require.Equal(t, "receipt-1", gjson.Get(c.hidden[0], "Entries.0.ReceiptHandle").Str)
	require.EqualValues(t, 16*60, gjson.Get(c.hidden[0], "Entries.0.VisibilityTimeout").Int(), "it came for the third time")
}

func TestABatchIsALineThatCloudWatchMakesMetricsOf(t *testing.T) {
	c, environ := start(t)
	d, err := join(append(environ, "LLM_PROXY_DELIVERY_NAMESPACE=LlmProxy/Delivery"))
	require.NoError(t, err)
	var log bytes.Buffer
	d.metrics.lines = &log
	e := llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Path: "/v1/models", Outcome: llmproxy.Complete}
	good := record("1", `{"detail":`+string(e.AppendJSON(nil))+`}`)
	_, err = d.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{good, record("2", "junk")}})
	require.NoError(t, err)
	require.Equal(t, "LlmProxy/Delivery", gjson.Get(log.String(), "_aws.CloudWatchMetrics.0.Namespace").Str)
	require.JSONEq(t, `["queue"]`, gjson.Get(log.String(), "_aws.CloudWatchMetrics.0.Dimensions.0").Raw)
	require.JSONEq(t, `["delivered","retried","dead"]`, gjson.Get(log.String(), "_aws.CloudWatchMetrics.0.Metrics.#.Name").Raw)
	require.InDelta(t, time.Now().UnixMilli(), gjson.Get(log.String(), "_aws.Timestamp").Int(), 60_000)
	told := func(name string) int64 { return gjson.Get(log.String(), name).Int() }
	require.Equal(t, "queue", gjson.Get(log.String(), "queue").Str)
	require.Equal(t, []int64{1, 0, 1}, []int64{told("delivered"), told("retried"), told("dead")})

	log.Reset()
	c.down = true
	answer, err := d.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{good}})
	require.NoError(t, err)
	require.Len(t, answer.BatchItemFailures, 1)
	require.EqualValues(t, 0, told("delivered"))
	require.Positive(t, told("retried"))
	require.EqualValues(t, 0, told("dead"), "each line has its own batch alone")

	_, err = join(append(environ, "LLM_PROXY_DELIVERY_NAMESPACE=a b"))
	require.ErrorContains(t, err, "LLM_PROXY_DELIVERY_NAMESPACE")
}

// record is a message as Lambda hands it over.
func record(id, body string) events.SQSMessage {
	return events.SQSMessage{MessageId: id, ReceiptHandle: "receipt-" + id, Body: body, Attributes: map[string]string{"ApproximateReceiveCount": "3"}}
}

func TestTheSecretSaysWhereTo(t *testing.T) {
	c, environ := start(t)
	hook := os.Getenv("AWS_ENDPOINT_URL") + "/hook"
	environ = append(environ, "LLM_PROXY_DESTINATION=webhook", "LLM_PROXY_DESTINATION_SECRET=arn:aws:secretsmanager:us-east-1:000000000000:secret:hook", "LLM_PROXY_DISPATCHER_PAUSE=1s")
	d, err := join(environ)
	require.NoError(t, err, "nothing is read before there is something to deliver")
	e := llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Path: "/v1/models", Outcome: llmproxy.Complete}
	batch := events.SQSEvent{Records: []events.SQSMessage{record("1", `{"detail":`+string(e.AppendJSON(nil))+`}`)}}

	for secret, want := range map[string]string{
		"": "read the destination's secret", "sk-fake-junk": "is no JSON object of strings", `{"LLM_PROXY_QUEUE":"sk-fake"}`: `"LLM_PROXY_QUEUE", which is no setting`, `{}`: "URL is missing",
	} {
		c.secret = secret
		_, err = d.handle(t.Context(), batch)
		require.ErrorContains(t, err, want, "all of it comes again")
		require.NotContains(t, err.Error(), "sk-fake")
	}

	c.secret = `{"LLM_PROXY_WEBHOOK_URL":"` + hook + `"}`
	c.reads = 0
	for range 2 {
		answer, err := d.handle(t.Context(), batch)
		require.NoError(t, err)
		require.Empty(t, answer.BatchItemFailures)
	}
	require.Equal(t, []string{e.ID.String(), e.ID.String()}, c.posted)
	require.Equal(t, 1, c.reads)

	c.secret, d.since = "", time.Now().Add(-secretFor)
	_, err = d.handle(t.Context(), batch)
	require.NoError(t, err, "what it said before is used")
	require.Len(t, c.posted, 3)
	c.secret = `{"LLM_PROXY_WEBHOOK_URL":"` + hook + `elsewhere"}`
	answer, err := d.handle(t.Context(), batch)
	require.NoError(t, err)
	require.Len(t, answer.BatchItemFailures, 1, "a new secret holds")

	c.secret, c.wait, d.since = `{"LLM_PROXY_WEBHOOK_URL":"`+hook+`"}`, "77", time.Time{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answer, err = d.handle(ctx, batch)
	require.NoError(t, err)
	require.Len(t, answer.BatchItemFailures, 1)
	require.EqualValues(t, 77, gjson.Get(c.hidden[len(c.hidden)-1], "Entries.0.VisibilityTimeout").Int(), "as long as it asked for")
}

func TestAllThatIsMissingIsNamedAtOnce(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1") // as Lambda does
	_, err := join(nil)
	for _, name := range []string{"LLM_PROXY_DESTINATION", "LLM_PROXY_DEAD_LETTERS", "LLM_PROXY_EVENT_BUCKET"} {
		require.ErrorContains(t, err, name)
	}
	_, err = join([]string{"LLM_PROXY_DESTINATION=carrier-pigeon", "LLM_PROXY_QUEUE=q", "LLM_PROXY_DEAD_LETTERS=q", "LLM_PROXY_EVENT_BUCKET=b"})
	require.ErrorContains(t, err, "carrier-pigeon")
}
