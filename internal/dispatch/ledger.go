package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// LedgerStore is what the ledger asks of storage.
type LedgerStore interface {
	// Record stores events, each with its part of the sums of its hour in one step, and returns when that will not be lost any more.
	// An event counts once, however often it is told; one that was told as lost and then as what it really was counts as the latter.
	// After an error any number of the events may be stored.
	Record(ctx context.Context, events []*llmproxy.Event) error
}

// LedgerConfig says how the ledger is kept.
type LedgerConfig struct {
	Store LedgerStore      // required
	Now   func() time.Time // the clock; nil is time.Now
}

// Ledger keeps what became of requests, and what their hours add up to: what usage and requests are answered from. An event that comes
// again is known by its row, so one that is older than rows are kept for is not taken: it might count twice. Test events
// are passed over.
type Ledger struct{ cfg LedgerConfig }

// NewLedger returns the ledger destination.
func NewLedger(cfg LedgerConfig) (*Ledger, error) {
	if cfg.Store == nil {
		return nil, errors.New("the ledger destination needs a store")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Ledger{cfg}, nil
}

// WantsBodies implements [Destination].
func (l *Ledger) WantsBodies() bool { return false }

// Batch implements [Batcher].
func (l *Ledger) Batch() (size int, linger time.Duration) { return 256, 250 * time.Millisecond }

// Start implements [Destination].
func (l *Ledger) Start(context.Context, []byte) error { return nil }

// Deliver implements [Destination].
func (l *Ledger) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	results := make([]Result, len(events))
	taken := make([]*llmproxy.Event, 0, len(events))
	oldest := l.cfg.Now().Add(-llmproxy.LedgerTakes)
	for i, e := range events {
		if e.Test {
			continue // it was no request
		}
		if reason := unfit(e, oldest); reason != nil {
			results[i] = Poison(reason)
		} else {
			taken = append(taken, e)
		}
	}
	if len(taken) == 0 {
		return results
	}
	if err := l.cfg.Store.Record(ctx, taken); err != nil {
		for i := range results {
			if results[i].Err == nil {
				results[i] = Retry(err, 0)
			}
		}
	}
	return results
}

// unfit is why the ledger cannot take an event; nil if it can.
func unfit(e *llmproxy.Event, oldest time.Time) error {
	if at := e.ID.Time(); at.Before(oldest) {
		return fmt.Errorf("of %s: too old to tell whether it has counted", at.Format(llmproxy.TimeFormat))
	}
	u := e.Usage
	if u == nil {
		return nil
	}
	for _, n := range []*int64{u.Input, u.Output, u.Total, u.Cached, u.CacheWrite, u.Reasoning} {
		if n != nil && (*n < 0 || *n > llmproxy.MaxUnits) {
			return fmt.Errorf("usage of %d units cannot be", *n)
		}
	}
	if c := u.CostUSD; c != nil && !(*c >= 0 && *c <= llmproxy.MaxCostUSD) {
		return fmt.Errorf("a cost of %g USD cannot be", *c)
	}
	return nil
}

// Note implements [Destination].
func (l *Ledger) Note() []byte { return nil }

// Close implements [Destination].
func (l *Ledger) Close() error { return nil }
