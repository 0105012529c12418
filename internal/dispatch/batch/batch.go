// Package batch delivers events as a queue hands them to a function: some messages at a time, of which each is done, a dead letter with
// its reason, or left to come again.
package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Message is what the queue hands over.
type Message struct {
	ID       string // as the queue knows it
	Body     string // an EventBridge event, whose detail is ours
	Receives int    // how often it has come, this time included; 0 is unknown
}

// Letter is a message that the destination will never take.
type Letter struct {
	Message     Message
	Destination string
	EventID     string // empty if it could not be read
	Reason      string
}

// Letters keeps dead letters.
type Letters interface {
	// Keep stores a letter; without an error it is safe.
	Keep(ctx context.Context, l Letter) error
}

// ErrGone says that a record which an event refers to is not there any more.
var ErrGone = errors.New("the record is gone")

// Records has the whole records of events that are too large for the bus.
type Records interface {
	// Fetch returns the record of that key as JSON, or [ErrGone].
	Fetch(ctx context.Context, key string) ([]byte, error)
}

// Left is a message that has to come again.
type Left struct {
	ID    string        // of the message
	Err   error         // why
	After time.Duration // how long it is best left alone: what the destination asked for, or longer each time it came in vain
}

// Config joins the parts of a [Consumer]. All of them are required but Pause and Log.
type Config struct {
	Name        string // of the destination
	Destination dispatch.Destination
	Meter       func(*llmproxy.Event) error // reads usage while the bodies are there
	Letters     Letters
	Records     Records
	Pause       time.Duration // how long a message that came in vain is left alone the first time, and then four times as long each time; 0 is a minute
	Log         *zap.Logger   // nil logs nothing
}

// Consumer delivers messages. It is used by one goroutine, as a function works on one batch at a time.
type Consumer struct {
	cfg     Config
	started bool
	dead    atomic.Uint64
	retried atomic.Uint64
}

// New returns a consumer. It does no I/O.
func New(cfg Config) *Consumer {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Pause == 0 {
		cfg.Pause = time.Minute
	}
	cfg.Log = cfg.Log.With(zap.String("destination", cfg.Name))
	return &Consumer{cfg: cfg}
}

const (
	margin     = 5 * time.Second // kept of a batch's time for dead letters and the answer
	tries      = 3               // of what fails, while the batch has time; then the queue brings it again
	firstPause = 250 * time.Millisecond
	maxAfter   = 12 * time.Hour // for which a queue hides a message at most, less than what it has been hidden for
)

// item is a message on its way.
type item struct {
	message Message
	event   *llmproxy.Event
	err     error         // why it is not done yet
	after   time.Duration // how long the destination asked to be left alone with it
	poison  bool
	done    bool
}

// Dead returns how many messages went to the dead letters. It may be asked at any time, as [Consumer.Retried].
func (c *Consumer) Dead() uint64 { return c.dead.Load() }

// Retried returns how many tries of a message are repeated, here or when the queue brings it again.
func (c *Consumer) Retried() uint64 { return c.retried.Load() }

// Close closes the destination.
func (c *Consumer) Close() error { return c.cfg.Destination.Close() }

// Deliver takes messages through and returns those that have to come again. What the destination will never take is kept among the dead
// letters, at once and with its reason.
func (c *Consumer) Deliver(ctx context.Context, messages []Message) (again []Left) {
	items := make([]item, len(messages))
	delivering, cancel := ctx, func() {}
	if deadline, ok := ctx.Deadline(); ok {
		delivering, cancel = context.WithDeadline(ctx, deadline.Add(-min(margin, time.Until(deadline)/4)))
	}
	defer cancel()
	var open []*item
	for i := range items {
		items[i].message = messages[i]
		switch c.read(delivering, &items[i]); {
		case items[i].event != nil:
			open = append(open, &items[i])
		case !items[i].done && !items[i].poison:
			c.retried.Add(1)
		}
	}
	c.deliver(delivering, open)
	for i := range items {
		it := &items[i]
		if it.poison {
			c.bury(ctx, it)
		}
		if it.done {
			continue
		}
		again = append(again, Left{it.message.ID, it.err, c.after(it)})
		c.cfg.Log.Warn("an event is not delivered, the queue brings it again",
			zap.String("message_id", it.message.ID), zap.String("request_id", it.eventID()), zap.Int("receives", it.message.Receives), zap.Error(it.err))
	}
	return again
}

// after is how long a message is left alone.
func (c *Consumer) after(it *item) time.Duration {
	pause := c.cfg.Pause
	for range min(it.message.Receives-1, 10) {
		pause *= 4
	}
	return min(max(pause, it.after), maxAfter)
}

func (it *item) eventID() string {
	if it.event == nil {
		return ""
	}
	return it.event.ID.String()
}

