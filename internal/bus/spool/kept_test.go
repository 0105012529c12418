package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestWhatIsKeptOfATimeIsReadWithoutACursor(t *testing.T) {
	dir := t.TempDir()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var all []llmproxy.EventID
	for range 2 { // two processes, one after the other
		s, err := Open(Config{Dir: dir})
		require.NoError(t, err)
		for i := range 10 {
			at := noon.Add(time.Duration(i) * time.Minute)
			id := llmproxy.NewEventID(at)
			s.Begin(&llmproxy.Begin{ID: id, Time: at, Method: "POST", Path: "/v1/models"})
			s.Publish(&llmproxy.Event{ID: id, Time: at, Path: "/v1/chat/completions", Outcome: llmproxy.Complete, UsageKind: "openai-chat", Request: llmproxy.Message{Body: &llmproxy.Body{Head: []byte("hello"), Size: 5}}})
			all = append(all, id)
		}
		require.NoError(t, s.Close())
	}
	read := func(from, to time.Duration) (ids []llmproxy.EventID) {
		for e, err := range Kept(dir, noon.Add(from), noon.Add(to)) {
			require.NoError(t, err)
			require.Equal(t, "hello", string(e.Request.Body.Head))
			require.Equal(t, "openai-chat", e.UsageKind)
			ids = append(ids, e.ID)
		}
		return ids
	}
	require.Equal(t, all, read(0, time.Hour))
	require.Equal(t, []llmproxy.EventID{all[2], all[3], all[12], all[13]}, read(2*time.Minute, 4*time.Minute), "the first time is in it, the last is not")
	require.Empty(t, read(time.Hour, 2*time.Hour))
	for range Kept(dir, noon, noon.Add(time.Hour)) {
		break // enough
	}
	for range Kept(filepath.Join(dir, "none"), noon, noon.Add(time.Hour)) {
		require.Fail(t, "there is nothing")
	}
	names, err := followers(dir)
	require.NoError(t, err)
	require.Empty(t, names, "it follows nothing")

	// A damaged place costs what stands there, and a torn end nothing.
	list, err := listSegments(dir)
	require.NoError(t, err)
	for _, g := range list {
		content, err := os.ReadFile(g.path(dir))
		require.NoError(t, err)
		if len(content) == 0 {
			continue
		}
		content[len(content)/2] ^= 0xff
		require.NoError(t, os.WriteFile(g.path(dir), content[:len(content)-3], 0o600))
	}
	left := read(0, time.Hour)
	require.Less(t, len(left), len(all))
	require.GreaterOrEqual(t, len(left), len(all)-4)
}
