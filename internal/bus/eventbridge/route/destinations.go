package route

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Destinations are what stands behind the bus, as management asks for it: each destination by its queue. It is safe for concurrent use.
type Destinations struct {
	clients Clients
	queues  map[string]string // URLs, by the destination's name

	mu     sync.Mutex
	routes map[string]*Route
}

// NewDestinations returns those with these queues, URLs by the destination's name. It does no I/O.
func NewDestinations(clients Clients, queues map[string]string) *Destinations {
	return &Destinations{clients: clients, queues: queues, routes: map[string]*Route{}}
}

// route is the way to a destination. It does not change once it is found.
func (d *Destinations) route(ctx context.Context, name string) (*Route, error) {
	url, ok := d.queues[name]
	if !ok {
		return nil, llmproxy.ErrNotFound
	}
	d.mu.Lock()
	r := d.routes[name]
	d.mu.Unlock()
	if r != nil {
		return r, nil
	}
	r, err := ByQueue(ctx, d.clients, url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.routes[name] = r
	return r, nil
}

// Destinations returns all of them, by name: what waits and what is dead. How its dispatcher fares, a queue does not tell: the alarms do,
// and the dispatcher's log. One whose queue cannot be looked at says so, and others are seen all the same; if none can be, that wraps
// [llmproxy.ErrUnavailable].
func (d *Destinations) Destinations(ctx context.Context) ([]llmproxy.Destination, error) {
	names := slices.Sorted(maps.Keys(d.queues))
	all := make([]llmproxy.Destination, len(names))
	errs := make([]error, len(names))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() { all[i], errs[i] = d.destination(ctx, name) })
	}
	asking.Wait()
	failed := 0
	for i, err := range errs {
		if err == nil {
			continue
		}
		if failed++; failed == len(errs) {
			return nil, err
		}
		all[i].State, all[i].LastError, all[i].LastErrorAt = llmproxy.DestinationFailing, err.Error(), time.Now()
	}
	return all, nil
}

// ledgerName is the one destination that has no test.
const ledgerName = "ledger"

// destination looks at one. What it is called is known whatever comes of that.
func (d *Destinations) destination(ctx context.Context, name string) (llmproxy.Destination, error) {
	out := llmproxy.Destination{Name: name, Kind: name, State: llmproxy.DestinationOK}
	if name == ledgerName {
		out.NoTest = llmproxy.LedgerNoTest
	}
	r, err := d.route(ctx, name)
	if err != nil {
		return out, err
	}
	n, err := r.Count(ctx)
	if err != nil {
		return out, fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err)
	}
	out.Backlog, out.DeadLetters, out.Redriving = &n.Waiting, &n.Dead, n.Redriving
	return out, nil
}

// TestDestination puts a test event into the destination's queue, or returns [llmproxy.ErrNotFound]. What becomes of it the queue does
// not tell.
func (d *Destinations) TestDestination(ctx context.Context, name string) (llmproxy.DestinationTest, error) {
	r, err := d.route(ctx, name)
	if err != nil {
		return llmproxy.DestinationTest{}, err
	}
	e := llmproxy.NewTestEvent(time.Now())
	if err := r.Send(ctx, e); err != nil {
		return llmproxy.DestinationTest{}, fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err)
	}
	return llmproxy.DestinationTest{ID: e.ID, Result: llmproxy.TestQueued}, nil
}

// RedriveDestination has SQS begin to move the dead letters back into the destination's queue, and returns about how many there are. While
// they are being moved that is [llmproxy.ErrElsewhere].
func (d *Destinations) RedriveDestination(ctx context.Context, name string) (deadLetters int64, err error) {
	r, err := d.route(ctx, name)
	if err != nil {
		return 0, err
	}
	n, err := r.Count(ctx)
	if err == nil && n.Redriving {
		return 0, fmt.Errorf("%w: the dead letters of %s are being moved", llmproxy.ErrElsewhere, name)
	}
	if err == nil {
		deadLetters, err = r.StartRedrive(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err)
	}
	return deadLetters, nil
}
