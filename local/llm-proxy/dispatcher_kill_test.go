package main

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
)

// deadlyHook is a receiver of webhooks that fails in its own ways, refuses some events for good, and has its sender killed.
type deadlyHook struct {
	*httptest.Server
	mu     sync.Mutex
	calls  int
	poison map[string]bool
	keys   map[string]map[string]bool // of each event that was taken
	kill   func()                     // kills the sender
	kills  int
}

const (
	killEvery = 45 // calls
	maxKills  = 3
)

func (h *deadlyHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		return
	}
	h.calls++
	id := gjson.GetBytes(body, "id").Str
	switch {
	case h.poison[id]:
		http.Error(w, "not this one", http.StatusBadRequest)
		return
	case h.calls%20 == 7:
		http.Error(w, "boom", http.StatusInternalServerError)
		return
	case h.calls == 30:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "slow down", http.StatusTooManyRequests)
		return
	}
	if h.keys[id] == nil {
		h.keys[id] = map[string]bool{}
	}
	h.keys[id][r.Header.Get("Webhook-Id")] = true
	if h.calls >= (h.kills+1)*killEvery && h.kills < maxKills { // it has the event, and the sender never hears of that
		h.kills++
		h.kill()
		panic(http.ErrAbortHandler)
	}
}

// TestADispatcherThatIsKilledDeliversEachEventUnderOneKey is H26 with processes: SIGKILL in mid-batch, three times, beside failures and poison.
func TestADispatcherThatIsKilledDeliversEachEventUnderOneKey(t *testing.T) {
	dir, ids := dataWith(t, 150)
	h := &deadlyHook{poison: map[string]bool{ids[11]: true, ids[12]: true, ids[99]: true}, keys: map[string]map[string]bool{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	for ended, runs := false, 0; !ended; runs++ {
		require.Less(t, runs, 2*maxKills, "it never ends")
		cmd := program(t, "dispatcher", "--service", "webhook", "--once", "--batch-size", "40", "--data-dir", dir)
		h.mu.Lock()
		require.NoError(t, cmd.Start())
		h.kill = func() { _ = cmd.Process.Kill() }
		h.mu.Unlock()
		err := cmd.Wait()
		if ended = err == nil; !ended {
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, -1, exit.ExitCode(), "it ended by itself: %v", err)
		}
	}
	require.Equal(t, maxKills, h.kills)
	var good, dead []string
	for _, id := range ids {
		if !h.poison[id] {
			good = append(good, id)
		}
	}
	require.ElementsMatch(t, good, slices.Collect(maps.Keys(h.keys)), "each event that can be taken is there")
	for id, keys := range h.keys {
		require.Equal(t, map[string]bool{id: true}, keys, "under one key, however often it came")
	}
	file, err := os.Open(dispatch.DeadLettersPath(dir, "webhook"))
	require.NoError(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		require.Contains(t, gjson.Get(lines.Text(), "reason").Str, "not this one")
		dead = append(dead, gjson.Get(lines.Text(), "event.id").Str)
	}
	require.ElementsMatch(t, []string{ids[11], ids[12], ids[99]}, dead, "the dead letters are the poison, each once")
}
