package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
)

// destinationCollector are the metrics of a destination: what its loop counts, and what waits for it in the spool.
type destinationCollector struct {
	name  string
	stats func() dispatch.Stats
	seen  *destinations

	delivered, retried, dead, failing, backlog, bytes, oldest, letters *prometheus.Desc
}

func newDestinationCollector(name string, stats func() dispatch.Stats, seen *destinations) *destinationCollector {
	metric := func(metric, help string) *prometheus.Desc {
		return prometheus.NewDesc("llmproxy_destination_"+metric, help, nil, prometheus.Labels{"destination": name})
	}
	return &destinationCollector{
		name: name, stats: stats, seen: seen,
		delivered: metric("delivered_total", "Events delivered."),
		retried:   metric("retried_total", "Deliveries tried again."),
		dead:      metric("dead_total", "Events put among the dead letters."),
		failing:   metric("failing", "1 while deliveries fail."),
		backlog:   metric("backlog_events", "Events that wait."),
		bytes:     metric("backlog_bytes", "What lies behind the cursor."),
		oldest:    metric("oldest_event_seconds", "Age of the oldest event that waits, 0 if none does."),
		letters:   metric("dead_letters", "Events that are dead letters now."),
	}
}

// Describe implements [prometheus.Collector].
func (c *destinationCollector) Describe(to chan<- *prometheus.Desc) {
	for _, of := range []*prometheus.Desc{c.delivered, c.retried, c.dead, c.failing, c.backlog, c.bytes, c.oldest, c.letters} {
		to <- of
	}
}

// Collect implements [prometheus.Collector]. What the data folder does not tell is left out.
func (c *destinationCollector) Collect(to chan<- prometheus.Metric) {
	send := func(of *prometheus.Desc, kind prometheus.ValueType, value float64) {
		to <- prometheus.MustNewConstMetric(of, kind, value)
	}
	stats := c.stats()
	send(c.delivered, prometheus.CounterValue, float64(stats.Delivered))
	send(c.retried, prometheus.CounterValue, float64(stats.Retried))
	send(c.dead, prometheus.CounterValue, float64(stats.Dead))
	send(c.failing, prometheus.GaugeValue, boolean(stats.Failing))
	if w, err := c.seen.gauge.Waiting(c.name); err == nil {
		age := 0.0
		if !w.Oldest.IsZero() {
			age = max(time.Since(w.Oldest).Seconds(), 0)
		}
		send(c.backlog, prometheus.GaugeValue, float64(w.Events))
		send(c.bytes, prometheus.GaugeValue, float64(w.Bytes))
		send(c.oldest, prometheus.GaugeValue, age)
	}
	if n, err := c.seen.deadLetters(c.name); err == nil {
		send(c.letters, prometheus.GaugeValue, float64(n))
	}
}
