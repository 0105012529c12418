package faulttest

import (
	"database/sql"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

const (
	kills        = 20
	loadingFirst = 16 // callers at once
)

// load sends numbered requests to a server until it is gone, and returns the numbers that were answered with 200.
func load(h *house, s *server, token string, next *atomic.Int64) (answered []int) {
	var mu sync.Mutex
	inParallel(loadingFirst, func(int) {
		for {
			n := int(next.Add(1))
			a := h.send(http.MethodGet, s.url+"/v1/models/"+strconv.Itoa(n), token, "")
			if a.err != nil {
				return
			}
			if a.status == http.StatusOK {
				mu.Lock()
				answered = append(answered, n)
				mu.Unlock()
			}
		}
	})
	return answered
}

// byNumber sorts events by the number of their request.
func byNumber(t *testing.T, all []event) map[int][]event {
	t.Helper()
	found := map[int][]event{}
	for _, e := range all {
		n, err := strconv.Atoi(strings.TrimPrefix(e.Endpoint, "/v1/models/"))
		require.NoError(t, err, e.Endpoint)
		found[n] = append(found[n], e)
	}
	return found
}

// awaitEvents waits until the event log tells of each of the requests.
func awaitEvents(t *testing.T, log string, numbers []int) {
	t.Helper()
	require.Eventually(t, func() bool {
		found := byNumber(t, events(t, log))
		return !slices.ContainsFunc(numbers, func(n int) bool { return found[n] == nil })
	}, patience, 50*time.Millisecond, "the event log tells of every request")
}

// randomly is a time up to most.
func randomly(most time.Duration) time.Duration { return rand.N(most) }

// TestAKillUnderLoadLosesNoEvent: after 20 kills each request that the provider executed has exactly one event under one id. Those
// that were answered say complete; those in flight say lost, unless their event had been written just before.
func TestAKillUnderLoadLosesNoEvent(t *testing.T) {
	h := newHouse(t, nil)
	h.upstream.delay = func(int) time.Duration { return randomly(4 * time.Millisecond) }
	log := filepath.Join(h.data, "events.jsonl")
	_, token := h.mint(0, 0)
	var next atomic.Int64
	var answered []int
	for range kills {
		s := h.start("--file-event-log", log)
		loaded := make(chan []int)
		go func() { loaded <- load(h, s, token, &next) }()
		from := next.Load()
		require.Eventually(t, func() bool { return next.Load() > from+100 }, patience, time.Millisecond)
		time.Sleep(randomly(50 * time.Millisecond))
		s.kill()
		answered = append(answered, <-loaded...)
	}

	// The last one finds what the killed ones left, and writes it down.
	s := h.start("--file-event-log", log)
	executed := h.upstream.executed()
	awaitEvents(t, log, slices.Collect(maps.Keys(executed)))
	s.stop()

	found := byNumber(t, events(t, log))
	ids := map[string]bool{}
	lost := 0
	for n, of := range found {
		require.Len(t, of, 1, "request %d has one event", n)
		require.False(t, ids[of[0].ID], "an id is that of one request")
		ids[of[0].ID] = true
		if of[0].Outcome == "lost" {
			lost++
		}
	}
	for _, n := range answered {
		require.Equal(t, "complete", found[n][0].Outcome, "request %d was answered", n)
	}
	wasAnswered := map[int]bool{}
	for _, n := range answered {
		wasAnswered[n] = true
	}
	for n := range executed {
		if !wasAnswered[n] {
			require.Contains(t, []string{"lost", "complete", "client_gone"}, found[n][0].Outcome)
		}
	}
	require.Positive(t, lost, "no kill met a request in flight")
	t.Logf("%d kills: %d requests executed, %d answered, %d lost in flight", kills, len(executed), len(answered), lost)
	requireCleanDatabase(t, h)
}

// requireCleanDatabase checks the database as SQLite does, and that no executed request was left uncounted.
func requireCleanDatabase(t *testing.T, h *house) {
	t.Helper()
	db, err := sql.Open("sqlite", h.db)
	require.NoError(t, err)
	defer db.Close()
	var verdict string
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict))
	require.Equal(t, "ok", verdict)
	var counted int64
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT sum(request_count) FROM tokens").Scan(&counted))
	require.GreaterOrEqual(t, counted, int64(h.upstream.executedFrom(0)), "each request that the provider executed was counted")
}

// TestATornEndIsOpened: a power cut takes the end of what was not synced. Database, spool and event log open whatever byte they end
// at, the server serves, and the event log has no line that is torn and none twice.
func TestATornEndIsOpened(t *testing.T) {
	h := newHouse(t, nil)
	log := filepath.Join(h.data, "events.jsonl")
	_, token := h.mint(0, 0)
	// Changes are synced, so no power cut takes them: they go into the database, and the log before it has spends alone.
	h.closeManagement()
	checkpoint(t, h)
	var next atomic.Int64
	for round := range 10 {
		s := h.start("--file-event-log", log)
		loaded := make(chan []int)
		go func() { loaded <- load(h, s, token, &next) }()
		from := next.Load()
		require.Eventually(t, func() bool { return next.Load() > from+200 }, patience, time.Millisecond)
		s.kill()
		require.NotEmpty(t, <-loaded, "round %d", round)

		cutEnd(t, h.db+"-wal", 1<<20)
		open, err := filepath.Glob(filepath.Join(h.data, "spool", "*.open"))
		require.NoError(t, err)
		require.NotEmpty(t, open)
		slices.Sort(open)
		cutEnd(t, open[len(open)-1], 4<<10)
		cutEnd(t, log, 4<<10)
	}
	s := h.start("--file-event-log", log)
	require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/0", token).status)
	s.stop()
	ids := map[string]bool{}
	data, err := os.ReadFile(log)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(data), "\n"))
	for _, e := range events(t, log) {
		require.False(t, ids[e.ID], "event %s stands twice", e.ID)
		ids[e.ID] = true
	}
	require.Greater(t, len(ids), 1000)
	db, err := sql.Open("sqlite", h.db)
	require.NoError(t, err)
	defer db.Close()
	var verdict string
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict))
	require.Equal(t, "ok", verdict)
}

// checkpoint moves SQLite's log into the database.
func checkpoint(t *testing.T, h *house) {
	t.Helper()
	db, err := sql.Open("sqlite", h.db)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, err)
}

// cutEnd cuts a file at a random byte of its last part.
func cutEnd(t *testing.T, path string, within int64) {
	t.Helper()
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return
	}
	require.NoError(t, err)
	if info.Size() > 0 {
		require.NoError(t, os.Truncate(path, info.Size()-rand.Int64N(min(within, info.Size())+1)))
	}
}
