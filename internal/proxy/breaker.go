package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

// breaker keeps requests from an upstream that fails. It opens when the last Failures requests all failed within Window; after
// Cooldown one probe is let through, and its result closes it or opens it anew. A request while it is closed costs one atomic load,
// a success one more.
type breaker struct {
	cfg   provider.Breaker
	state atomic.Int32 // stateClosed, or anything else: ask under mu
	run   atomic.Int32 // failures in a row while closed

	mu       sync.Mutex
	failures []time.Time // when the last ones were, the oldest first, at most cfg.Failures
	openedAt time.Time
	probing  bool
}

const (
	stateClosed = iota
	stateOpen
)

// permit says whether a request may go on.
type permit int

const (
	permitNone  permit = iota // the circuit is open
	permitPass                // it is closed
	permitProbe               // it is open, and this request finds out
)

func newBreaker(cfg provider.Breaker) *breaker { return &breaker{cfg: cfg} }

// allow says whether a request at now may go on, and if not, how long to wait.
func (b *breaker) allow(now time.Time) (permit, time.Duration) {
	if b.state.Load() == stateClosed {
		return permitPass, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Load() == stateClosed {
		return permitPass, 0
	}
	if wait := b.cfg.Cooldown - now.Sub(b.openedAt); wait > 0 {
		return permitNone, wait
	}
	if b.probing {
		return permitNone, b.cfg.Cooldown
	}
	b.probing = true
	return permitProbe, 0
}

// release gives a probe back that never reached the upstream.
func (b *breaker) release() {
	b.mu.Lock()
	b.probing = false
	b.mu.Unlock()
}

// succeed records an answer below 500.
func (b *breaker) succeed(probe bool) {
	if !probe && b.run.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = b.failures[:0]
	b.run.Store(0)
	if probe {
		b.probing = false
		b.state.Store(stateClosed)
	}
}

// fail records a connect error, a time-out or an answer of 500 or more.
func (b *breaker) fail(now time.Time, probe bool) {
	if b.cfg.Failures <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
		b.openedAt = now
		return
	}
	if b.state.Load() != stateClosed {
		return
	}
	if len(b.failures) == b.cfg.Failures {
		b.failures = append(b.failures[:0], b.failures[1:]...)
	}
	b.failures = append(b.failures, now)
	b.run.Store(int32(len(b.failures)))
	if len(b.failures) == b.cfg.Failures && now.Sub(b.failures[0]) <= b.cfg.Window {
		b.state.Store(stateOpen)
		b.openedAt = now
		b.failures = b.failures[:0]
		b.run.Store(0)
	}
}
