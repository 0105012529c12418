package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

// backlog is a spool with b.N events with bodies that were captured, of which the upstream told its usage.
func backlog(b *testing.B, n int) *spool.Follower {
	b.Helper()
	dir := b.TempDir()
	s, err := spool.Open(spool.Config{Dir: dir, Sync: spool.SyncNever})
	require.NoError(b, err)
	for range n {
		s.Publish(&llmproxy.Event{
			ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Provider: "openai", Method: http.MethodPost, Path: "/v1/chat/completions", Status: 200,
			Outcome: llmproxy.Complete, UsageKind: "openai-chat",
			Request:  eventMessage(`{"model":"gpt-4o","messages":[{"role":"user","content":"Hello!"}]}`),
			Response: eventMessage(`{"model":"gpt-4o","choices":[{"message":{"role":"assistant","content":"Hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`),
		})
	}
	require.NoError(b, s.Close())
	f, err := spool.Follow(dir, "bench", nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, f.Close()) })
	return f
}

// drain delivers a backlog and reports events a second, and the most memory that was in use.
func drain(b *testing.B, name string, s dispatch.Settings) {
	b.Helper()
	follower := backlog(b, b.N)
	destination, err := dispatch.Open(name, s)
	require.NoError(b, err)
	l := dispatch.New(dispatch.Config{Name: name, Source: follower, Destination: destination, DeadLetters: filepath.Join(b.TempDir(), "dead.jsonl"), Meter: dispatch.Meter(price.Embedded())})
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	var most uint64
	b.ResetTimer()
	go func() { ended <- l.Run(ctx) }()
	for l.Stats().Delivered < uint64(b.N) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		time.Sleep(10 * time.Millisecond)
	}
	b.StopTimer()
	stop()
	require.NoError(b, <-ended)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(most)/1e6, "MB-heap")
}

// BenchmarkSpoolToFile syncs the log to the disk with each batch of 100.
func BenchmarkSpoolToFile(b *testing.B) {
	drain(b, "file", dispatch.Settings{File: dispatch.FileConfig{Path: filepath.Join(b.TempDir(), "events.jsonl")}})
}

// BenchmarkSpoolToWebhook posts to a receiver that takes 50 ms.
func BenchmarkSpoolToWebhook(b *testing.B) {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(50 * time.Millisecond) }))
	defer receiver.Close()
	for _, batch := range []int{1, 25} {
		b.Run(fmt.Sprintf("%d in a call", batch), func(b *testing.B) {
			drain(b, "webhook", dispatch.Settings{Webhook: dispatch.WebhookConfig{URL: llmproxy.NewSecret(receiver.URL), Batch: batch}})
		})
	}
}
