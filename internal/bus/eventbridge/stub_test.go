package eventbridge_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// fault is what a service does with one call.
type fault int

const (
	works fault = iota
	refusesConnection
	throttles
	hangs
	losesItsAnswer // after it has taken what was sent
	refusesHalf    // every second entry
	failsInside    // an answer of status 500
)

// cloud answers as EventBridge, SQS and S3 do, and fails as a test tells it. What it has taken it keeps.
type cloud struct {
	*httptest.Server
	mu      sync.Mutex
	bus     func(call int) fault // the first call is 1
	queue   fault
	bucket  fault
	refused string     // the id of an event that the bus never takes
	calls   [][]string // the ids of the entries of each PutEvents
	bytes   []int      // what its entries weigh
	taken   map[string]int
	details map[string]string
	spilled map[string]int
	objects map[string]string
	release chan struct{} // ends what hangs
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{
		bus: func(int) fault { return works }, taken: map[string]int{}, details: map[string]string{}, spilled: map[string]int{},
		objects: map[string]string{}, release: make(chan struct{}),
	}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(func() {
		close(c.release)
		c.Close()
	})
	return c
}

func (c *cloud) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch target := r.Header.Get("X-Amz-Target"); {
	case target == "AWSEvents.PutEvents":
		c.putEvents(w, body)
	case target == "AmazonSQS.SendMessage":
		c.sendMessage(w, body)
	case r.Method == http.MethodPut:
		c.putObject(w, r.URL.Path, string(body))
	default:
		http.Error(w, "no such operation: "+target, http.StatusNotImplemented)
	}
}

// fails does what a fault does instead of answering, and reports whether there was one.
func (c *cloud) fails(w http.ResponseWriter, f fault, throttled string) bool {
	switch f {
	case refusesConnection, losesItsAnswer:
		panic(http.ErrAbortHandler)
	case hangs:
		<-c.release
	case throttles:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":%q,"message":"slow down"}`, throttled)
	case failsInside:
		w.WriteHeader(http.StatusInternalServerError)
	default:
		return false
	}
	return true
}

func (c *cloud) putEvents(w http.ResponseWriter, body []byte) {
	var in struct {
		Entries []struct {
			Detail, DetailType, Source, EventBusName string
			Time                                     float64
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		panic(err)
	}
	c.mu.Lock()
	var ids []string
	size := 0
	type result struct{ EventId, ErrorCode, ErrorMessage *string }
	var out struct {
		FailedEntryCount int
		Entries          []result
	}
	f := c.bus(len(c.calls) + 1)
	for i, e := range in.Entries {
		var detail struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil {
			panic(err)
		}
		ids = append(ids, detail.ID)
		size += len(e.Detail) + len(e.DetailType) + len(e.Source) + 14
		if e.Source != "llm-proxy" || e.DetailType != "request" || e.EventBusName != "bus" || e.Time == 0 || f == refusesHalf && i%2 == 1 || detail.ID == c.refused {
			out.FailedEntryCount++
			out.Entries = append(out.Entries, result{ErrorCode: aws.String("InternalFailure"), ErrorMessage: aws.String("fake")})
			continue
		}
		if f == works || f == losesItsAnswer || f == refusesHalf {
			c.taken[detail.ID]++
			c.details[detail.ID] = e.Detail
		}
		out.Entries = append(out.Entries, result{EventId: aws.String("e-" + detail.ID)})
	}
	c.calls = append(c.calls, ids)
	c.bytes = append(c.bytes, size)
	c.mu.Unlock()
	if c.fails(w, f, "ThrottlingException") {
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out)
}

func (c *cloud) sendMessage(w http.ResponseWriter, body []byte) {
	var in struct{ MessageBody, QueueUrl string }
	if err := json.Unmarshal(body, &in); err != nil {
		panic(err)
	}
	var message struct {
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
		Detail     struct {
			ID string `json:"id"`
		} `json:"detail"`
	}
	if err := json.Unmarshal([]byte(in.MessageBody), &message); err != nil || message.Source != "llm-proxy" || message.DetailType != "request" {
		panic(fmt.Sprint("not a message of ours: ", in.MessageBody))
	}
	c.mu.Lock()
	f := c.queue
	if f == works || f == losesItsAnswer {
		c.spilled[message.Detail.ID]++
	}
	c.mu.Unlock()
	if c.fails(w, f, "RequestThrottled") {
		return
	}
	sum := md5.Sum([]byte(in.MessageBody))
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	fmt.Fprintf(w, `{"MessageId":"m","MD5OfMessageBody":%q}`, hex.EncodeToString(sum[:]))
}

func (c *cloud) putObject(w http.ResponseWriter, path, body string) {
	c.mu.Lock()
	f := c.bucket
	if f == works {
		c.objects[path] = body
	}
	c.mu.Unlock()
	c.fails(w, f, "SlowDown")
}

// lines keeps what goes to the log.
type lines struct {
	mu   sync.Mutex
	all  []string
	fail bool
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail {
		return 0, io.ErrClosedPipe
	}
	l.all = append(l.all, string(p))
	return len(p), nil
}

// of returns the ids that lines of a kind name, and how often.
func (l *lines) of(t *testing.T, kind string) map[string]int {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := map[string]int{}
	for _, line := range l.all {
		require.Equal(t, 1, strings.Count(line, "\n"), "one line at a time")
		var told map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &told), line)
		switch v := told[kind].(type) {
		case string:
			ids[v]++
		case map[string]any:
			ids[v["id"].(string)]++
		}
	}
	return ids
}

