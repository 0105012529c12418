package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/dispatch/batch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// queue plays SQS, with times as real: a message is hidden once it was received and comes again if it is not deleted.
type queue struct {
	mu       sync.Mutex
	messages []*queued
	letters  []string // bodies in the other queue
	refuse   string   // an action that fails
	receives int      // calls
	prolongs int
}

type queued struct {
	id, body string
	receives int
	visible  time.Time
	sent     time.Time
}

func newQueue(t *testing.T, bodies ...string) (*queue, *batch.Queue) {
	q := &queue{}
	for i, body := range bodies {
		q.messages = append(q.messages, &queued{id: fmt.Sprint("m", i), body: body, sent: noon.Add(time.Duration(i) * time.Minute)})
	}
	cfg := cloud(t, q.serve)
	return q, &batch.Queue{Client: sqs.NewFromConfig(cfg), URL: *cfg.BaseEndpoint + "/1/queue", Dead: *cfg.BaseEndpoint + "/1/dead"}
}

func (q *queue) serve(w http.ResponseWriter, r *http.Request) {
	var in struct {
		MessageBody         string
		MaxNumberOfMessages int
		WaitTimeSeconds     int
		VisibilityTimeout   int
		Entries             []struct {
			ID                string `json:"Id"`
			ReceiptHandle     string
			VisibilityTimeout int
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	q.mu.Lock()
	defer q.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if action == q.refuse {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	answer := map[string]any{}
	switch action {
	case "SendMessage":
		q.letters = append(q.letters, in.MessageBody)
	case "ReceiveMessage":
		q.receives++
		var got []map[string]any
		for end := time.Now().Add(min(time.Duration(in.WaitTimeSeconds)*time.Second, 100*time.Millisecond)); ; {
			for _, m := range q.messages {
				if len(got) < in.MaxNumberOfMessages && !m.visible.After(time.Now()) {
					m.receives++
					m.visible = time.Now().Add(time.Duration(in.VisibilityTimeout) * time.Second)
					got = append(got, map[string]any{"MessageId": m.id, "ReceiptHandle": m.id, "Body": m.body, "Attributes": map[string]string{
						"ApproximateReceiveCount": fmt.Sprint(m.receives), "SentTimestamp": fmt.Sprint(m.sent.UnixMilli()),
					}})
				}
			}
			if got != nil || !time.Now().Before(end) {
				break
			}
			q.mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			q.mu.Lock()
		}
		answer["Messages"] = got
	case "DeleteMessageBatch":
		for _, e := range in.Entries {
			q.messages = slices.DeleteFunc(q.messages, func(m *queued) bool { return m.id == e.ReceiptHandle })
		}
	case "ChangeMessageVisibilityBatch":
		q.prolongs++
		for _, e := range in.Entries {
			for _, m := range q.messages {
				if m.id == e.ReceiptHandle {
					m.visible = time.Now().Add(time.Duration(e.VisibilityTimeout) * time.Second)
				}
			}
		}
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// in is what is in the queue: the ids, and for how long each is hidden.
func (q *queue) in() map[string]time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := map[string]time.Duration{}
	for _, m := range q.messages {
		all[m.id] = time.Until(m.visible).Round(10 * time.Second)
	}
	return all
}

func body(e *llmproxy.Event) string { return message("", e).Body }

func receiver(q *batch.Queue, p *place, change ...func(*batch.ReceiverConfig)) *batch.Receiver {
	cfg := batch.ReceiverConfig{Queue: q, Consumer: batch.New(batch.Config{
		Name: "place", Destination: p, Meter: func(*llmproxy.Event) error { return nil }, Letters: q, Records: &shelf{},
	})}
	for _, c := range change {
		c(&cfg)
	}
	return batch.NewReceiver(cfg)
}

func TestAQueueIsEmptiedOfWhatIsDeliveredAlone(t *testing.T) {
	never, slow := event(), event()
	bodies := []string{body(never), "junk", body(slow)}
	var want []llmproxy.EventID
	for range 25 {
		e := event()
		want = append(want, e.ID)
		bodies = append(bodies, body(e))
	}
	q, at := newQueue(t, bodies...)
	p := &place{answer: func(_ int, events []*llmproxy.Event) []dispatch.Result {
		results := make([]dispatch.Result, len(events))
		for i, e := range events {
			switch e.ID {
			case never.ID:
				results[i] = dispatch.Retry(errors.New("503"), 0)
			case slow.ID:
				results[i] = dispatch.Retry(errors.New("429"), 10*time.Minute)
			}
		}
		return results
	}}
	now := noon.Add(time.Hour)
	r := receiver(at, p, func(c *batch.ReceiverConfig) {
		c.Size, c.Timeout, c.Now = 20, 20*time.Second, func() time.Time { return now }
	})
	require.NoError(t, r.Run(t.Context(), true))
	var got []llmproxy.EventID
	for _, e := range p.got {
		got = append(got, e.ID)
	}
	require.Equal(t, want, got)
	require.Equal(t, map[string]time.Duration{"m0": time.Minute, "m2": 10 * time.Minute}, q.in(), "what has to come again is hidden, for as long as was asked for")
	require.Equal(t, []string{"junk"}, q.letters)
	require.EqualValues(t, 26, r.Delivered())
	require.EqualValues(t, 2, r.Left())

	told := r.Stats()
	require.Contains(t, []string{"503", "429"}, told.LastError)
	told.LastError = ""
	require.Equal(t, dispatch.Stats{Since: now, Delivered: 25, Retried: 2, Dead: 1, Oldest: noon.Local(), LastDelivery: now, LastErrorAt: now}, told)
	now = now.Add(10 * time.Minute)
	require.Equal(t, noon.Add(2*time.Minute).Local(), r.Stats().Oldest, "what should have come again long ago is another's by now")
	now = now.Add(10 * time.Minute)
	require.Zero(t, r.Stats().Oldest)
}

func TestWhatTakesLongStaysHiddenFromOthers(t *testing.T) {
	q, at := newQueue(t, body(event()))
	release := make(chan struct{})
	p := &place{answer: func(_ int, events []*llmproxy.Event) []dispatch.Result {
		<-release
		return make([]dispatch.Result, len(events))
	}}
	ended := make(chan error, 1)
	go func() {
		ended <- receiver(at, p, func(c *batch.ReceiverConfig) { c.Hidden = time.Second }).Run(t.Context(), true)
	}()
	require.Eventually(t, func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.prolongs >= 4 // beyond the second for which it was hidden at first
	}, time.Minute, 5*time.Millisecond)
	require.Equal(t, 1, q.messages[0].receives)
	close(release)
	require.NoError(t, <-ended)
	require.Empty(t, q.in())
}

func TestAReceiverThatIsToEndEndsWhatItHasInHand(t *testing.T) {
	good, stuck := event(), event()
	q, at := newQueue(t, body(good), body(stuck))
	begun := make(chan struct{}, 10)
	p := &place{answer: func(_ int, events []*llmproxy.Event) []dispatch.Result {
		begun <- struct{}{}
		results := make([]dispatch.Result, len(events))
		for i, e := range events {
			if e.ID == stuck.ID {
				results[i] = dispatch.Retry(errors.New("503"), 0)
			}
		}
		return results
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- receiver(at, p, func(c *batch.ReceiverConfig) { c.Grace = time.Millisecond }).Run(ctx, false)
	}()
	<-begun
	stop()
	require.NoError(t, <-ended)
	require.Len(t, p.got, 1)
	require.Equal(t, map[string]time.Duration{"m1": 0}, q.in(), "what is not delivered is shown to others at once")
}

func TestAQueueThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	q, at := newQueue(t, body(event()))
	q.refuse = "ReceiveMessage"
	p := &place{}
	require.ErrorContains(t, receiver(at, p).Run(t.Context(), true), "receive messages")

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	asking := receiver(at, p)
	go func() { ended <- asking.Run(ctx, false) }()
	require.Eventually(t, func() bool { return asking.Stats().Failing }, time.Minute, time.Millisecond)
	require.Contains(t, asking.Stats().LastError, "receive messages")
	q.mu.Lock()
	q.refuse = ""
	q.mu.Unlock()
	require.Eventually(t, func() bool { return len(q.in()) == 0 && !asking.Stats().Failing }, time.Minute, 5*time.Millisecond)
	stop()
	require.NoError(t, <-ended)

	// What cannot be deleted is delivered, and comes again.
	q, at = newQueue(t, body(event()))
	q.refuse = "DeleteMessageBatch"
	r := receiver(at, p)
	require.NoError(t, r.Run(t.Context(), true))
	require.Len(t, q.in(), 1)
	require.EqualValues(t, 1, r.Delivered())
}
