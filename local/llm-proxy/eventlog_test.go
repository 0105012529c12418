package main

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
