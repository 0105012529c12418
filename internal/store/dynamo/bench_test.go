//go:build unix

package dynamo_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// cpuTime is what this process has used so far; the engine is another one.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// reportCPU reports what the store itself costs, beside the time that it waits for the engine.
func reportCPU(b *testing.B) (stop func()) {
	b.Helper()
	before := cpuTime(b)
	return func() {
		b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	}
}

// BenchmarkSpend: one after another, each an update and a read beside it.
func BenchmarkSpend(b *testing.B) {
	s := open(b, newTables(b, patient))
	p := storetest.AddProject(b, s)
	id, hash := storetest.AddToken(b, s, p.ID)
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		if _, _, err := s.Spend(context.Background(), id, hash, storetest.Noon); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSpendParallel: many at once on one token, which is the hardest for the engine.
func BenchmarkSpendParallel(b *testing.B) {
	s := open(b, newTables(b, patient))
	p := storetest.AddProject(b, s)
	id, hash := storetest.AddToken(b, s, p.ID)
	b.ReportAllocs()
	b.SetParallelism(16)
	defer reportCPU(b)()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Spend(context.Background(), id, hash, storetest.Noon); err != nil {
				b.Error(err)
			}
		}
	})
}
