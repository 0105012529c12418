package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

const auditColumns = `id, time, action, outcome, reason, actor, client_addr, forwarded, request_id, project_id, token_id, before, after, suppressed`

func putAudit(ctx context.Context, tx *sql.Tx, e *llmproxy.AuditEntry) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO audit (`+auditColumns+`, relayed) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,0)`,
		e.ID.UUID[:], toMillis(e.Time), e.Action, e.Outcome, e.Reason, e.Actor.Name, e.Actor.ClientAddr, e.Actor.Forwarded, e.Actor.RequestID, e.ProjectID.UUID[:], e.TokenID.UUID[:], mapText(e.Before), mapText(e.After), e.Suppressed)
	return unavailable(err)
}

func scanAudit(r row) (llmproxy.AuditEntry, error) {
	var e llmproxy.AuditEntry
	var id, project, token []byte
	var at int64
	var before, after string
	err := r.Scan(&id, &at, &e.Action, &e.Outcome, &e.Reason, &e.Actor.Name, &e.Actor.ClientAddr, &e.Actor.Forwarded, &e.Actor.RequestID, &project, &token, &before, &after, &e.Suppressed)
	copy(e.ID.UUID[:], id)
	copy(e.ProjectID.UUID[:], project)
	copy(e.TokenID.UUID[:], token)
	e.Time, e.Before, e.After = fromMillis(at), mapOf(before), mapOf(after)
	return e, found(err)
}

// AppendAudit stores an entry that belongs to no change.
func (s *Store) AppendAudit(ctx context.Context, entry llmproxy.AuditEntry) error {
	return s.write(ctx, func(tx *sql.Tx) error { return putAudit(ctx, tx, &entry) })
}

// Audit lists entries, newest first.
func (s *Store) Audit(ctx context.Context, f llmproxy.AuditFilter, page llmproxy.Page) ([]llmproxy.AuditEntry, bool, error) {
	var w where
	for column, value := range map[string]string{"action": f.Action, "actor": f.Actor, "outcome": f.Outcome, "request_id": f.RequestID} {
		if value != "" {
			w.and(column+" = ?", value)
		}
	}
	if !f.ProjectID.IsZero() {
		w.and("project_id = ?", f.ProjectID.UUID[:])
	}
	if !f.TokenID.IsZero() {
		w.and("token_id = ? AND token_id <> zeroblob(16)", f.TokenID.UUID[:]) // so that the index of named ones applies
	}
	if !f.From.IsZero() {
		w.and("time >= ?", toMillis(f.From))
	}
	if !f.To.IsZero() {
		w.and("time < ?", toMillis(f.To))
	}
	if f.Query != "" {
		part := strings.ToLower(f.Query)
		if plain, written, ok := likeOf(part); ok {
			w.and(`((action || char(10) || actor || char(10) || reason) LIKE ? ESCAPE '!' OR (before || char(10) || after) LIKE ? ESCAPE '!')`, plain, written)
		}
		w.and("(holds(action, ?) OR holds(actor, ?) OR holds(reason, ?) OR holds_value(before, ?) OR holds_value(after, ?))", part, part, part, part, part)
	}
	entries, err := list(ctx, s.readers, `SELECT `+auditColumns+` FROM audit`+w.page("id", page), w.args, scanAudit)
	if err != nil {
		return nil, false, err
	}
	entries, more := cut(entries, page)
	return entries, more, nil
}

// Sweep removes tokens that expired, projects that were deleted (with their tokens) and audit entries, each so long ago that nobody
// looks for them any more, what the ledger keeps no longer, and at once idempotency keys that are forgotten, sessions that are over and
// attempts to sign in that no longer count. It returns how many rows went. Days of the ledger that are over it adds up for those who ask.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int64, err error) {
	old, oldAudit := toMillis(now.Add(-llmproxy.TokensKeep)), toMillis(now.Add(-llmproxy.AuditKeeps))
	err = s.write(ctx, func(tx *sql.Tx) error {
		for _, step := range []struct {
			query string
			arg   int64
		}{
			{`DELETE FROM tokens WHERE expires_at < ?`, old},
			{`DELETE FROM tokens WHERE project_id IN (SELECT id FROM projects WHERE deleted_at > 0 AND deleted_at < ?)`, old},
			{`DELETE FROM projects WHERE deleted_at > 0 AND deleted_at < ?`, old},
			{`DELETE FROM audit WHERE time < ?`, oldAudit},
			{`DELETE FROM idempotency WHERE until <= ?`, toMillis(now)},
			{`DELETE FROM sessions WHERE expires_at <= ?`, toMillis(now)},
			{`DELETE FROM sign_ins WHERE until <= ?`, toMillis(now)},
		} {
			result, err := tx.ExecContext(ctx, step.query, step.arg)
			if err != nil {
				return unavailable(err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return unavailable(err)
			}
			removed += n
		}
		return nil
	})
	if err != nil {
		return removed, err
	}
	swept, err := s.sweepLedger(ctx, now)
	if err == nil {
		err = s.packDays(ctx)
	}
	return removed + swept, err
}
