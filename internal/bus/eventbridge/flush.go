package eventbridge

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
)

const (
	// source and detailType are what rules on the bus match.
	source     = "llm-proxy"
	detailType = "request"

	maxBatch      = 10        // entries of one call
	maxBatchBytes = 250 << 10 // of one call: EventBridge takes 256 KiB
	entryOverhead = len(source) + len(detailType) + 14
	insist        = 300 * time.Millisecond // how long the bus is asked again after it first refused
	firstPause    = 20 * time.Millisecond  // before it is asked again; doubled each time
	forLines      = 100 * time.Millisecond // of a flush's time, kept for writing to the log
)

// entry is an event in the form it is sent in.
type entry struct {
	event  *llmproxy.Event
	detail []byte
	sent   bool // it has reached the bus, the queue or the log
}

// Flush sends what is queued. What the bus does not take goes to the spill queue, and what that does not take to the log, at the latest
// shortly before ctx ends. It returns when every event has found its place.
func (p *Publisher) Flush(ctx context.Context) {
	events := p.take()
	if len(events) == 0 {
		return
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-forLines))
		defer cancel()
	}
	entries := make([]*entry, 0, len(events))
	for _, e := range events {
		entries = append(entries, &entry{event: e})
	}
	defer func() { // also after a panic
		for _, e := range entries {
			if !e.sent {
				p.leaveInLog(e.event)
			}
		}
	}()
	for _, e := range entries {
		p.encode(ctx, e)
	}
	p.spill(ctx, p.sendAll(ctx, entries))
}

// patience is how long a call may take. It leaves time to those that may have to follow.
func (p *Publisher) patience(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(p.cfg.Patience, time.Until(deadline)/3)
	}
	return p.cfg.Patience
}

// encode reads the usage from the bodies and makes the record. Bodies that are too large for the bus go to the bucket.
func (p *Publisher) encode(ctx context.Context, e *entry) {
	_ = usage.Read(e.event) // what cannot be read stays unknown, and a dispatcher estimates it
	e.detail = e.event.AppendJSON(nil)
	if len(e.detail) <= llmproxy.MaxOnBus {
		return
	}
	if p.store(ctx, e.event.ClaimKey(), e.detail) {
		e.event.Claim()
	} else {
		e.event.Request.Body, e.event.Response.Body = nil, nil
		p.count(func(s *Stats) { s.Stripped++ })
	}
	e.detail = e.event.AppendJSON(nil)
}

// store keeps the whole record in the bucket and reports whether it is there.
func (p *Publisher) store(ctx context.Context, key string, record []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, p.patience(ctx))
	defer cancel()
	for pause := firstPause; ; pause *= 2 {
		_, err := p.cfg.Bucket.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &p.cfg.BucketName, Key: &key, Body: bytes.NewReader(record), ContentType: aws.String("application/json"),
		}, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
		if err == nil {
			return true
		}
		if !sleep(ctx, pause) {
			p.cfg.Log.Warn("bodies too large for the bus could not be stored, the event goes without them", zap.String("key", key), zap.Error(err))
			return false
		}
	}
}

// sendAll sends entries in batches and returns those that the bus did not take.
func (p *Publisher) sendAll(ctx context.Context, entries []*entry) (left []*entry) {
	var giveUp time.Time // set when the bus first refuses
	for len(entries) > 0 {
		n := batch(entries)
		left = append(left, p.send(ctx, entries[:n], &giveUp)...)
		entries = entries[n:]
	}
	return left
}

// batch is how many of the entries go into one call.
func batch(entries []*entry) int {
	size := 0
	for i, e := range entries {
		size += len(e.detail) + entryOverhead
		if i == maxBatch || i > 0 && size > maxBatchBytes {
			return i
		}
	}
	return len(entries)
}

// errRefused stands for entries that the bus did not take though it answered.
var errRefused = errors.New("entries were refused")

