package main

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// TestAnotherServerTakesTheEventLogOver: of two over one data folder one writes the event log, for both; the other follows it.
func TestAnotherServerTakesTheEventLogOver(t *testing.T) {
	first := start(t, nil)
	second := start(t, map[string]string{"LLM_PROXY_DATA_DIR": first.settings.DataDir, "LLM_PROXY_PID_FILE": filepath.Join(t.TempDir(), "second.pid")})
	require.Contains(t, second.log.String(), "another process writes the event log")
	lines := func() int { return len(eventLines(t, first.settings.EventLog)) }

	require.Equal(t, http.StatusOK, second.send(http.MethodGet, "/v1/models", "").StatusCode)
	require.Eventually(t, func() bool { return lines() == 1 }, patience, 10*time.Millisecond, "the first writes the second's events")
	require.NoError(t, first.end())
	require.Equal(t, http.StatusOK, second.send(http.MethodGet, "/v1/models", "").StatusCode)
	require.Eventually(t, func() bool { return lines() == 2 }, patience, 10*time.Millisecond, "the second has taken over")
	require.NoError(t, second.end())
	require.Equal(t, 2, lines())
}

// TestAnEventLogThatHasEndedDegradesHealth: a note beside the cursor that cannot be read ends the delivery, and somebody must look.
func TestAnEventLogThatHasEndedDegradesHealth(t *testing.T) {
	env := environment(t, nil)
	dir, err := spool.Open(spool.Config{Dir: filepath.Join(env["LLM_PROXY_DATA_DIR"], "spool")})
	require.NoError(t, err)
	follower, err := dir.Follow("file")
	require.NoError(t, err)
	require.NoError(t, follower.Commit([]byte(`"no object"`)))
	require.NoError(t, errors.Join(follower.Close(), dir.Close()))

	s := startWith(t, env, true)
	require.Eventually(t, func() bool {
		return strings.Contains(get(t, s.url+"/health", http.StatusOK), `"status":"degraded"`)
	}, patience, 10*time.Millisecond)
	require.Contains(t, insideText(t, s), `llmproxy_destination_failing{destination="file"} 1`)
	require.Contains(t, s.log.String(), "the event log has ended")
	require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode, "it serves on")
}

func TestTroubleIsLoggedOnceWhileItLasts(t *testing.T) {
	out := &lockedBuffer{}
	log, _ := newLogger(&settings{}, out)
	e := &deliverer{log: log}
	for range 3 {
		e.report("trouble", io.ErrUnexpectedEOF)
	}
	require.Equal(t, 1, strings.Count(out.String(), "trouble"))
	require.True(t, e.stats().Failing)
	e.report("trouble", nil)
	require.False(t, e.stats().Failing)
	e.report("trouble", io.ErrUnexpectedEOF)
	require.Equal(t, 2, strings.Count(out.String(), "trouble"))
}

// ledgerUsage is what the ledger of a server that has ended adds up to.
func ledgerUsage(t *testing.T, s *testServer) llmproxy.Tally {
	t.Helper()
	store, err := sqlite.Open(t.Context(), s.settings.sqlite(nil))
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	now := time.Now()
	rows, err := store.Usage(t.Context(), llmproxy.UsageFilter{From: now.Add(-2 * time.Hour), To: now.Add(2 * time.Hour)})
	require.NoError(t, err)
	if len(rows) == 0 {
		return llmproxy.Tally{}
	}
	require.Len(t, rows, 1)
	return rows[0].Tally
}

func TestAServerKeepsTheLedger(t *testing.T) {
	s := start(t, nil)
	for range 3 {
		require.Equal(t, http.StatusOK, s.send(http.MethodPost, "/v1/chat/completions", strings.Replace(chat, `"stream":true,`, "", 1)).StatusCode)
	}
	require.Eventually(t, func() bool {
		return strings.Contains(insideText(t, s), `llmproxy_destination_delivered_total{destination="ledger"} 3`)
	}, patience, 10*time.Millisecond)
	require.NoError(t, s.end())
	sum := ledgerUsage(t, s)
	require.Equal(t, []int64{3, 3, 0}, []int64{sum.Requests, sum.Metered, sum.Errors})
	require.Equal(t, int64(3), sum.Input.Events)
}

func testLedgerElsewhere(t *testing.T) {
	s := start(t, map[string]string{"LLM_PROXY_LEDGER": "false"})
	require.Equal(t, http.StatusOK, s.send(http.MethodPost, "/v1/chat/completions", chat).StatusCode)
	require.NoError(t, s.end())
	require.Zero(t, ledgerUsage(t, s).Requests)
	_, _, err := runLine(t.Context(), "dispatcher", "--service", "ledger", "--once", "--data-dir", s.settings.DataDir)
	require.NoError(t, err)
	require.Equal(t, int64(1), ledgerUsage(t, s).Requests)
}
