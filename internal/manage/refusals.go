package manage

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// maxRefusals is how many refused attempts a minute have an entry of their own. Whoever knocks without end must not fill the audit.
const maxRefusals = 60

// actionAuthenticate is what a refused attempt is called.
const actionAuthenticate = "authenticate"

// Refusals stores refused attempts: one entry each up to the limit, then one that counts the rest of its minute. All doors of a process
// share one. It is safe for concurrent use.
type Refusals struct {
	service *Service
	log     *zap.Logger
	action  string // what the summary calls the attempts; empty is actionAuthenticate

	mu         sync.Mutex
	minute     time.Time // when the current minute began
	stored     int
	suppressed int64
	timer      *time.Timer // ends a minute that has suppressed any
}

// NewRefusals returns what stores refused attempts; log is told of those that cannot be.
func NewRefusals(service *Service, log *zap.Logger) *Refusals {
	return &Refusals{service: service, log: log}
}

// Close stores what is still to be told.
func (r *Refusals) Close() { r.flush() }

// Add stores an attempt. The reason must not repeat what was sent.
func (r *Refusals) Add(ctx context.Context, actor llmproxy.Actor, action, reason string) {
	due, own := r.count(r.service.now())
	if due > 0 {
		r.summary(ctx, due)
	}
	if own {
		r.store(ctx, actor, action, reason, 0)
	}
}

// count says whether an attempt at now has an entry of its own, and how many of the minute before have none yet.
func (r *Refusals) count(now time.Time) (due int64, own bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.minute); age < 0 || age >= time.Minute {
		due = r.take()
		r.minute, r.stored = now, 0
	}
	if r.stored < maxRefusals {
		r.stored++
		return due, true
	}
	r.suppressed++
	if r.timer == nil {
		r.timer = time.AfterFunc(time.Minute, r.flush)
	}
	return due, false
}

// take takes what was suppressed; the caller holds the lock.
func (r *Refusals) take() int64 {
	n := r.suppressed
	r.suppressed = 0
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	return n
}

// flush stores what was suppressed.
func (r *Refusals) flush() {
	r.mu.Lock()
	n := r.take()
	r.mu.Unlock()
	if n > 0 {
		r.summary(context.Background(), n)
	}
}

func (r *Refusals) summary(ctx context.Context, n int64) {
	r.store(ctx, llmproxy.Actor{Name: "unknown"}, cmp.Or(r.action, actionAuthenticate), "more attempts in this minute than are told one by one", n)
}

// store outlives the request: whoever hangs up at once is told of too.
func (r *Refusals) store(ctx context.Context, actor llmproxy.Actor, action, reason string, suppressed int64) {
	if err := r.service.Refuse(context.WithoutCancel(ctx), actor, action, reason, suppressed); err != nil {
		r.log.Error("a refused attempt could not be stored", zap.String("request_id", actor.RequestID), zap.String("reason", reason), zap.Error(err))
	}
}
