package main

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/emf"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// metrics writes a line for each request, from which CloudWatch makes metrics. Names of functions, outcomes and providers are
// few; those of tokens and projects are not, and each would be billed as a metric of its own.
type metrics struct {
	namespace, function string
	lines               io.Writer

	mu      sync.Mutex
	waiting bytes.Buffer
}

// Dimensions and metrics as CloudWatch is told of them.
var (
	byOutcome  = [][]string{{"function", "outcome"}}
	byProvider = [][]string{{"function", "provider"}}
)

// observe notes a request that has ended. Nothing is written while its caller waits.
func (m *metrics) observe(e *llmproxy.Event) {
	line := map[string]any{"function": m.function, "outcome": string(e.Outcome), "requests": 1}
	directives := []emf.Directive{{Namespace: m.namespace, Dimensions: byOutcome, Metrics: []emf.Metric{{Name: "requests", Unit: "Count"}}}}
	timings := emf.Directive{Namespace: m.namespace, Dimensions: byProvider}
	add := func(name string, d time.Duration) {
		if d > 0 {
			line[name] = float64(d.Microseconds()) / 1000
			timings.Metrics = append(timings.Metrics, emf.Metric{Name: name, Unit: "Milliseconds"})
		}
	}
	add("spend", e.Timing.Auth)
	add("first_byte", e.Timing.FirstByte)
	add("upstream", e.Timing.Upstream)
	if e.Timing.Upstream > 0 {
		add("added_latency", e.Timing.Total-e.Timing.Upstream)
	}
	if e.Provider != "" && timings.Metrics != nil {
		line["provider"] = e.Provider
		directives = append(directives, timings)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = emf.Write(&m.waiting, e.Time, line, directives...) // strings and finite numbers, to memory
}

// flush writes what waits, when the caller has its answer. A metric is no event: what the log does not take is gone.
func (m *metrics) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = m.waiting.WriteTo(m.lines)
	m.waiting.Reset()
}