// read makes an event of a message, with the bodies that its record has elsewhere.
func (c *Consumer) read(ctx context.Context, it *item) {
	var envelope struct {
		Detail json.RawMessage `json:"detail"`
	}
	e := &llmproxy.Event{}
	err := json.Unmarshal([]byte(it.message.Body), &envelope)
	if err == nil {
		err = json.Unmarshal(envelope.Detail, e)
	}
	if err != nil {
		it.err, it.poison = fmt.Errorf("the message is no event: %w", err), true
		return
	}
	if e.Audit != nil {
		if it.done = !dispatch.TakesAudit(c.cfg.Destination); !it.done {
			it.event = e
		}
		return
	}
	if key := recordKey(e); key != "" {
		whole, err := c.fetch(ctx, key)
		switch {
		case errors.Is(err, ErrGone): // what the event itself says is still worth delivering
			c.cfg.Log.Warn("an event is delivered without its bodies", zap.Stringer("request_id", e.ID), zap.String("key", key), zap.Error(err))
			e.Request.Body, e.Response.Body = nil, nil
		case err != nil:
			it.err = err
			return
		case whole.ID != e.ID:
			it.err, it.poison = fmt.Errorf("the record %s is that of another event, %s", key, whole.ID), true
			return
		default:
			e = whole
		}
	}
	if err := c.cfg.Meter(e); err != nil {
		c.cfg.Log.Warn("usage could not be read", zap.Stringer("request_id", e.ID), zap.Error(err))
	}
	if !c.cfg.Destination.WantsBodies() {
		e.Request.Body, e.Response.Body = nil, nil
	}
	it.event = e
}

// recordKey is where the whole record of an event lies, empty if the event is whole.
func recordKey(e *llmproxy.Event) string {
	for _, b := range []*llmproxy.Body{e.Request.Body, e.Response.Body} {
		if b != nil && b.S3 != "" {
			return b.S3
		}
	}
	return ""
}

func (c *Consumer) fetch(ctx context.Context, key string) (*llmproxy.Event, error) {
	record, err := c.cfg.Records.Fetch(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("fetch the record %s: %w", key, err)
	}
	e := &llmproxy.Event{}
	if err := json.Unmarshal(record, e); err != nil {
		return nil, fmt.Errorf("the record %s: %w", key, err)
	}
	return e, nil
}

// deliver hands events to the destination until each is done, is poison, or the tries or the time are over.
func (c *Consumer) deliver(ctx context.Context, open []*item) {
	for try := 1; len(open) > 0; try++ {
		after := c.once(ctx, open)
		var left []*item
		for _, it := range open {
			if !it.done && !it.poison {
				left = append(left, it)
			}
		}
		c.retried.Add(uint64(len(left)))
		pause := max(after, firstPause<<try/2+rand.N(firstPause<<try/2)) //nolint:gosec // jitter is no secret
		if open = left; len(open) == 0 || try == tries || !wait(ctx, pause) {
			return
		}
	}
}

// once is one try. It returns how long the destination asks to be left alone.
func (c *Consumer) once(ctx context.Context, open []*item) (after time.Duration) {
	fail := func(err error) {
		for _, it := range open {
			it.err = err
		}
	}
	if !c.started {
		if err := c.cfg.Destination.Start(ctx, nil); err != nil {
			fail(fmt.Errorf("start: %w", err))
			return 0
		}
		c.started = true
	}
	events := make([]*llmproxy.Event, len(open))
	for i, it := range open {
		events[i] = it.event
	}
	results, panicked := c.call(ctx, events)
	if panicked != nil && len(open) > 1 { // the one at fault is told by asking alone
		for i := range open {
			after = max(after, c.once(ctx, open[i:i+1]))
		}
		return after
	}
	switch {
	case panicked != nil:
		open[0].err, open[0].poison = panicked, true
		return 0
	case len(results) != len(open):
		fail(fmt.Errorf("the destination returned %d results for %d events", len(results), len(open)))
		return 0
	}
	for i, r := range results {
		open[i].err, open[i].poison, open[i].done, open[i].after = r.Err, r.Poison, r.Err == nil, r.After
		after = max(after, r.After)
	}
	return after
}

func (c *Consumer) call(ctx context.Context, events []*llmproxy.Event) (results []dispatch.Result, panicked error) {
	defer func() {
		if p := recover(); p != nil {
			panicked = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.cfg.Destination.Deliver(ctx, events), nil
}

// bury keeps a dead letter. If it cannot be kept the message comes again.
func (c *Consumer) bury(ctx context.Context, it *item) {
	letter := Letter{Message: it.message, Destination: c.cfg.Name, EventID: it.eventID(), Reason: it.err.Error()}
	if err := c.cfg.Letters.Keep(ctx, letter); err != nil {
		it.err = fmt.Errorf("keep a dead letter: %w", err)
		return
	}
	it.done = true
	c.dead.Add(1)
	c.cfg.Log.Warn("an event went to the dead letters", zap.String("message_id", it.message.ID), zap.String("request_id", letter.EventID), zap.String("reason", letter.Reason))
}

// wait reports whether the time passed before ctx ended; it does not begin where ctx has no such time.
func wait(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
