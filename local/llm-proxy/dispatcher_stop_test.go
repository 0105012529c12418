package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestADispatcherThatIsStoppedSendsNothingAgain: SIGTERM in mid-batch, with calls under way, time and again. What was under way is heard of,
// and what is done is noted beside the cursor.
func TestADispatcherThatIsStoppedSendsNothingAgain(t *testing.T) {
	dir, ids := dataWith(t, 400)
	var (
		mu   sync.Mutex
		keys []string
		stop func()
	)
	const stopEvery, stops = 70, 4 // calls
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		keys = append(keys, r.Header.Get("Webhook-Id"))
		if n := len(keys); n%stopEvery == 0 && n/stopEvery <= stops {
			stop()
		}
		mu.Unlock()
		time.Sleep(10 * time.Millisecond) // it answers when the signal has long arrived
	}))
	t.Cleanup(receiver.Close)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", receiver.URL)
	for run := range stops + 1 {
		cmd := program(t, "dispatcher", "--service", "webhook", "--once", "--data-dir", dir)
		mu.Lock()
		require.NoError(t, cmd.Start())
		stop = func() { _ = cmd.Process.Signal(syscall.SIGTERM) }
		mu.Unlock()
		require.NoError(t, cmd.Wait(), "it ends by itself and well")
		mu.Lock()
		if run < stops {
			require.Less(t, len(keys), len(ids), "it was stopped in the middle")
		}
		mu.Unlock()
	}
	got := slices.Sorted(slices.Values(keys))
	slices.Sort(ids)
	require.Equal(t, ids, got, "each event once")
}
