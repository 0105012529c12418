package main

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// metrics are the server's Prometheus metrics.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	added    *prometheus.HistogramVec
	first    *prometheus.HistogramVec
	upstream *prometheus.HistogramVec
	spend    *prometheus.HistogramVec

	mu       sync.RWMutex
	counters map[requestLabels]prometheus.Counter
	timings  map[string]*timings
}

// requestLabels are those of the counter of requests. All come from fixed sets.
type requestLabels struct{ outcome, provider, code string }

// timings are the histograms of one provider.
type timings struct{ added, first, upstream, spend prometheus.Observer }

// Bounds of the histograms, in seconds.
var (
	fastBounds = []float64{.00002, .00005, .0001, .0002, .0005, .001, .002, .005, .01, .05, .1, .5, 1}
	slowBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
)

func newMetrics() *metrics {
	histogram := func(name, help string, bounds []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, []string{"provider"})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "llmproxy_requests_total", Help: "Requests that ended, by how they ended, provider and the code of our own error."}, []string{"outcome", "provider", "code"}),
		added:    histogram("llmproxy_added_latency_seconds", "Time of an answered request that was not the upstream's.", fastBounds),
		first:    histogram("llmproxy_first_byte_seconds", "Time from a request's head to the first byte of its answer's body.", slowBounds),
		upstream: histogram("llmproxy_upstream_seconds", "Time from the upstream call to the end of its answer.", slowBounds),
		spend:    histogram("llmproxy_spend_seconds", "Time that checking and counting a token took.", fastBounds),
		counters: map[requestLabels]prometheus.Counter{},
		timings:  map[string]*timings{},
	}
	m.registry.MustRegister(m.requests, m.added, m.first, m.upstream, m.spend, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts a request that ended. It runs for each request and allocates nothing for labels seen before.
func (m *metrics) observe(e *llmproxy.Event) {
	labels := requestLabels{string(e.Outcome), e.Provider, e.Code}
	m.mu.RLock()
	counter, t := m.counters[labels], m.timings[e.Provider]
	m.mu.RUnlock()
	if counter == nil || t == nil {
		counter, t = m.labels(labels)
	}
	counter.Inc()
	observe := func(o prometheus.Observer, d time.Duration) {
		if d > 0 {
			o.Observe(d.Seconds())
		}
	}
	observe(t.spend, e.Timing.Auth)
	observe(t.first, e.Timing.FirstByte)
	observe(t.upstream, e.Timing.Upstream)
	if e.Timing.Upstream > 0 {
		observe(t.added, e.Timing.Total-e.Timing.Upstream)
	}
}

// labels finds the metrics of labels that are new.
func (m *metrics) labels(l requestLabels) (prometheus.Counter, *timings) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counter := m.requests.WithLabelValues(l.outcome, l.provider, l.code)
	m.counters[l] = counter
	t := m.timings[l.provider]
	if t == nil {
		t = &timings{m.added.WithLabelValues(l.provider), m.first.WithLabelValues(l.provider), m.upstream.WithLabelValues(l.provider), m.spend.WithLabelValues(l.provider)}
		m.timings[l.provider] = t
	}
	return counter, t
}

// watchSpool adds the metrics of the spool.
func (m *metrics) watchSpool(stats func() spool.Stats) {
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "llmproxy_events_published_total", Help: "Events written to the spool."}, func() float64 { return float64(stats().Published) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "llmproxy_events_failed_total", Help: "Events that could not be written to the spool."}, func() float64 { return float64(stats().Failed) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "llmproxy_spool_bytes", Help: "Size of the spool."}, func() float64 { return float64(stats().Kept) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "llmproxy_spool_degraded", Help: "1 while events cannot be kept as they should."}, func() float64 { return boolean(stats().Degraded != "") }),
	)
}

// watchBus adds the metrics of an event bus.
func (m *metrics) watchBus(stats func() eventbridge.Stats) {
	counter := func(metric, help string, of func(eventbridge.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: metric, Help: help}, func() float64 { return float64(of(stats())) })
	}
	m.registry.MustRegister(
		counter("llmproxy_events_published_total", "Events that the bus took.", func(s eventbridge.Stats) int64 { return s.Published }),
		counter("llmproxy_events_spilled_total", "Events that the spill queue took, since the bus did not.", func(s eventbridge.Stats) int64 { return s.Spilled }),
		counter("llmproxy_events_logged_total", "Events left in standard output without their bodies, since neither bus nor queue took them.", func(s eventbridge.Stats) int64 { return s.Logged }),
		counter("llmproxy_events_failed_total", "Lines that standard output did not take.", func(s eventbridge.Stats) int64 { return s.Failed }),
		counter("llmproxy_events_stripped_total", "Events published without their bodies, which could not be stored.", func(s eventbridge.Stats) int64 { return s.Stripped }),
	)
}

// watchDestination adds the metrics of a destination that this process delivers to.
func (m *metrics) watchDestination(name string, stats func() dispatch.Stats, seen *destinations) {
	m.registry.MustRegister(newDestinationCollector(name, stats, inSpool(name, seen)))
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// handler serves them.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
