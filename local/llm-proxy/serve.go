package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// Limits of the server's own side, against callers that are slow or greedy.
const (
	readHeaderTimeout   = 5 * time.Second
	maxHeaderBytes      = 64 << 10
	idleTimeout         = 2 * time.Minute
	maxUnknownPerMinute = 60
	sweepEvery          = time.Hour
	afterCut            = 5 * time.Second // for requests to end once they were cut at shutdown
)

// serve runs the server until ctx ends, then lets running requests end. It prints what to paste on stdout once it serves.
func serve(ctx context.Context, s *settings, withDemo bool, stdout, stderr io.Writer) (err error) {
	tuneGC()
	log, closeLog := newLogger(s, stderr)
	closers := &closers{}
	closers.add("log", closeLog)
	defer func() { err = errors.Join(err, closers.close()) }()

	parts, err := openParts(ctx, s, withDemo, log, closers)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.Addr, err)
	}
	defer listener.Close()
	url := serverURL(s, listener.Addr())
	if err := serveMetrics(s, parts.metrics, log, closers); err != nil {
		return err
	}
	pid, err := writePIDFile(s.PIDFile, localURL(s, listener.Addr()))
	if err != nil {
		return err
	}
	if pid == nil {
		log.Warn("another server runs with this data folder; server stop and health speak to that one", zap.String("pid_file", s.PIDFile))
	}
	closers.add("PID file", pid.remove)

	cut, cutAll := context.WithCancelCause(context.Background())
	defer cutAll(nil)
	server := &http.Server{
		Handler:                      parts.handler(log),
		ReadHeaderTimeout:            readHeaderTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		IdleTimeout:                  idleTimeout,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     zap.NewStdLog(log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
		BaseContext:                  func(net.Listener) context.Context { return cut },
	}
	served := make(chan error, 1)
	go func() {
		if s.TLSCert != "" {
			served <- server.ServeTLS(listener, s.TLSCert, s.TLSKey)
		} else {
			served <- server.Serve(listener)
		}
	}()
	if err := printBlock(stdout, parts.block(s, url)); err != nil {
		return err
	}
	if os.Getenv(daemonEnv) != "" {
		_ = os.Stdout.Close() // tells the process that started this one that it serves
	}
	log.Info("serving", zap.String("url", url), zap.String("version", version))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping", zap.Duration("requests_may_take", s.Shutdown))
	return shutdown(server, s.Shutdown, cutAll, log)
}

