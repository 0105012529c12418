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

func TestALineTellsHowFarARunIs(t *testing.T) {
	r := &Result{Seconds: 3, Requests: 1200, PerSecond: 400, Plan: Summary{Requests: 4800, Seconds: 4}}
	require.Equal(t, "3 s, 1,200 requests, 400.0/s, 0 failed", r.Line())
	require.InDelta(t, 0.75, r.Progress(), 0.001, "the duration is further than the number")
	r.Plan.Seconds = 0
	require.InDelta(t, 0.25, r.Progress(), 0.001)
	r.Requests = 5000
	require.InDelta(t, 1, r.Progress(), 0.001)
	require.Contains(t, aRun(t).Line(), "first byte p50")
}

var errBroken = errors.New("nobody reads")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