// send sends a batch, and of what is refused those entries again, until the time to give up. It returns what is left.
func (p *Publisher) send(ctx context.Context, entries []*entry, giveUp *time.Time) []*entry {
	for pause := firstPause; ; pause *= 2 {
		if !giveUp.IsZero() && !time.Now().Before(*giveUp) {
			return entries
		}
		var err error
		if entries, err = p.put(ctx, entries, *giveUp); err == nil {
			return nil
		}
		p.cfg.Log.Warn("the bus did not take events", zap.Int("events", len(entries)), zap.Stringer("first", entries[0].event.ID), zap.Error(err))
		if giveUp.IsZero() {
			*giveUp = time.Now().Add(p.insist)
			if errors.Is(err, context.DeadlineExceeded) {
				*giveUp = time.Now() // it has had its time
			}
		}
		pausing, cancel := context.WithDeadline(ctx, *giveUp)
		goesOn := sleep(pausing, pause)
		cancel()
		if !goesOn {
			return entries
		}
	}
}

// put makes one call and returns the entries that are not taken.
func (p *Publisher) put(ctx context.Context, entries []*entry, giveUp time.Time) ([]*entry, error) {
	until := time.Now().Add(p.patience(ctx))
	if !giveUp.IsZero() && giveUp.Before(until) {
		until = giveUp
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	in := &eventbridge.PutEventsInput{Entries: make([]types.PutEventsRequestEntry, len(entries))}
	for i, e := range entries {
		in.Entries[i] = types.PutEventsRequestEntry{
			EventBusName: &p.cfg.BusName, Source: aws.String(source), DetailType: aws.String(detailType), Detail: aws.String(string(e.detail)), Time: &e.event.Time,
		}
	}
	out, err := p.cfg.Bus.PutEvents(ctx, in, func(o *eventbridge.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return entries, err
	}
	var refused []*entry
	for i, e := range entries {
		if i >= len(out.Entries) || out.Entries[i].ErrorCode != nil || out.Entries[i].EventId == nil {
			refused = append(refused, e)
			continue
		}
		p.done(e, func(s *Stats) { s.Published++ })
	}
	if refused != nil {
		return refused, errRefused
	}
	return nil, nil
}

// done notes in the log that an event is safe.
func (p *Publisher) done(e *entry, count func(*Stats)) {
	e.sent = true
	p.line(append(append([]byte(`{"end":"`), e.event.ID.String()...), `"}`...))
	p.count(count)
}

// spill gives events to the queue. Those that it does not take are left to the log; one that does not answer is not asked again.
func (p *Publisher) spill(ctx context.Context, entries []*entry) {
	for _, e := range entries {
		err := p.enqueue(ctx, e)
		if err == nil {
			p.done(e, func(s *Stats) { s.Spilled++ })
			continue
		}
		p.cfg.Log.Error("the spill queue did not take an event, it stays in the log without its bodies", zap.Stringer("request_id", e.event.ID), zap.Error(err))
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
	}
}

// enqueue sends an event in the form in which a rule of the bus would have brought it to a queue.
func (p *Publisher) enqueue(ctx context.Context, e *entry) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Patience)
	defer cancel()
	body := make([]byte, 0, len(e.detail)+64)
	body = append(body, `{"source":"`+source+`","detail-type":"`+detailType+`","detail":`...)
	body = append(append(body, e.detail...), '}')
	_, err := p.cfg.Queue.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &p.cfg.QueueURL, MessageBody: aws.String(string(body))},
		func(o *sqs.Options) { o.Retryer = aws.NopRetryer{} })
	return err
}

// leaveInLog writes an event without its bodies to the log, whence it is published later. It has no end line: that is for what a bus
// or a queue has confirmed.
func (p *Publisher) leaveInLog(e *llmproxy.Event) {
	c := *e // the bodies stay with the caller's
	_ = usage.Read(&c)
	p.line(append(c.AppendMeta([]byte(`{"event":`)), '}'))
	p.count(func(s *Stats) { s.Logged++ })
}

// sleep waits, with jitter, and reports whether ctx has time left.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d/2)) //nolint:gosec // jitter is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
