package bench

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheTextHasWhatTheResultHas(t *testing.T) {
	r := aRun(t)
	var out bytes.Buffer
	require.NoError(t, r.WriteText(&out))
	text := out.String()
	for _, want := range []string{"POST http://bench/v1/chat/completions", "300 in 6.", "events", "latency", "... from sending", "first byte", "between events", "corrected for coordinated omission", "15 x 429"} {
		require.Contains(t, text, want)
	}
	require.Contains(t, text, formatMS(r.Latency.P99))
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len([]rune(line)), 130, line)
	}
	require.ErrorIs(t, r.WriteText(broken{}), errBroken)
}

func TestTheTextTellsWhatWasNotSentAndWhatWasInterrupted(t *testing.T) {
	r := do(t, Plan{Duration: time.Second, Concurrency: 1, Rate: 10, Timeout: 2 * time.Second}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r.Interrupted = 3
	var out bytes.Buffer
	require.NoError(t, r.WriteText(&out))
	require.Contains(t, out.String(), "9 due and not sent: 1 at once are too few")
	require.Contains(t, out.String(), "3 under way when the run was ended")
	require.Contains(t, out.String(), "1 x timeout: no complete answer within 2s")
}

func TestAStatusTellsHowFarARunIs(t *testing.T) {
	require.Equal(t, "warming up", Status{}.String())
	require.Equal(t, "3 s, 1,200 requests, 400.0/s, 7 failed, p50 1.50 ms, p99 20.0 ms, first byte p50 900 µs",
		Status{Elapsed: 3 * time.Second, Requests: 1200, Failed: 7, P50: 1500 * time.Microsecond, P99: 20 * time.Millisecond, FirstByteP50: 900 * time.Microsecond}.String())

	c := newCollector(Plan{Requests: 4, Duration: 10 * time.Second})
	begin := time.Now()
	require.Zero(t, c.status(begin).Elapsed)
	c.start(begin)
	c.add(&outcome{due: begin, end: begin.Add(time.Millisecond), status: 200})
	s := c.status(begin.Add(time.Second))
	require.Equal(t, time.Second, s.Elapsed)
	require.InDelta(t, 0.25, s.Share, 0.001, "a quarter of the requests")
	require.Equal(t, time.Millisecond, s.P50)
	require.InDelta(t, 0.5, c.status(begin.Add(5*time.Second)).Share, 0.001, "half of the time")
	require.InDelta(t, 1, c.status(begin.Add(time.Hour)).Share, 0.001)
}

// The lock is held for the copying of two histograms; what is sent meanwhile waits for it.
func BenchmarkStatus(b *testing.B) {
	c := newCollector(Plan{Requests: 1})
	c.start(time.Now())
	for i := range 100_000 {
		record(c.latency, time.Duration(i)*time.Microsecond)
	}
	for b.Loop() {
		c.status(time.Now())
	}
}

var errBroken = errors.New("nobody reads")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
