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

// result is what has been gathered until now.
func (c *collector) result(now time.Time) *Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.end
	if end.IsZero() {
		end = now
	}
	r := &Result{
		Version: resultVersion, Machine: Machine(), Plan: c.plan.summary(),
		Requests: c.requests, Succeeded: c.requests - c.failed, Failed: c.failed, Interrupted: c.interrupted, NotSent: c.notSent,
		Bytes: c.bytes, Events: c.events, Statuses: maps.Clone(c.statuses), Errors: []Failure{},
		Latency: summarize(c.latency), FirstByte: summarize(c.firstByte), ChunkGap: summarize(c.gaps), Timeline: c.timeline.points(),
	}
	if c.plan.Rate > 0 {
		r.Service = summarize(c.service)
	}
	if !c.begin.IsZero() {
		r.Started = c.begin.UTC().Truncate(time.Millisecond)
		r.Seconds = end.Sub(c.begin).Seconds()
	}
	if r.Seconds > 0 {
		r.PerSecond = float64(c.requests) / r.Seconds
	}
	for _, f := range c.failures {
		r.Errors = append(r.Errors, *f)
	}
	slices.SortFunc(r.Errors, func(a, b Failure) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return r
}

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
