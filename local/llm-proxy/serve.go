package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/fastpath"
	"github.com/sofatutor/llm-proxy/internal/proxy"
)

// serve runs the server until ctx ends, then lets running requests end. Once it serves it hands announce what is to be printed.
func serve(ctx context.Context, s *settings, withDemo bool, announce func(text string) error, stderr io.Writer) (err error) {
	log, closeLog := newLogger(s, stderr)
	closers := &closers{}
	closers.add("log", closeLog)
	defer func() { err = errors.Join(err, closers.close()) }()

	// What is refused for the command line's sake comes first, before anything is made or opened.
	certificate, err := loadCertificate(s)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, s)
	if err != nil {
		return err
	}
	defer listener.Close()
	if certificate == nil && !isLoopback(listener.Addr().String()) {
		log.Warn("tokens travel in plain text: give the server a certificate, or let what stands in front of it end TLS", zap.Stringer("addr", listener.Addr()))
	}
	pid, err := claimPIDFile(s.PIDFile)
	if err != nil {
		return err
	}
	if pid == nil && isDaemon() {
		return anotherRuns(s)
	}
	if pid == nil {
		log.Warn("another server runs with this data folder; server stop and health speak to that one", zap.String("pid_file", s.PIDFile))
	}
	closers.add("PID file", pid.remove)
	parts, err := openParts(ctx, s, withDemo, log, closers)
	if err != nil && ctx.Err() != nil {
		return errors.New("stopped before it served")
	}
	if err != nil {
		return err
	}
	metricsURL, err := serveInside(ctx, s, parts, log, closers)
	if err != nil {
		return err
	}

	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx)) // outlives ctx, so that running requests may
	defer cut(nil)
	front := parts.front()
	server := newHTTPServer(front, log)
	server.BaseContext = func(net.Listener) context.Context { return requests }
	serving := stoppable(server)
	if certificate == nil { // what comes over TLS may be HTTP/2
		plain := fastpath.Listen(listener, fastpath.Config{ //nolint:contextcheck // requests outlive ctx
			Handler: front.proxy, Takes: front.leaves, BaseContext: requests, HeaderTimeout: proxy.ReadHeaderTimeout, IdleTimeout: proxy.IdleTimeout, ErrorLog: httpLog(log),
		})
		listener, serving = plain, both{server, plain}
	}
	served := make(chan error, 1)
	go func() { served <- certificate.serve(server, listener) }()
	if err := pid.announce(runningServer{
		PID: os.Getpid(), URL: localURL(s, listener.Addr()), MetricsURL: metricsURL, Certificate: certificate.fingerprint(),
		Demo: withDemo, ShutdownMS: s.Shutdown.Milliseconds(),
	}); err != nil {
		return errors.Join(err, serving.Close())
	}
	url := publicURL(s, listener.Addr())
	log.Info("serving", zap.String("url", url), zap.String("version", version))
	if err := announce(parts.block(s, url).String()); err != nil {
		return errors.Join(err, serving.Close())
	}
	if err := unmapStart(); err != nil {
		log.Debug("what only the start needed stays in memory", zap.Error(err))
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping", zap.Int64("requests_may_take_ms", s.Shutdown.Milliseconds()))
	return shutdown(context.WithoutCancel(ctx), serving, s.Shutdown, cut, log)
}

// newHTTPServer bounds what callers may cost before a handler sees them.
func newHTTPServer(handler http.Handler, log *zap.Logger) *http.Server {
	return &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            proxy.ReadHeaderTimeout,
		MaxHeaderBytes:               proxy.MaxHeaderBytes,
		IdleTimeout:                  proxy.IdleTimeout,
		DisableGeneralOptionsHandler: true, // OPTIONS * is the proxy's to refuse
		ErrorLog:                     httpLog(log),
	}
}
