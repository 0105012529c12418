package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// destinations tells the management API where the events of a spool go: what this process delivers, and what it sees of others, which
// have their settings and credentials to themselves.
type destinations struct {
	dataDir string
	gauge   *spool.Gauge
	mine    []*deliverer // complete before anybody asks

	mu      sync.Mutex
	letters map[string]*dispatch.LetterCount
}

func newDestinations(dataDir string) *destinations {
	return &destinations{dataDir: dataDir, gauge: spool.NewGauge(spoolDir(dataDir)), letters: map[string]*dispatch.LetterCount{}}
}

// spoolDir is where a data folder has its spool.
func spoolDir(dataDir string) string { return filepath.Join(dataDir, "spool") }

// deadLetters counts those of a name.
func (d *destinations) deadLetters(name string) (int64, error) {
	d.mu.Lock()
	c := d.letters[name]
	if c == nil {
		c = dispatch.NewLetterCount(dispatch.DeadLettersPath(d.dataDir, name))
		d.letters[name] = c
	}
	d.mu.Unlock()
	return c.Count()
}

// Why something cannot be done from here.
const (
	otherServer    = "Another process delivers to it, and takes what is asked of it: ask that one."
	otherNoTest    = "A dispatcher has it, with settings of its own: llm-proxy dispatcher test sends a test event, where those are."
	otherNoRedrive = "A dispatcher has it, with settings of its own: llm-proxy dispatcher redrive sends its dead letters again, where those are."
)

// Destinations implements [manage.Destinations].
func (d *destinations) Destinations(context.Context) ([]llmproxy.Destination, error) {
	followers, err := d.gauge.Followers()
	if err != nil {
		return nil, unreadable(err)
	}
	for _, e := range d.mine {
		if !slices.ContainsFunc(followers, func(f spool.FollowerState) bool { return f.Name == e.name }) {
			followers = append(followers, spool.FollowerState{Name: e.name})
		}
	}
	all := make([]llmproxy.Destination, 0, len(followers))
	for i := range followers {
		one, err := d.destination(&followers[i])
		if err != nil {
			return nil, unreadable(err)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b llmproxy.Destination) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// unreadable is a data folder that does not answer.
func unreadable(err error) error { return fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err) }

func (d *destinations) destination(f *spool.FollowerState) (llmproxy.Destination, error) {
	letters, err := d.deadLetters(f.Name)
	if err != nil {
		return llmproxy.Destination{}, err
	}
	out := llmproxy.Destination{
		Name: f.Name, State: llmproxy.DestinationStopped, Backlog: &f.Waiting.Events, BacklogBytes: &f.Waiting.Bytes, DeadLetters: &letters,
		NoTest: otherNoTest, NoRedrive: otherNoRedrive,
	}
	if oldest := f.Waiting.Oldest; !oldest.IsZero() {
		out.OldestAge = max(time.Since(oldest), time.Millisecond)
	}
	if f.Held {
		out.State = llmproxy.DestinationElsewhere
	}
	if f.Err != nil { // others are to be seen all the same
		out.State, out.Backlog, out.BacklogBytes, out.LastError = llmproxy.DestinationFailing, nil, nil, f.Err.Error()
	}
	e := d.of(f.Name)
	if e != nil && e.delivery.Load() != nil {
		e.tell(&out)
		return out, nil
	}
	if e != nil {
		out.Kind, out.NoTest, out.NoRedrive = e.kind, otherServer, otherServer
	}
	report, known, err := dispatch.ReadReport(f.Note)
	if err != nil || !known {
		return out, err
	}
	out.Kind = cmp.Or(report.Kind, out.Kind)
	count(&out, report.Since, report.Delivered, report.Retried, report.Dead)
	out.LastDelivery = report.LastDelivery
	return out, nil
}

// of is this process's own of that name; nil if it has none.
func (d *destinations) of(name string) *deliverer {
	for _, e := range d.mine {
		if e.name == name {
			return e
		}
	}
	return nil
}

// count fills in the counters of a loop.
func count(d *llmproxy.Destination, since time.Time, delivered, retried, dead uint64) {
	taken, again, given := int64(delivered), int64(retried), int64(dead)
	d.Since, d.Delivered, d.Retried, d.Dead = since, &taken, &again, &given
}

// tell says how this process's delivery goes.
func (e *deliverer) tell(d *llmproxy.Destination) {
	stats := e.stats()
	d.Kind, d.State, d.NoTest, d.NoRedrive = e.kind, llmproxy.DestinationOK, "", ""
	if stats.Failing {
		d.State = llmproxy.DestinationFailing
	}
	if e.kind == ledgerName {
		d.NoTest = llmproxy.LedgerNoTest
	}
	if !stats.Since.IsZero() {
		count(d, stats.Since, stats.Delivered, stats.Retried, stats.Dead)
	}
	d.LastDelivery, d.LastError, d.LastErrorAt = stats.LastDelivery, stats.LastError, stats.LastErrorAt
	d.Redriving = e.delivery.Load().loop.Redriving()
}

// testWithin is how long a test may take, its turn among other events included.
const testWithin = 20 * time.Second

// delivering is this process's delivery of that name.
func (d *destinations) delivering(name string) (*deliverer, *delivery, error) {
	e := d.of(name)
	if e == nil || e.delivery.Load() == nil {
		return nil, nil, fmt.Errorf("%s: %w", name, llmproxy.ErrElsewhere)
	}
	return e, e.delivery.Load(), nil
}

// TestDestination implements [manage.Destinations].
func (d *destinations) TestDestination(ctx context.Context, name string) (llmproxy.DestinationTest, error) {
	e, delivery, err := d.delivering(name)
	if err != nil || e.kind == ledgerName {
		return llmproxy.DestinationTest{}, cmp.Or(err, llmproxy.ErrElsewhere)
	}
	ctx, cancel := context.WithTimeout(ctx, testWithin)
	defer cancel()
	return delivery.loop.Test(ctx), nil
}

// RedriveDestination implements [manage.Destinations].
func (d *destinations) RedriveDestination(_ context.Context, name string) (int64, error) {
	e, delivery, err := d.delivering(name)
	if err != nil {
		return 0, err
	}
	n, err := d.deadLetters(name)
	if err != nil || n == 0 {
		return 0, err
	}
	if delivery.loop.Redriving() {
		return 0, fmt.Errorf("redrive %s: %w", name, llmproxy.ErrElsewhere)
	}
	select {
	case e.redrive <- struct{}{}:
		return n, nil
	default: // asked for a moment ago
		return 0, fmt.Errorf("redrive %s: %w", name, llmproxy.ErrElsewhere)
	}
}
