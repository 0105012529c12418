package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
)

// destinationCollector are the metrics of a destination: what its deliveries count, and what waits for it.
type destinationCollector struct {
	stats func() dispatch.Stats
	seen  func(dispatch.Stats) waiting

	delivered, retried, dead, failing, backlog, bytes, oldest, letters *prometheus.Desc
}

// waiting is what waits for a destination, and what of it has become a dead letter. What nobody tells is nil.
type waiting struct {
	events, bytes, letters *int64
	age                    *time.Duration // of the oldest event; 0 if none waits
}

// inSpool is what waits for a destination in the spool of a data folder.
func inSpool(name string, seen *destinations) func(dispatch.Stats) waiting {
	return func(dispatch.Stats) (all waiting) {
		if w, err := seen.gauge.Waiting(name); err == nil {
			all.events, all.bytes, all.age = &w.Events, &w.Bytes, ageOf(w.Oldest)
		}
		if n, err := seen.deadLetters(name); err == nil {
			all.letters = &n
		}
		return all
	}
}

// ageOf is how long ago a moment was; 0 of none.
func ageOf(at time.Time) *time.Duration {
	var age time.Duration
	if !at.IsZero() {
		age = max(time.Since(at), 0)
	}
	return &age
}

func newDestinationCollector(name string, stats func() dispatch.Stats, seen func(dispatch.Stats) waiting) *destinationCollector {
	metric := func(metric, help string) *prometheus.Desc {
		return prometheus.NewDesc("llmproxy_destination_"+metric, help, nil, prometheus.Labels{"destination": name})
	}
	return &destinationCollector{
		stats: stats, seen: seen,
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

// Collect implements [prometheus.Collector]. What nobody tells is left out.
func (c *destinationCollector) Collect(to chan<- prometheus.Metric) {
	send := func(of *prometheus.Desc, kind prometheus.ValueType, value float64) {
		to <- prometheus.MustNewConstMetric(of, kind, value)
	}
	stats := c.stats()
	send(c.delivered, prometheus.CounterValue, float64(stats.Delivered))
	send(c.retried, prometheus.CounterValue, float64(stats.Retried))
	send(c.dead, prometheus.CounterValue, float64(stats.Dead))
	send(c.failing, prometheus.GaugeValue, boolean(stats.Failing))
	w := c.seen(stats)
	for _, gauge := range []struct {
		of *prometheus.Desc
		n  *int64
	}{{c.backlog, w.events}, {c.bytes, w.bytes}, {c.letters, w.letters}} {
		if gauge.n != nil {
			send(gauge.of, prometheus.GaugeValue, float64(*gauge.n))
		}
	}
	if w.age != nil {
		send(c.oldest, prometheus.GaugeValue, w.age.Seconds())
	}
}
