package faulttest

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestABurstAndAStopLoseNoEvent: 4,000 requests as fast as they go, and a stop right behind them. What the event log does not have by
// then the next start adds.
func TestABurstAndAStopLoseNoEvent(t *testing.T) {
	h := newHouse(t, nil)
	_, token := h.mint(0, 0)
	log := filepath.Join(h.data, "events.jsonl")
	s := h.start("--file-event-log", log)
	const burst = 4000
	var next atomic.Int64
	inParallel(32, func(int) {
		for n := next.Add(1) - 1; n < burst; n = next.Add(1) - 1 {
			if a := h.get(s.url+"/v1/models/"+strconv.FormatInt(n, 10), token); a.status != http.StatusOK {
				t.Errorf("request %d: %d %s %v", n, a.status, a.body, a.err)
			}
		}
	})
	s.stop()
	s = h.start("--file-event-log", log)
	require.Eventually(t, func() bool { return len(events(t, log)) >= burst }, patience, 20*time.Millisecond)
	s.stop()
	requireEachOnce(t, burst, log)
}

// TestAnotherServerTakesOverFromAKilledOne: of two over one data folder the one that writes the event log is killed under load. The other
// serves on and writes it, and what was in flight is told as lost.
func TestAnotherServerTakesOverFromAKilledOne(t *testing.T) {
	h := newHouse(t, nil)
	h.upstream.delay = func(int) time.Duration { return randomly(4 * time.Millisecond) }
	_, token := h.mint(0, 0)
	log := filepath.Join(h.data, "events.jsonl")
	first, second := h.start("--file-event-log", log), h.start("--file-event-log", log)
	var next atomic.Int64
	loaded := make(chan []int)
	go func() { loaded <- load(h, first, token, &next) }()
	require.Eventually(t, func() bool { return next.Load() > 100 }, patience, time.Millisecond)
	first.kill()
	answered := <-loaded
	for range 10 {
		n := int(next.Add(1))
		require.Equal(t, http.StatusOK, h.get(second.url+"/v1/models/"+strconv.Itoa(n), token).status, "the other one serves on")
		answered = append(answered, n)
	}
	awaitEvents(t, log, answered) // the other one writes it, for both
	second.stop()
	third := h.start("--file-event-log", log)
	awaitEvents(t, log, slices.Collect(maps.Keys(h.upstream.executed()))) // and of what was in flight
	third.stop()
	for n, of := range byNumber(t, events(t, log)) {
		require.Len(t, of, 1, "request %d", n)
	}
}
