package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// BenchmarkABacklogIsDelivered runs a dispatcher as a process of its own over a backlog, and reports events a second and the most memory
// that the process took; it is meant for one run, as the second finds nothing left. The file is synced with each batch of 100 events, the spool's cursor with each batch of any service; the
// receiver of webhooks takes 50 ms for a call. `make bench-events` runs it once.
func BenchmarkABacklogIsDelivered(b *testing.B) {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(50 * time.Millisecond) }))
	defer receiver.Close()
	for _, c := range []struct {
		name   string
		events int
		args   []string
	}{
		{"a million to a file", 1_000_000, []string{"--service", "file", "--file", filepath.Join(b.TempDir(), "events.jsonl")}},
		{"10000 to a webhook of 50 ms", 10_000, []string{"--service", "webhook"}},
		{"100000 to a webhook of 50 ms, 25 in a call", 100_000, []string{"--service", "webhook", "--webhook-batch", "25"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			fill(b, filepath.Join(dir, "spool"), c.events)
			began := time.Now()
			w, err := spool.NewGauge(filepath.Join(dir, "spool")).Waiting("nobody")
			require.NoError(b, err)
			require.EqualValues(b, c.events, w.Events)
			counted := time.Since(began)
			program, err := exec.LookPath("llm-proxy")
			require.NoError(b, err)
			b.ResetTimer()
			cmd := exec.CommandContext(b.Context(), program, append([]string{"dispatcher", "--once", "--log-level", "warn", "--data-dir", dir}, c.args...)...)
			cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "LLM_PROXY_WEBHOOK_URL=" + receiver.URL}
			said, err := cmd.CombinedOutput()
			b.StopTimer()
			require.NoError(b, err, "%s", said)
			usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			require.True(b, ok)
			b.ReportMetric(float64(c.events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64((cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Microseconds())/float64(c.events), "µs-CPU/event")
			b.ReportMetric(float64(usage.Maxrss)/1024, "MB-RSS") // Linux tells kB
			b.ReportMetric(float64(w.Bytes)/1e6, "MB-backlog")
			b.ReportMetric(float64(counted.Milliseconds()), "ms-to-count")
		})
	}
}

// fill makes a spool of an ended server with so many events, which have small bodies.
func fill(b *testing.B, dir string, n int) {
	b.Helper()
	s, err := spool.Open(spool.Config{Dir: dir, Sync: spool.SyncNever})
	require.NoError(b, err)
	for range n {
		now := time.Now()
		s.Publish(&llmproxy.Event{
			ID: llmproxy.NewEventID(now), Time: now, Provider: "openai", Method: http.MethodPost, Path: "/v1/chat/completions", Status: 200,
			Outcome: llmproxy.Complete, UsageKind: "openai-chat",
			Request:  eventMessage(`{"model":"gpt-4o","messages":[{"role":"user","content":"Hello!"}]}`),
			Response: eventMessage(`{"model":"gpt-4o","choices":[{"message":{"role":"assistant","content":"Hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`),
		})
	}
	require.NoError(b, s.Close())
	require.Zero(b, s.Stats().Failed)
}