// rig is a publisher on a cloud.
type rig struct {
	*eventbridge.Publisher
	cloud *cloud
	lines *lines
}

// start makes one. A patience of 0 is as much as a busy machine needs.
func start(t *testing.T, patience time.Duration) *rig {
	t.Helper()
	if patience == 0 {
		patience = time.Minute
	}
	c := newCloud(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(c.URL), HTTPClient: awshttp.New(&http.Client{Transport: transport}),
		Credentials: credentials.NewStaticCredentialsProvider("fake", "fake", ""),
	}
	l := &lines{}
	p, err := eventbridge.New(eventbridge.Config{
		Bus: sdkbridge.NewFromConfig(cfg), BusName: "bus", Queue: sqs.NewFromConfig(cfg), QueueURL: c.URL + "/queue",
		Bucket: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }), BucketName: "bucket", Lines: l, Patience: patience,
	})
	require.NoError(t, err)
	return &rig{p, c, l}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// event makes one of a finished request with a body of some bytes.
func event(bodyBytes int) *llmproxy.Event {
	body := []byte(strings.Repeat("x", bodyBytes))
	return &llmproxy.Event{
		ID: llmproxy.NewEventID(noon), Time: noon, TokenID: llmproxy.NewTokenID(noon), ProjectID: llmproxy.NewProjectID(noon), Provider: "openai",
		Method: "POST", Path: "/v1/chat/completions", Status: 200, Outcome: llmproxy.Complete,
		Request:  llmproxy.Message{Bytes: int64(len(body)), ContentType: "application/json", Body: &llmproxy.Body{Head: body, Size: int64(len(body))}},
		Response: llmproxy.Message{Bytes: 2, ContentType: "application/json", Body: &llmproxy.Body{Head: []byte("{}"), Size: 2}},
	}
}

// publish runs n requests through the publisher and returns their ids.
func (r *rig) publish(n, bodyBytes int) []string {
	var ids []string
	for range n {
		e := event(bodyBytes)
		r.Begin(&llmproxy.Begin{ID: e.ID, Time: e.Time, TokenID: e.TokenID, ProjectID: e.ProjectID, Method: e.Method, Path: e.Path})
		r.Publish(e)
		ids = append(ids, e.ID.String())
	}
	return ids
}

// places says where each event is. Every one must be somewhere.
func (r *rig) places(t *testing.T, ids []string) (onBus, inQueue, inLog int) {
	t.Helper()
	logged, ends, begins := r.lines.of(t, "event"), r.lines.of(t, "end"), r.lines.of(t, "begin")
	r.cloud.mu.Lock()
	defer r.cloud.mu.Unlock()
	for _, id := range ids {
		require.Equal(t, 1, begins[id])
		onBus += min(1, r.cloud.taken[id])
		inQueue += min(1, r.cloud.spilled[id])
		inLog += logged[id]
		require.Positive(t, r.cloud.taken[id]+r.cloud.spilled[id]+logged[id], "event %s is lost", id)
		require.LessOrEqual(t, logged[id]+ends[id], 1, "confirmed once, or left in the log")
		require.Positive(t, logged[id]+ends[id])
	}
	require.Len(t, ids, len(begins), "no id that was not begun")
	for id := range r.cloud.taken {
		require.Contains(t, begins, id)
	}
	return onBus, inQueue, inLog
}
