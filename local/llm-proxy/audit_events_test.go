package main

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	standin "github.com/sofatutor/llm-proxy/internal/demo/cloud"
)

// actions are those that a hook was told of.
func (h *hook) actions() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, body := range h.bodies {
		all = append(all, gjson.Get(body, "action").Str)
	}
	return all
}

func TestChangesAreOnTheSpoolForThoseWhoWantThem(t *testing.T) {
	dir, _ := dataWith(t, 0)
	log := filepath.Join(dir, "events.jsonl")
	s := startPlain(t, map[string]string{"LLM_PROXY_DATA_DIR": dir, "LLM_PROXY_EVENT_LOG": log, "MANAGEMENT_TOKEN": "fake-management-token-of-32-chars"})
	s.mint()
	h := newHook(t)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	require.Eventually(t, func() bool { // the relay runs beside the requests
		_, stderr, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--webhook-audit", "--data-dir", dir, "--once")
		require.NoError(t, err, stderr)
		return slices.Contains(h.actions(), "token.create")
	}, patience, flushEvery)
	require.ElementsMatch(t, []string{"project.create", "token.create"}, h.actions())

	other := newHook(t)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", other.URL)
	_, stderr, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--name", "requests", "--data-dir", dir, "--once")
	require.NoError(t, err, stderr)
	require.Empty(t, other.ids(), "who did not ask for them gets none")
	require.NoError(t, s.end())
	require.Empty(t, eventLines(t, log), "the event log has a line for each request, and no other")
}

func TestChangesThatTheBusDidNotTakeAreOnItAfterTheNextStart(t *testing.T) {
	a := newAccount(t)
	a.Make(standin.Illness{Bus: true})
	dir := t.TempDir()
	s := a.server(map[string]string{"LLM_PROXY_DATA_DIR": dir})
	s.mint()
	require.NoError(t, s.end())
	require.Empty(t, a.Records(standin.Audit))

	a.Make(standin.Illness{})
	a.server(map[string]string{"LLM_PROXY_DATA_DIR": dir})
	actions := func() (all []string) {
		for _, r := range a.Records(standin.Audit) {
			all = append(all, gjson.GetBytes(r.JSON, "action").Str)
		}
		return all
	}
	require.Eventually(t, func() bool { return len(actions()) >= 2 }, patience, flushEvery/10)
	require.Equal(t, []string{"project.create", "token.create"}, actions())
}