// shutdown lets running requests end within the limit and cuts those that do not.
func shutdown(server *http.Server, limit time.Duration, cutAll context.CancelCauseFunc, log *zap.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := server.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	log.Warn("requests still run, they are cut")
	cutAll(context.DeadlineExceeded)
	ctx, cancelCut := context.WithTimeout(context.Background(), afterCut)
	defer cancelCut()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// tuneGC trades memory for time, unless the environment says how: a proxy's heap is small and its garbage short-lived.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// parts are what the server is made of.
type parts struct {
	proxy   *proxy.Handler
	store   *sqlite.Store
	spool   *spool.Spool
	loop    *dispatch.Loop // nil without an event log
	metrics *metrics
	demo    *demoAccess // nil without --demo
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
	if _, err := findOperators(s, keys); err != nil {
		return nil, err
	}
	p := &parts{metrics: newMetrics()}
	providers, err := loadProviders(s, withDemo, closers)
	if err != nil {
		return nil, err
	}
	if p.store, err = sqlite.Open(ctx, sqlite.Config{Path: s.DB, FullSync: bool(s.SQLiteSync), Log: log}); err != nil {
		return nil, err
	}
	closers.add("database", p.store.Close)
	if p.spool, err = spool.Open(spool.Config{Dir: filepath.Join(s.DataDir, "spool"), Sync: s.SpoolSync, Log: log}); err != nil {
		return nil, err
	}
	closers.add("spool", p.spool.Close)
	p.metrics.watchSpool(p.spool.Stats)
	if err := p.openEventLog(s, log, closers); err != nil {
		return nil, err
	}
	secret := llmproxy.NewSecret(keys.SealingSecret)
	if p.proxy, err = proxy.New(proxy.Config{
		Providers:             providers,
		Store:                 p.store,
		Keys:                  seal.NewOpener(seal.Static(secret)),
		Events:                p.spool,
		Observe:               p.metrics.observe,
		Capture:               llmproxy.Capture(s.Capture),
		MaxConcurrentPerToken: s.MaxPerToken,
		MaxUnknownPerMinute:   maxUnknownPerMinute,
		Log:                   log,
	}); err != nil {
		return nil, err
	}
	closers.add("proxy", func() error { p.proxy.Close(); return nil })
	if withDemo {
		service, err := newService(s, p.store, secret, providers)
		if err != nil {
			return nil, err
		}
		if p.demo, err = openDemo(ctx, s, service, keys); err != nil {
			return nil, err
		}
	}
	closers.run("sweep", func(ctx context.Context) { sweepLoop(ctx, p.store, log) })
	return p, nil
}

func loadProviders(s *settings, withDemo bool, closers *closers) (*provider.Set, error) {
	switch {
	case withDemo:
		return startDemoProvider(closers)
	case s.Providers == "":
		return provider.Default(), nil
	}
	set, err := provider.Load(s.Providers)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return set, nil
}

// newService is the management of this installation.
func newService(s *settings, store *sqlite.Store, secret llmproxy.Secret, providers *provider.Set) (*manage.Service, error) {
	public, err := seal.PublicKey(secret)
	if err != nil {
		return nil, err
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

// openEventLog delivers events to the file that the settings name, unless another process does.
func (p *parts) openEventLog(s *settings, log *zap.Logger, closers *closers) error {
	if s.EventLog == "" {
		return nil
	}
	destination, err := dispatch.Open("file", dispatch.Settings{File: dispatch.FileConfig{Path: s.EventLog}})
	if err != nil {
		return err
	}
	follower, err := p.spool.Follow("file")
	if errors.Is(err, spool.ErrLocked) {
		log.Info("another process writes the event log", zap.String("file", s.EventLog))
		return nil
	}
	if err != nil {
		return err
	}
	closers.add("event log", follower.Close)
	p.loop = dispatch.New(dispatch.Config{Name: "file", Source: follower, Destination: destination, DeadLetters: filepath.Join(s.DataDir, "dead-letters.jsonl"), Log: log})
	p.metrics.watchDestination("file", p.loop.Stats)
	closers.run("event log", func(ctx context.Context) {
		if err := p.loop.Run(ctx); err != nil && ctx.Err() == nil {
			log.Error("the event log has ended", zap.Error(err))
		}
	})
	return nil
}

// sweepLoop removes what ended long ago.
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

// handler is everything that the server answers.
func (p *parts) handler(log *zap.Logger) http.Handler {
	checks := &healthChecks{ping: p.store.Ping, log: log, reasons: p.degraded}
	return checks.route(p.proxy)
}

// degraded says why the server is not as it should be; none if it is.
func (p *parts) degraded() (reasons []string) {
	if why := p.spool.Stats().Degraded; why != "" {
		reasons = append(reasons, "spool: "+why)
	}
	if p.loop != nil {
		if stats := p.loop.Stats(); stats.Failing {
			reasons = append(reasons, "event log: "+stats.LastError)
		}
	}
	return reasons
}

// serveMetrics serves the metrics on their own listener. Where its default address is busy, another server's probably, they are off.
func serveMetrics(s *settings, m *metrics, log *zap.Logger, closers *closers) error {
	if s.MetricsAddr == "off" {
		return nil
	}
	listener, err := net.Listen("tcp", s.MetricsAddr)
	if err != nil {
		if s.metricsAddrSet {
			return fmt.Errorf("listen for metrics on %s: %w", s.MetricsAddr, err)
		}
		log.Warn("metrics are off: their address is busy, set LLM_PROXY_METRICS_ADDR to another", zap.String("addr", s.MetricsAddr), zap.Error(err))
		return nil
	}
	server := &http.Server{Handler: m.handler(), ReadHeaderTimeout: readHeaderTimeout}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are served no longer", zap.Error(err))
		}
	}()
	closers.add("metrics", server.Close)
	log.Info("serving metrics", zap.String("url", "http://"+listener.Addr().String()+"/metrics"))
	return nil
}

// serverURL is the origin under which clients reach the server.
func serverURL(s *settings, addr net.Addr) string {
	if s.PublicURL != "" {
		return strings.TrimRight(s.PublicURL, "/")
	}
	return localURL(s, addr)
}

// localURL is the origin under which this machine reaches it.
func localURL(s *settings, addr net.Addr) string {
	scheme := "http"
	if s.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// closers give parts back in the reverse order of making.
type closers struct {
	steps []func() error
}

func (c *closers) add(what string, closeIt func() error) {
	c.steps = append(c.steps, func() error {
		if err := closeIt(); err != nil {
			return fmt.Errorf("close %s: %w", what, err)
		}
		return nil
	})
}

// run starts work in the background that ends when its turn to close has come.
func (c *closers) run(what string, work func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { work(ctx) })
	c.add(what, func() error { cancel(); wg.Wait(); return nil })
}

func (c *closers) close() error {
	var errs []error
	for i := len(c.steps) - 1; i >= 0; i-- {
		errs = append(errs, c.steps[i]())
	}
	c.steps = nil
	return errors.Join(errs...)
}
