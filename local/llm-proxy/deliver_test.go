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
	e := &eventLog{log: log}
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
