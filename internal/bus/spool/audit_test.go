package spool_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

func entries(n int) (all []llmproxy.AuditEntry) {
	for i := range n {
		all = append(all, llmproxy.AuditEntry{
			ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(start)}, Time: start, Action: fmt.Sprintf("action.%d", i), Outcome: llmproxy.AuditDone,
			Actor: llmproxy.Actor{Name: "token"}, ProjectID: llmproxy.NewProjectID(start), After: map[string]string{"name": "new"},
		})
	}
	return all
}

func TestAuditEventsComeAmongTheOthers(t *testing.T) {
	for _, mode := range []spool.SyncMode{0, spool.SyncAlways, spool.SyncNever} {
		dir := t.TempDir()
		s := open(t, spool.Config{Dir: dir, Sync: mode, SegmentBytes: 2000}) // they go over several segments
		first := request(s)
		told := entries(20)
		require.NoError(t, s.PublishAudit(t.Context(), told))
		last := request(s)
		require.EqualValues(t, 2, s.Stats().Published, "requests alone are counted")
		f := follow(t, dir, "one")
		_, oldest, err := f.Backlog()
		require.NoError(t, err)
		require.True(t, start.Equal(oldest))
		events := read(t, f, 22)
		require.Equal(t, first, events[0].ID)
		require.Equal(t, last, events[21].ID)
		for i := range told {
			require.Equal(t, told[i].Event(), events[i+1])
		}
	}
}

func TestAnAuditEventThatCannotBeWrittenIsAnError(t *testing.T) {
	s, err := spool.Open(spool.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.ErrorContains(t, s.PublishAudit(context.Background(), entries(1)), "closed")
	require.Zero(t, s.Stats().Failed, "it is not gone: the store has it")
}
