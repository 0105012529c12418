package bench

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// collector gathers outcomes. What it holds does not grow with their number.
type collector struct {
	plan Plan

	mu          sync.Mutex
	begin, end  time.Time
	requests    int64
	failed      int64
	interrupted int64
	notSent     int64
	events      int64
	bytes       int64
	statuses    map[int]int64
	failures    map[failureKey]*Failure

	latency   *hdrhistogram.Histogram
	service   *hdrhistogram.Histogram
	firstByte *hdrhistogram.Histogram
	gaps      *hdrhistogram.Histogram
	timeline  timeline
}

// failureKey tells failures of one kind from those of another.
type failureKey struct {
	kind   string
	status int
	code   string
}

// Bounds of what an odd server can make us keep.
const (
	maxKinds   = 50
	maxCode    = 60
	maxMessage = 300
)

func newCollector(p Plan) *collector {
	return &collector{
		plan: p, statuses: map[int]int64{}, failures: map[failureKey]*Failure{},
		latency: newHistogram(), service: newHistogram(), firstByte: newHistogram(), gaps: newHistogram(),
	}
}

func (c *collector) start(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin = now
}

func (c *collector) finish(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = now
}

// add takes one outcome.
func (c *collector) add(o *outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.interrupted {
		c.interrupted++
		return
	}
	c.requests++
	c.bytes += o.bytes
	c.events += int64(o.events)
	if o.status != 0 {
		c.statuses[o.status]++
	}
	if o.failure != nil {
		c.failed++
		c.fail(o.failure)
	}
	counts := o.failure == nil || o.failure.Kind == KindTimeout
	if counts {
		record(c.latency, o.latency())
		record(c.service, o.service)
	}
	if o.firstByte > 0 && o.failure == nil {
		record(c.firstByte, o.firstByte)
	}
	s := c.timeline.at(o.end.Sub(c.begin))
	s.requests++
	if o.failure != nil {
		s.failed++
	}
	if counts {
		record(s.latency, o.latency())
	}
}

// addGap takes the time between two events of a stream.
func (c *collector) addGap(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	record(c.gaps, d)
}

// fail counts a failure by its kind and keeps the first of each as the example.
func (c *collector) fail(f *Failure) {
	key := failureKey{f.Kind, f.Status, clean(f.Code, maxCode)}
	known := c.failures[key]
	if known == nil && len(c.failures) >= maxKinds {
		key = failureKey{kind: KindOther}
		known = c.failures[key]
	}
	if known == nil {
		known = &Failure{Kind: key.kind, Status: key.status, Code: key.code, Message: clean(f.Message, maxMessage), RequestID: clean(f.RequestID, maxCode)}
		c.failures[key] = known
	}
	known.Count++
}

// addNotSent counts a request that was due and was not sent, with how long it waited.
func (c *collector) addNotSent(waited time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notSent++
	record(c.latency, waited)
}

// result is what has been gathered by a run that has ended.
func (c *collector) result() *Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &Result{
		Version: resultVersion, Machine: Machine(), Plan: c.plan.summary(),
		Requests: c.requests, Succeeded: c.requests - c.failed, Failed: c.failed, Interrupted: c.interrupted, NotSent: c.notSent,
		Bytes: c.bytes, Events: c.events, Statuses: maps.Clone(c.statuses), Errors: c.errors(),
		Latency: summarize(c.latency), FirstByte: summarize(c.firstByte), ChunkGap: summarize(c.gaps), Timeline: c.timeline.points(),
	}
	if c.plan.Rate > 0 {
		r.Service = summarize(c.service)
	}
	r.Started = c.begin.UTC().Truncate(time.Millisecond)
	if r.Seconds = c.end.Sub(c.begin).Seconds(); r.Seconds > 0 {
		r.PerSecond = float64(c.requests) / r.Seconds
	}
	return r
}

// errors are the failures, the most frequent first.
func (c *collector) errors() []Failure {
	all := make([]Failure, 0, len(c.failures))
	for _, f := range c.failures {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Failure) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return all
}

// status is what there is to tell while a run goes on. Those who send wait meanwhile, so histograms are copied and read afterwards.
func (c *collector) status(now time.Time) Status {
	c.mu.Lock()
	s := Status{Requests: c.requests, Failed: c.failed, Errors: c.errors()}
	if !c.begin.IsZero() { // else it still warms up
		s.Elapsed = now.Sub(c.begin)
	}
	latency, firstByte := c.latency.Clone(), c.firstByte.Clone()
	c.mu.Unlock()
	s.P50, s.P99, s.FirstByteP50 = duration(latency.ValueAtQuantile(50)), duration(latency.ValueAtQuantile(99)), duration(firstByte.ValueAtQuantile(50))
	if c.plan.Requests > 0 {
		s.Share = float64(s.Requests) / float64(c.plan.Requests)
	}
	if c.plan.Duration > 0 {
		s.Share = max(s.Share, s.Elapsed.Seconds()/c.plan.Duration.Seconds())
	}
	s.Share = min(1, s.Share)
	return s
}

func duration(micros int64) time.Duration { return time.Duration(micros) * time.Microsecond }

// clean makes text of a stranger fit to be shown: one line, bounded, without control characters.
func clean(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	return s
}
