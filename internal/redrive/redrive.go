// Package redrive brings events to the bus that did not reach it: those in the spill queue, those that stayed in the log, and those of
// requests that began and never ended, which are lost.
package redrive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

const (
	source        = "llm-proxy"
	detailType    = "request"
	maxBatch      = 10        // entries of one call
	maxBatchBytes = 250 << 10 // of one call: EventBridge takes 256 KiB
	entryOverhead = len(source) + len(detailType) + 14
)

// Bus is what is asked of EventBridge.
type Bus interface {
	PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, opts ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// Config joins the parts of a [Redriver]. Bus and BusName are required, Logs and Groups for lost events.
type Config struct {
	Bus     Bus
	BusName string
	Logs    Logs
	Groups  []string         // log groups with begins and ends: the proxy's, and that of Lines
	Lines   io.Writer        // is told the end of each event that was lost, so that it is not found again
	Now     func() time.Time // nil: time.Now
	Log     *zap.Logger      // nil logs nothing
}

// Redriver publishes events again. An event keeps its id, so whoever has seen it recognizes it.
type Redriver struct {
	cfg   Config
	lines sync.Mutex
}

// New returns a redriver. It does no I/O.
func New(cfg Config) *Redriver {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Redriver{cfg: cfg}
}

// Message is a message of the spill queue.
type Message struct {
	ID   string // as the queue knows it
	Body string // {"source","detail-type","detail"}, as a rule of the bus would have brought it
}

// Spilled publishes messages of the spill queue and returns the ids of those that have to come again: what the bus does not take, and
// what is no event, which the queue moves to its dead letters in the end.
func (r *Redriver) Spilled(ctx context.Context, messages []Message) (again []string) {
	var entries []entry
	for _, m := range messages {
		var body struct {
			Detail json.RawMessage `json:"detail"`
		}
		err := json.Unmarshal([]byte(m.Body), &body)
		var e entry
		if err == nil {
			e, err = newEntry(m.ID, body.Detail)
		}
		if err != nil {
			r.cfg.Log.Error("a message of the spill queue is no event", zap.String("message_id", m.ID), zap.Error(err))
			again = append(again, m.ID)
			continue
		}
		entries = append(entries, e)
	}
	for _, left := range r.publish(ctx, entries) {
		again = append(again, left.key)
	}
	return again
}

// Logged publishes the events in lines of the log, {"event": ...}. An error says that some have to be published again, all of them.
func (r *Redriver) Logged(ctx context.Context, lines []string) error {
	var entries []entry
	for _, line := range lines {
		var body struct {
			Event json.RawMessage `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &body); err != nil || body.Event == nil {
			continue // a line of another kind
		}
		e, err := newEntry("", body.Event)
		if err != nil {
			r.cfg.Log.Error("a line of the log has a damaged event", zap.Error(err))
			continue
		}
		entries = append(entries, e)
	}
	if left := r.publish(ctx, entries); len(left) > 0 {
		return fmt.Errorf("the bus did not take %d of %d events that stayed in the log", len(left), len(entries))
	}
	for _, e := range entries {
		if err := r.end(e.id); err != nil {
			return err
		}
	}
	return nil
}

// entry is an event on its way to the bus.
type entry struct {
	key    string // of its message
	id     llmproxy.EventID
	time   time.Time
	detail string
}

func newEntry(key string, detail []byte) (entry, error) {
	if len(detail) == 0 {
		return entry{}, errors.New("it has no detail")
	}
	var e llmproxy.Event
	if err := json.Unmarshal(detail, &e); err != nil {
		return entry{}, err
	}
	return entry{key: key, id: e.ID, time: e.Time, detail: string(detail)}, nil
}

// publish sends entries in batches and returns those that the bus did not take.
func (r *Redriver) publish(ctx context.Context, entries []entry) (left []entry) {
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && n < maxBatch {
			size += len(entries[n].detail) + entryOverhead
			if n > 0 && size > maxBatchBytes {
				break
			}
			n++
		}
		left = append(left, r.put(ctx, entries[:n])...)
		entries = entries[n:]
	}
	return left
}

func (r *Redriver) put(ctx context.Context, entries []entry) (left []entry) {
	in := &eventbridge.PutEventsInput{}
	for _, e := range entries {
		in.Entries = append(in.Entries, types.PutEventsRequestEntry{
			EventBusName: &r.cfg.BusName, Source: aws.String(source), DetailType: aws.String(detailType), Detail: aws.String(e.detail), Time: aws.Time(e.time),
		})
	}
	out, err := r.cfg.Bus.PutEvents(ctx, in)
	if err != nil {
		r.cfg.Log.Warn("the bus did not take events", zap.Int("events", len(entries)), zap.Error(err))
		return entries
	}
	for i, e := range entries {
		if i < len(out.Entries) && out.Entries[i].EventId != nil {
			r.cfg.Log.Info("an event is published again", zap.Stringer("request_id", e.id))
			continue
		}
		reason := "it was not mentioned in the answer"
		if i < len(out.Entries) {
			reason = aws.ToString(out.Entries[i].ErrorCode) + ": " + aws.ToString(out.Entries[i].ErrorMessage)
		}
		r.cfg.Log.Warn("the bus did not take an event", zap.Stringer("request_id", e.id), zap.String("reason", reason))
		left = append(left, e)
	}
	return left
}

// end tells the log that an event has reached the bus.
func (r *Redriver) end(id llmproxy.EventID) error {
	r.lines.Lock()
	defer r.lines.Unlock()
	_, err := fmt.Fprintf(r.cfg.Lines, `{"end":"%s"}`+"\n", id)
	return err
}
