// Package auditrelay brings audit entries from the store, which has them as soon as the change has happened, to the bus. An entry is on
// the bus soon after its change, at the latest after the next start or the next hourly run; it may be there twice, under one id.
package auditrelay

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Store has the entries.
type Store interface {
	// RelayAudit hands entries that have not been relayed to publish, and notes that they are where it returns nil. Entries of other
	// processes are among them, and may come again.
	RelayAudit(ctx context.Context, publish func(context.Context, []llmproxy.AuditEntry) error) (relayed int, err error)
	// AuditStored receives when this process may have stored entries since it last did.
	AuditStored() <-chan struct{}
}

// Bus takes entries.
type Bus interface {
	// PublishAudit returns nil when all of them are safe. After an error any number of them may be.
	PublishAudit(ctx context.Context, entries []llmproxy.AuditEntry) error
}

// Relay is the way from one to the other. It is used by one goroutine.
type Relay struct {
	store Store
	bus   Bus
	log   *zap.Logger

	failing bool
	checked bool // what earlier processes left was looked for
}

// New returns a relay. It does no I/O.
func New(store Store, bus Bus, log *zap.Logger) *Relay {
	return &Relay{store: store, bus: bus, log: log}
}

// How long a server waits until it looks again.
const (
	lookEvery  = time.Minute // for entries of processes that ended
	firstPause = 200 * time.Millisecond
	maxPause   = time.Minute
)

// Run relays what is there and what comes, until ctx ends. What is left then is relayed by the next process.
func (r *Relay) Run(ctx context.Context) {
	for pause := firstPause; ctx.Err() == nil; {
		wait := lookEvery
		if r.Now(ctx) != nil {
			wait, pause = pause, min(2*pause, maxPause)
		} else {
			pause = firstPause
		}
		timer := time.NewTimer(wait)
		stored := r.store.AuditStored()
		if r.failing {
			stored = nil // it is tried again in its time
		}
		select {
		case <-ctx.Done():
		case <-stored:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// afterChange is how long a function stays awake for it.
const afterChange = 5 * time.Second

// AfterChange relays if this process has stored entries since it last did, and the first time in any case. It is for a function that
// has answered and is about to sleep; what fails is left to the next time.
func (r *Relay) AfterChange(ctx context.Context) {
	select {
	case <-r.store.AuditStored():
	default:
		if r.checked {
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, afterChange)
	defer cancel()
	r.checked = r.Now(ctx) == nil
}

// Now relays what is there.
func (r *Relay) Now(ctx context.Context) error {
	n, err := r.store.RelayAudit(ctx, r.bus.PublishAudit)
	switch {
	case err != nil && !errors.Is(ctx.Err(), context.Canceled) && !r.failing: // it is not we who end
		r.failing = true
		r.log.Warn("audit events do not reach the bus yet; they are kept and tried again", zap.Error(err))
	case err == nil && r.failing:
		r.failing = false
		r.log.Info("audit events reach the bus again", zap.Int("events", n))
	}
	return err
}
