package spool_test

import (
	"testing"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

// BenchmarkRequest is what a request costs: its begin and its event.
func BenchmarkRequest(b *testing.B) {
	for _, size := range []struct {
		name              string
		request, response int
	}{{"chat", 512, 1100}, {"stream", 2 << 10, 24 << 10}, {"large", 64 << 10, 256 << 10}} {
		for _, mode := range []spool.SyncMode{spool.DefaultSync, spool.SyncNever} {
			b.Run(size.name+"/"+mode.String(), func(b *testing.B) {
				s := open(b, spool.Config{Dir: b.TempDir(), Sync: mode, MaxBytes: 512 << 20})
				bg := begin(newID())
				e := event(bg.ID, body(size.request, "ask "), body(size.response, "tell "))
				b.ReportAllocs()
				for b.Loop() {
					s.Begin(bg)
					s.Publish(e)
				}
				require.Zero(b, s.Stats().Failed)
			})
		}
	}
}

// BenchmarkRequestParallel is the same from all processors at once.
func BenchmarkRequestParallel(b *testing.B) {
	s := open(b, spool.Config{Dir: b.TempDir(), MaxBytes: 512 << 20})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		bg := begin(newID())
		e := event(bg.ID, body(512, "ask "), body(1100, "tell "))
		for pb.Next() {
			s.Begin(bg)
			s.Publish(e)
		}
	})
	require.Zero(b, s.Stats().Failed)
}

// BenchmarkRead is what a follower pays for the event of a small chat.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	s := open(b, spool.Config{Dir: dir})
	e := event(llmproxy.EventID{}, body(512, "ask "), body(1100, "tell "))
	for range b.N {
		e.ID = newID()
		s.Begin(begin(e.ID))
		s.Publish(e)
	}
	f := follow(b, dir, "file")
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		n += len(read(b, f, min(100, b.N-n)))
	}
}
