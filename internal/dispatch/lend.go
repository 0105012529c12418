package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// turn is whose turn it is at a destination, which takes one at a time: the loop that owns it, or who borrows it in between.
type turn struct {
	held  chan struct{} // has a value while somebody has the turn; those who wait get it in the order of asking
	ready bool          // the destination is started and not closed; whoever has the turn may look
}

func newTurn() *turn { return &turn{held: make(chan struct{}, 1)} }

// take waits for the turn, and reports whether it came before ctx ended.
func (t *turn) take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case t.held <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// wait takes the turn as soon as whoever has it gives it back, which is within a delivery.
func (t *turn) wait() { t.held <- struct{}{} }

func (t *turn) give() { <-t.held }

var errNotReady = errors.New("the destination has not started, or has ended")

// borrowed is a loop's destination in the hands of another loop. Starting, closing and what it wants noted stay with its own.
type borrowed struct{ Destination }

// Note implements [Destination].
func (borrowed) Note() []byte { return nil }

// Test sends the destination a test event between two deliveries, the way of all others, and returns what became of it. It is safe for
// concurrent use, also while the loop runs; ctx bounds the wait for its turn too.
func (l *Loop) Test(ctx context.Context) llmproxy.DestinationTest {
	began := time.Now()
	e := llmproxy.NewTestEvent(began)
	if !l.cfg.Destination.WantsBodies() {
		e.Request.Body, e.Response.Body = nil, nil
	}
	results, _ := l.deliverOnce(ctx, []*llmproxy.Event{e}, 0)
	test := llmproxy.DestinationTest{ID: e.ID, Result: llmproxy.TestDelivered, Took: max(time.Since(began), time.Millisecond)}
	switch r := results[0]; {
	case r.Poison:
		test.Result, test.Error = llmproxy.TestRefused, r.Err.Error()
	case errors.Is(r.Err, errNotReady):
		test.Result, test.Error = llmproxy.TestFailed, r.Err.Error()
		if last := l.Stats().LastError; last != "" {
			test.Error = last
		}
	case r.Err != nil:
		test.Result, test.Error = llmproxy.TestFailed, r.Err.Error()
	}
	return test
}

// lentAttempts are the tries of a dead letter that is sent again.
const lentAttempts = 5

// Redrive sends the loop's dead letters again, between its own deliveries, as the function [Redrive] does. It is safe for concurrent
// use, also while the loop runs; while it is under way another one is [llmproxy.ErrElsewhere].
func (l *Loop) Redrive(ctx context.Context) (taken, dead uint64, err error) {
	if !l.redriving.CompareAndSwap(false, true) {
		return 0, 0, fmt.Errorf("redrive %s: %w", l.cfg.Name, llmproxy.ErrElsewhere)
	}
	defer l.redriving.Store(false)
	cfg := l.cfg
	cfg.Destination = borrowed{l.cfg.Destination}
	cfg.Linger = lookTime // nothing more is to come
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = lentAttempts
	}
	return Redrive(ctx, cfg, l.cfg.DeadLetters)
}

// Redriving reports whether dead letters are being sent again.
func (l *Loop) Redriving() bool { return l.redriving.Load() }

// Test opens a destination that no loop has, sends it a test event and closes it. Of cfg it needs no source and no dead letters.
func Test(ctx context.Context, cfg Config) (llmproxy.DestinationTest, error) {
	l := New(cfg)
	if err := l.start(ctx, nil); err != nil {
		l.failed(fmt.Errorf("start: %w", err)) // the test will say so
	}
	test := l.Test(ctx)
	if err := l.close(); err != nil {
		return test, fmt.Errorf("close %s: %w", cfg.Name, err)
	}
	return test, nil
}
