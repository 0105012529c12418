package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// What an exchange is waiting for.
type waiting int32

const (
	forNothing waiting = iota
	forCaller          // bytes of the request
	forHead            // the head of the answer
	forBody            // bytes of the answer
	forWrite           // the caller to take bytes
)

// callerIdle is how long a caller may keep us waiting for its next bytes, or for taking ours.
const callerIdle = time.Minute

// patience ends an exchange that waits too long for one thing. It has one timer for the whole exchange; a chunk that passes costs two
// atomic stores.
type patience struct {
	what   atomic.Int32
	since  atomic.Int64 // monotonic ns since epoch
	limits [forWrite + 1]time.Duration
	timer  *time.Timer
	expire func(waiting)

	mu    sync.Mutex // held while the timer acts
	ended bool
}

// monotonicEpoch is what patience counts from.
var monotonicEpoch = time.Now()

func monotonicNow() int64 { return int64(time.Since(monotonicEpoch)) }

// wait notes what the exchange waits for from now on.
func (p *patience) wait(what waiting) {
	p.since.Store(monotonicNow())
	p.what.Store(int32(what))
}

// begin starts the timer.
func (p *patience) begin(caller, head, body time.Duration) {
	p.limits = [...]time.Duration{forNothing: 0, forCaller: caller, forHead: head, forBody: body, forWrite: caller}
	p.wait(forNothing)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = false
	first := shortest(p.limits[forCaller:])
	if p.timer == nil {
		p.timer = time.AfterFunc(first, p.check)
	} else {
		p.timer.Reset(first)
	}
}

// check runs when the timer fires: it ends what the exchange waits for, or sleeps until the limit may be reached. What it has ended may
// have come at that very moment, so it goes on watching.
func (p *patience) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	what := waiting(p.what.Load())
	since := p.since.Load()
	limit := p.limits[what]
	if limit == 0 {
		p.timer.Reset(shortest(p.limits[forCaller:]))
		return
	}
	if left := limit - time.Duration(monotonicNow()-since); left > 0 {
		p.timer.Reset(min(left, shortest(p.limits[forCaller:])))
		return
	}
	p.expire(what)
	p.timer.Reset(shortest(p.limits[forCaller:]))
}

// end stops the timer: nothing is done to the exchange from here on. It reports whether the timer is at rest; if not, it fired.
func (p *patience) end() bool {
	if p.timer == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	return p.timer.Stop()
}

func shortest(limits []time.Duration) time.Duration {
	least := time.Duration(0)
	for _, l := range limits {
		if l > 0 && (least == 0 || l < least) {
			least = l
		}
	}
	return least
}
