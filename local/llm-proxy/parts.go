package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// maxUnknownPerMinute is how many unknown tokens one source may try before it is turned away without asking the store.
const maxUnknownPerMinute = 60

// parts are what the server is made of.
type parts struct {
	providers *provider.Set
	proxy     *proxy.Handler
	store     *sqlite.Store
	service   *manage.Service // what the management side does
	operators operators       // who may do it
	api       *manage.Handler // how it is asked
	spool     *spool.Spool
	eventLog  *deliverer // nil without one
	ledger    *deliverer // nil if another process keeps it
	metrics   *metrics
	health    *healthChecks
	demoToken string // empty without --demo
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
	keys, err := loadKeys(s.DataDir, fill)
	if err != nil {
		return nil, err
	}
	p := &parts{metrics: newMetrics()}
	if p.operators, err = findOperators(s, keys); err != nil {
		return nil, err
	}
	if p.providers, err = loadProviders(ctx, s, withDemo, closers); err != nil {
		return nil, err
	}
	if p.store, err = sqlite.Open(ctx, s.store(log)); err != nil {
		return nil, err
	}
	closers.add("database", p.store.Close)
	sealing := llmproxy.NewSecret(keys.SealingSecret)
	if p.service, err = newService(s, p.store, sealing, p.providers); err != nil {
		return nil, err
	}
	if err = p.openManagement(log, closers); err != nil { //nolint:contextcheck // what it does at its end outlives ctx
		return nil, err
	}
	if withDemo {
		if p.demoToken, err = openDemo(ctx, s, p.service); err != nil {
			return nil, err
		}
	}
	if p.spool, err = spool.Open(s.spool(log)); err != nil {
		return nil, err
	}
	closers.add("spool", p.spool.Close)
	p.metrics.watchSpool(p.spool.Stats)
	if s.EventLog != "" {
		if p.eventLog, err = openEventLog(ctx, s, p.spool, log, closers); err != nil {
			return nil, err
		}
		p.metrics.watchDestination(eventLogName, p.eventLog.stats)
	}
	if s.Ledger {
		if p.ledger, err = openLedger(ctx, s, p.store, p.spool, log, closers); err != nil {
			return nil, err
		}
		p.metrics.watchDestination(ledgerName, p.ledger.stats)
	}
	if p.proxy, err = proxy.New(proxy.Config{
		Providers:             p.providers,
		Store:                 p.store,
		Keys:                  seal.NewOpener(seal.Static(sealing)),
		Events:                p.spool,
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
	closers.run(ctx, func(ctx context.Context) { sweepLoop(ctx, p.store, log) })
	return p, nil
}

// store is how the settings want the database.
func (s *settings) store(log *zap.Logger) sqlite.Config {
	return sqlite.Config{Path: s.DB, FullSync: bool(s.SQLiteSync), Log: log}
}

// spool is how the settings want the spool.
func (s *settings) spool(log *zap.Logger) spool.Config {
	return spool.Config{Dir: filepath.Join(s.DataDir, "spool"), Sync: s.SpoolSync, Log: log}
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
func newService(s *settings, store *sqlite.Store, sealing llmproxy.Secret, providers *provider.Set) (*manage.Service, error) {
	public, err := seal.PublicKey(sealing)
	if err != nil {
		return nil, fmt.Errorf("the sealing secret in the key file: %w", err)
	}
	sealer, err := seal.NewSealer(public)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(providers.Providers))
	for name := range providers.Providers {
		names = append(names, name)
	}
	return manage.New(manage.Config{Store: store, Sealer: sealer, Providers: names, Default: providers.Default, DefaultMaxRequests: s.DefaultMax}), nil
}

// sweepEvery is how often what ended long ago is removed.
const sweepEvery = time.Hour

func sweepLoop(ctx context.Context, store *sqlite.Store, log *zap.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		removed, err := store.Sweep(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			log.Warn("old tokens could not be removed", zap.Error(err))
		} else if removed > 0 {
			log.Info("removed what ended long ago", zap.Int64("rows", removed))
		}
	}
}

// eventTrouble says why the server does not keep its promises about events; none if it does.
func (p *parts) eventTrouble() (reasons []string) {
	if why := p.spool.Stats().Degraded; why != "" {
		reasons = append(reasons, "spool: "+why)
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
