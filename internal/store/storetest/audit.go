package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func testAudit(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	refused := errors.New("refused")
	_, err := s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.Name = "changed"
		return llmproxy.AuditEntry{}, refused
	})
	require.ErrorIs(t, err, refused)
	same := Entry("project.update", Noon)
	require.NoError(t, s.AppendAudit(ctx, same))
	_, err = s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.Name = "changed"
		return same, nil // its id is taken: this entry cannot be stored
	})
	require.Error(t, err)
	got, err := s.Project(ctx, p.ID)
	require.NoError(t, err)
	require.Equal(t, "demo", got.Name, "what cannot be audited does not happen")

	for i := range 5 {
		e := Entry("token.revoke", Noon.Add(time.Duration(i)*time.Minute))
		e.ProjectID, e.TokenID, e.Before, e.After = p.ID, llmproxy.NewTokenID(Noon), map[string]string{"is_active": "true"}, map[string]string{"is_active": fmt.Sprint("false ", i)}
		e.Actor = llmproxy.Actor{Name: "admin:eve", ClientAddr: "192.0.2.7", Forwarded: "10.0.0.1", RequestID: fmt.Sprint("r", i)}
		e.Outcome, e.Reason, e.Suppressed = llmproxy.AuditRefused, "50% of_all", int64(i)
		require.NoError(t, s.AppendAudit(ctx, e))
		if i == 4 {
			all, more, err := s.Audit(ctx, llmproxy.AuditFilter{}, llmproxy.Page{Limit: 1})
			require.NoError(t, err)
			require.True(t, more)
			require.Equal(t, []llmproxy.AuditEntry{e}, all, "the newest first, as it was")
		}
	}
	count := func(f llmproxy.AuditFilter) int {
		entries, _, err := s.Audit(ctx, f, llmproxy.Page{})
		require.NoError(t, err)
		return len(entries)
	}
	require.Equal(t, 5, count(llmproxy.AuditFilter{Action: "token.revoke"}))
	require.Equal(t, 5, count(llmproxy.AuditFilter{Actor: "admin:eve"}))
	require.Equal(t, 5, count(llmproxy.AuditFilter{Outcome: llmproxy.AuditRefused}))
	require.Equal(t, 5, count(llmproxy.AuditFilter{ProjectID: p.ID}))
	require.Equal(t, 1, count(llmproxy.AuditFilter{RequestID: "r3"}))
	require.Equal(t, 2, count(llmproxy.AuditFilter{Action: "token.revoke", From: Noon.Add(time.Minute), To: Noon.Add(3 * time.Minute)}))
	require.Equal(t, 1, count(llmproxy.AuditFilter{Query: "FALSE 2"}))
	require.Equal(t, 5, count(llmproxy.AuditFilter{Query: "50% of_"}))
	require.Zero(t, count(llmproxy.AuditFilter{Query: "50_ of%"}), "wildcards are letters")
	odd := Entry("project.update", Noon.Add(time.Hour))
	odd.Before, odd.After = map[string]string{"name": `Müller "R&D"`}, map[string]string{"name": `<b>\x</b>`}
	require.NoError(t, s.AppendAudit(ctx, odd))
	for _, part := range []string{"MÜLLER", `"r&d"`, `<B>\X`} {
		require.Equal(t, 1, count(llmproxy.AuditFilter{Query: part}), part)
	}
	for _, part := range []string{`":"`, "is_active", `u0026`} {
		require.Zero(t, count(llmproxy.AuditFilter{Query: part}), "%s: how it is stored does not matter", part)
	}
}
