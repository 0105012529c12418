package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge/route"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// The one destination that has no test.
const (
	ledgerName   = "ledger"
	ledgerNoTest = "The ledger is made of requests, and a test is none: GET /manage/requests shows what it takes."
)

// destinations are the queues behind the bus. It implements [manage.Destinations].
type destinations struct {
	clients route.Clients
	queues  map[string]string // URLs, by the destination's name

	mu     sync.Mutex
	routes map[string]*route.Route
}

// route is the way to a destination. It does not change once it is found.
func (d *destinations) route(ctx context.Context, name string) (*route.Route, error) {
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
	r, err := route.ByQueue(ctx, d.clients, url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.routes == nil {
		d.routes = map[string]*route.Route{}
	}
	d.routes[name] = r
	return r, nil
}

// Destinations implements [manage.Destinations]. How its dispatcher fares, a queue does not tell: the alarms do, and the dispatcher's log.
func (d *destinations) Destinations(ctx context.Context) ([]llmproxy.Destination, error) {
	names := slices.Sorted(maps.Keys(d.queues))
	all := make([]llmproxy.Destination, len(names))
	errs := make([]error, len(names))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() { all[i], errs[i] = d.destination(ctx, name) })
	}
	asking.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (d *destinations) destination(ctx context.Context, name string) (llmproxy.Destination, error) {
	r, err := d.route(ctx, name)
	if err != nil {
		return llmproxy.Destination{}, err
	}
	n, err := r.Count(ctx)
	if err != nil {
		return llmproxy.Destination{}, fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err)
	}
	out := llmproxy.Destination{Name: name, Kind: name, State: llmproxy.DestinationOK, Backlog: &n.Waiting, DeadLetters: &n.Dead, Redriving: n.Redriving}
	if name == ledgerName {
		out.NoTest = ledgerNoTest
	}
	return out, nil
}

// TestDestination implements [manage.Destinations].
func (d *destinations) TestDestination(ctx context.Context, name string) (llmproxy.DestinationTest, error) {
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

// RedriveDestination implements [manage.Destinations].
func (d *destinations) RedriveDestination(ctx context.Context, name string) (deadLetters int64, err error) {
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
