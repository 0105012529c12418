package main

import (
	"context"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/auditrelay"
	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

// maxUnknownPerMinute is how many unknown tokens one source may try before it is turned away without asking the store.
const maxUnknownPerMinute = 60

// parts are what the server is made of.
type parts struct {
	providers    *provider.Set
	proxy        *proxy.Handler
	store        store
	service      *manage.Service // what the management side does
	operators    operators       // who may do it
	api          *manage.Handler // how it is asked
	admin        *admin.Handler  // how operators sign in from a browser
	spool        *spool.Spool    // nil where events go to a bus
	bus          *cloudBus       // nil where they go to the spool
	eventLog     *deliverer      // nil without one
	books        books           // where the ledger is kept; nil without one
	ledger       *deliverer      // keeps it; nil where others do, or nobody
	destinations *destinations   // nil where events go to a bus
	metrics      *metrics
	health       *healthChecks
	demoToken    string // empty without --demo
}

// openParts opens and joins them. What must be given back is added to closers in the order of making.
func openParts(ctx context.Context, s *settings, withDemo bool, log *zap.Logger, closers *closers) (*parts, error) {
	var fill func(*keyFile) error
	if withDemo {
		fill = makeOperators
		if s.EventLog == "" {
			s.EventLog = filepath.Join(s.DataDir, "events.jsonl")
		}
	}
	p := &parts{metrics: newMetrics()}
	cloud, err := openCloud(ctx, s)
	if err != nil {
		return nil, err
	}
	if p.providers, err = loadProviders(ctx, s, withDemo, closers); err != nil { // before anything is made: the file may be refused
		return nil, err
	}
	keys, err := p.openStore(ctx, s, cloud, fill, log, closers)
	if err != nil {
		return nil, err
	}
	p.books = p.openBooks(s, cloud, log, closers)
	if s.Bus != busEventBridge {
		p.destinations = newDestinations(s.DataDir)
	}
	p.service = newService(s, p.store, keys.sealer, p.providers)
	if err = p.openManagement(s, cloud, withDemo, log, closers); err != nil { //nolint:contextcheck // what it does at its end outlives ctx
		return nil, err
	}
	if withDemo {
		if p.demoToken, err = openDemo(ctx, s, p.service); err != nil {
			return nil, err
		}
	}
	events, err := p.openBus(ctx, s, cloud, log, closers)
	if err != nil {
		return nil, err
	}
	closers.run(ctx, auditrelay.New(p.store, p.auditBus(s, cloud), log).Run)
	if p.proxy, err = proxy.New(proxy.Config{
		Providers:             p.providers,
		Store:                 p.store,
		Keys:                  keys.opener,
		Events:                events,
		Observe:               p.metrics.observe,
		Capture:               llmproxy.Capture(s.Capture),
		MaxConcurrentPerToken: s.MaxPerToken,
		MaxUnknownPerMinute:   maxUnknownPerMinute,
		Log:                   log,
	}); err != nil {
		return nil, err
	}
	p.health = &healthChecks{ping: p.store.Ping, events: p.eventTrouble, log: log}
	closers.add("proxy", func() error { p.proxy.Close(); return nil })
	return p, nil
}

// prices is what models cost. Those of the demo provider, which bills nobody, cost what OpenAI's do: whoever tries the proxy sees figures.
func (p *parts) prices() *price.Table {
	if p.demoToken == "" {
		return price.Embedded()
	}
	return price.Embedded().WithLike(demoProvider, "openai")
}

func loadProviders(ctx context.Context, s *settings, withDemo bool, closers *closers) (*provider.Set, error) {
	if withDemo {
		return startDemoProvider(ctx, closers)
	}
	return readProviders(s)
}

// readProviders reads providers.yaml, or the one that is built in.
func readProviders(s *settings) (*provider.Set, error) {
	if s.Providers == "" {
		return provider.Default(), nil
	}
	set, err := provider.Load(s.Providers)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return set, nil
}

// newService is the management of this installation.
func newService(s *settings, store manage.Store, sealer manage.Sealer, providers *provider.Set) *manage.Service {
	names := make([]string, 0, len(providers.Providers))
	for name := range providers.Providers {
		names = append(names, name)
	}
	return manage.New(manage.Config{Store: store, Sealer: sealer, Providers: names, Default: providers.Default, KeyRefPrefix: s.KeysPrefix, DefaultMaxRequests: s.DefaultMax})
}

// eventTrouble says why the server does not keep its promises about events; none if it does.
func (p *parts) eventTrouble() (reasons []string) {
	if p.spool != nil {
		if why := p.spool.Stats().Degraded; why != "" {
			reasons = append(reasons, "spool: "+why)
		}
	}
	if p.bus != nil {
		if why := p.bus.trouble(); why != "" {
			reasons = append(reasons, "event bus: "+why)
		}
	}
	for _, d := range p.deliverers() {
		if stats := d.stats(); stats.Failing {
			reasons = append(reasons, d.title+": "+stats.LastError)
		}
	}
	return reasons
}

// deliverers are what delivers events in this process.
func (p *parts) deliverers() (all []*deliverer) {
	for _, d := range []*deliverer{p.eventLog, p.ledger} {
		if d != nil {
			all = append(all, d)
		}
	}
	return all
}
