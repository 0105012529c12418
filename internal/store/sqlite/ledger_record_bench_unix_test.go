//go:build unix

package sqlite_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// BenchmarkLedgerRecordOfManyTokens records batches of 256 events of 20,000 tokens in 100 projects, a day's worth in a minute of the
// ledger, and tells the processor's time for each: that of the clock is the disk's.
//
//	go test -run '^$' -bench RecordOfManyTokens -benchtime 100x ./internal/store/sqlite
func BenchmarkLedgerRecordOfManyTokens(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "bench.db"))
	random := rand.New(rand.NewPCG(7, 7))
	const size = 256
	n := 0
	used := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		events := make([]*llmproxy.Event, size)
		for i := range events {
			n++
			e := storetest.LedgerEvent(n%1000, storetest.Noon.Add(time.Duration(n)*2500*time.Millisecond))
			token := random.IntN(20_000)
			e.TokenID.UUID[14], e.TokenID.UUID[15], e.ProjectID.UUID[15] = byte(token>>8), byte(token), byte(token%100)
			events[i] = e
		}
		before := processorTime(b)
		b.StartTimer()
		require.NoError(b, s.Record(context.Background(), events))
		b.StopTimer()
		used += processorTime(b) - before
		b.StartTimer()
	}
	b.ReportMetric(float64(used.Microseconds())/float64(b.N*size), "cpu-µs/event")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
