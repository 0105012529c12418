package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
)

// serveInside serves the dispatcher's metrics and health on loopback, where that is asked for, in the words of the server's.
func (d *dispatcher) serveInside(ctx context.Context, stats func() dispatch.Stats, seen func(dispatch.Stats) waiting, closers *closers) error {
	if d.settings.MetricsAddr == metricsOff {
		return nil
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newDestinationCollector(d.settings.Name, stats, seen),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, dispatcherHealth(d.settings.Name, stats()))
	})
	if _, err := listenInside(ctx, d.settings.MetricsAddr, mux, d.log, closers); err != nil {
		return fmt.Errorf("%w: choose another address with --metrics-addr, or off", err)
	}
	return nil
}

// dispatcherHealth says whether a dispatcher delivers. It is answered with 200 either way, as the server's: what is not delivered is kept.
func dispatcherHealth(name string, stats dispatch.Stats) health {
	h := health{Status: healthOK, Timestamp: time.Now().UTC().Truncate(time.Millisecond), Version: version}
	if stats.Failing {
		h.Status, h.Reasons = healthDegraded, []string{name + ": " + stats.LastError}
	}
	return h
}
