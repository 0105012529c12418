package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"go.uber.org/zap"
)

// serveInside serves what is for this machine alone, on a loopback listener of its own: metrics, and health with its reasons. It
// returns the listener's origin. Where the default address is busy, by another server probably, there is none; where one was asked
// for, that is an error.
func serveInside(ctx context.Context, s *settings, p *parts, log *zap.Logger, closers *closers) (origin string, err error) {
	if s.MetricsAddr == metricsOff {
		return "", nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", p.metrics.handler())
	mux.HandleFunc("GET /health", p.health.inside)
	origin, err = listenInside(ctx, s.MetricsAddr, mux, log, closers)
	if err != nil {
		if s.metricsAddrSet || !errors.Is(err, syscall.EADDRINUSE) {
			return "", fmt.Errorf("%w: choose another address with %s, or off", err, settingName("LLM_PROXY_METRICS_ADDR"))
		}
		log.Warn("metrics are off: their address is in use, set LLM_PROXY_METRICS_ADDR to another", zap.String("addr", s.MetricsAddr))
		return "", nil
	}
	return origin, nil
}

// listenInside serves what is for this machine alone and returns its origin.
func listenInside(ctx context.Context, addr string, mux *http.ServeMux, log *zap.Logger, closers *closers) (origin string, err error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen for metrics: %w", err)
	}
	server := newHTTPServer(onlyByAddress(mux), log)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are served no longer", zap.Error(err))
		}
	}()
	closers.add("metrics", server.Close)
	origin = "http://" + listener.Addr().String()
	log.Info("serving metrics", zap.String("url", origin+"/metrics"))
	return origin, nil
}

// onlyByAddress refuses requests for a name other than localhost: by a name of its own that it lets lead here, a web page could read what
// is told.
func onlyByAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if host != "localhost" && net.ParseIP(host) == nil {
			http.Error(w, "ask by address or as localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
