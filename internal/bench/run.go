package bench

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Run is one run of a plan.
type Run struct {
	plan   Plan
	client *http.Client
	next   atomic.Int64 // number of the next request
	seen   *collector
}

// New prepares a run.
func New(p Plan) (*Run, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return &Run{
		plan: p,
		// A redirect is an answer like any other: following it would measure another server.
		client: &http.Client{Transport: p.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		seen:   newCollector(p),
	}, nil
}

// Do sends what the plan says and returns what came of it. When ctx ends, requests under way are broken off and counted as
// interrupted, and the result is of what ran until then.
func (r *Run) Do(ctx context.Context) *Result {
	defer r.client.CloseIdleConnections()
	r.warmUp(ctx)
	begin := time.Now()
	r.seen.start(begin)
	var workers sync.WaitGroup
	for range r.plan.Concurrency {
		workers.Go(func() {
			if r.plan.Rate > 0 {
				r.pace(ctx, schedule{begin, r.plan.Rate})
			} else {
				r.saturate(ctx, begin)
			}
		})
	}
	workers.Wait()
	end := time.Now()
	if r.plan.Rate > 0 {
		r.countNotSent(schedule{begin, r.plan.Rate}, end)
	}
	r.seen.finish(end)
	return r.seen.result()
}

// Status tells how far the run is. Asking disturbs it little.
func (r *Run) Status() Status { return r.seen.status(time.Now()) }

// warmUp sends requests over all connections that are not counted.
func (r *Run) warmUp(ctx context.Context) {
	var left atomic.Int64
	left.Store(int64(r.plan.Warmup))
	var workers sync.WaitGroup
	for range min(r.plan.Concurrency, r.plan.Warmup) {
		workers.Go(func() {
			for ctx.Err() == nil && left.Add(-1) >= 0 {
				r.exchange(ctx, time.Now(), nil)
			}
		})
	}
	workers.Wait()
}

// saturate sends one request after another.
func (r *Run) saturate(ctx context.Context, begin time.Time) {
	for ctx.Err() == nil {
		now := time.Now()
		if r.plan.Duration > 0 && now.Sub(begin) >= r.plan.Duration {
			return
		}
		if i := r.next.Add(1) - 1; r.plan.Requests > 0 && i >= r.plan.Requests {
			return
		}
		o := r.exchange(ctx, now, r.seen.addGap)
		r.seen.add(o)
		if o.failure != nil && o.status == 0 {
			pause(ctx, afterNoAnswer)
		}
	}
}

// afterNoAnswer is how long a connection waits before it tries again where nobody answered, or a server that is gone would be asked
// as fast as the processor can.
const afterNoAnswer = 50 * time.Millisecond

// pace sends each request when it is due, or as soon after as there is a connection for it.
func (r *Run) pace(ctx context.Context, s schedule) {
	for ctx.Err() == nil {
		i := r.next.Add(1) - 1
		if !r.planned(s, i) {
			return
		}
		due := s.due(i)
		pause(ctx, time.Until(due))
		now := time.Now()
		switch {
		case ctx.Err() == nil && !r.over(s, now):
			r.seen.add(r.exchange(ctx, due, r.seen.addGap))
		case !due.After(now):
			r.seen.addNotSent(r.stopped(s, now).Sub(due))
		}
	}
}

// planned reports whether the request of that number belongs to the plan.
func (r *Run) planned(s schedule, i int64) bool {
	return (r.plan.Requests == 0 || i < r.plan.Requests) && (r.plan.Duration == 0 || s.offset(i) < r.plan.Duration)
}

// over reports whether no more requests are to be begun.
func (r *Run) over(s schedule, now time.Time) bool {
	return r.plan.Duration > 0 && now.Sub(s.begin) >= r.plan.Duration
}

// stopped is when a run that is over stopped to begin requests.
func (r *Run) stopped(s schedule, now time.Time) time.Time {
	if r.over(s, now) {
		return s.begin.Add(r.plan.Duration)
	}
	return now
}

// countNotSent counts the requests that were due and never sent because the answers before them did not come. They have waited from
// then until the end at least; without them a server that stops answering would look fast.
func (r *Run) countNotSent(s schedule, end time.Time) {
	stop := r.stopped(s, end)
	for i := r.next.Load(); r.planned(s, i) && s.due(i).Before(stop); i++ {
		r.seen.addNotSent(stop.Sub(s.due(i)))
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// request makes one request of the plan.
func (r *Run) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.plan.Method, r.plan.URL, bytes.NewReader(r.plan.Body))
	if err != nil {
		return nil, err
	}
	req.Header = r.plan.Header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	return req, nil
}
