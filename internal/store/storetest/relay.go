package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// relayed are the entries that a relay hands over.
func relayed(t *testing.T, s Store) (all []llmproxy.AuditEntry) {
	t.Helper()
	n, err := s.RelayAudit(context.Background(), func(_ context.Context, entries []llmproxy.AuditEntry) error {
		require.NotEmpty(t, entries)
		all = append(all, entries...)
		return nil
	})
	require.NoError(t, err)
	require.Len(t, all, n)
	return all
}

// told reports whether the store has told since it was last asked that there are entries.
func told(s Store) bool {
	select {
	case <-s.AuditStored():
		return true
	default:
		return false
	}
}

func testRelay(t *testing.T, engine Engine) {
	s, ctx := engine.Open(t), context.Background()
	require.Empty(t, relayed(t, s))
	p := AddProject(t, s)
	require.True(t, told(s))
	var ids []llmproxy.TokenID
	for range 90 {
		id, _ := AddToken(t, s, p.ID)
		ids = append(ids, id)
	}
	_, err := s.UpdateTokens(ctx, ids, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.Active = false
		e := Entry("token.revoke", Noon)
		e.TokenID, e.Before, e.After = g.ID, map[string]string{"is_active": "true"}, map[string]string{"is_active": "false"}
		return e, nil
	})
	require.NoError(t, err)
	_, err = s.RevokeProjectTokens(ctx, p.ID, Noon, Entry("project.revoke", Noon))
	require.NoError(t, err)
	refused := Entry("authenticate", Noon)
	refused.Outcome, refused.Reason, refused.Suppressed = llmproxy.AuditRefused, "wrong token", 3
	refused.Actor = llmproxy.Actor{Name: "unknown", ClientAddr: "192.0.2.1", Forwarded: "198.51.100.7", RequestID: "r"}
	require.NoError(t, s.AppendAudit(ctx, refused))

	kept := map[llmproxy.AuditID]llmproxy.AuditEntry{}
	for page := (llmproxy.Page{Limit: 100}); ; {
		entries, more, err := s.Audit(ctx, llmproxy.AuditFilter{}, page)
		require.NoError(t, err)
		for _, e := range entries {
			kept[e.ID] = e
		}
		if !more {
			break
		}
		page.After = entries[len(entries)-1].ID.UUID
	}
	got := map[llmproxy.AuditID]llmproxy.AuditEntry{}
	all := relayed(t, engine.Again(t, s)) // by another process than that which stored them
	for _, e := range all {
		got[e.ID] = e
	}
	require.Len(t, all, 1+90+90+1+1, "once each")
	require.Equal(t, kept, got, "as they are kept")
	require.Empty(t, relayed(t, s), "and not again")
	require.Len(t, kept, len(all), "they stay in the audit")
}

func testRelayFails(t *testing.T, engine Engine) {
	s, ctx := engine.Open(t), context.Background()
	p := AddProject(t, s)
	require.NoError(t, s.AppendAudit(ctx, Entry("refused", Noon)))
	told(s)
	down := errors.New("the bus is down")
	_, err := s.RelayAudit(ctx, func(context.Context, []llmproxy.AuditEntry) error { return down })
	require.ErrorIs(t, err, down)
	_, err = s.UpdateProject(ctx, p.ID, func(*llmproxy.Project) (llmproxy.AuditEntry, error) { return llmproxy.AuditEntry{}, down })
	require.ErrorIs(t, err, down)
	require.False(t, told(s), "neither a relay nor a change that did not happen has stored an entry")
	require.Len(t, relayed(t, s), 2)
	require.False(t, told(s), "a relay stores no entry")
}
