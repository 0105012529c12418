package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// tokenColumns are a token as it now is: its project's deletion or bulk revoke counts as its own.
const tokenColumns = `t.id, t.project_id, t.hash, t.previous_hash, t.previous_until, t.name, t.created_at, t.expires_at,
  ` + tokenLive + `,
  CASE WHEN t.revoked_at > 0 THEN t.revoked_at WHEN p.epoch > t.epoch THEN p.epoch_at ELSE coalesce(p.deleted_at, 0) END,
  t.max_requests, t.requests_per_hour, t.request_count, t.last_used_at, t.window_hour, t.window_count, t.request_headers_drop, t.epoch, t.revision`

// tokenLive is whether a token is good but for its time.
const tokenLive = `(t.active = 1 AND coalesce(p.deleted_at, 1) = 0 AND p.epoch <= t.epoch)`

const tokenTables = ` FROM tokens t LEFT JOIN projects p ON p.id = t.project_id`

func scanGate(r row) (llmproxy.Gate, error) {
	var g llmproxy.Gate
	var id, project, hash, previous []byte
	var until, created, expires, revoked, used int64
	var drop string
	err := r.Scan(&id, &project, &hash, &previous, &until, &g.Name, &created, &expires, &g.Active, &revoked, &g.MaxRequests, &g.RequestsPerHour, &g.RequestCount, &used, &g.WindowHour, &g.WindowCount, &drop, &g.Epoch, &g.Revision)
	copy(g.ID.UUID[:], id)
	copy(g.ProjectID.UUID[:], project)
	copy(g.Hash[:], hash)
	copy(g.PreviousHash[:], previous)
	g.PreviousUntil, g.CreatedAt, g.ExpiresAt, g.RevokedAt, g.LastUsedAt = fromMillis(until), fromMillis(created), fromMillis(expires), fromMillis(revoked), fromMillis(used)
	g.RequestHeadersDrop = listOf(drop)
	return g, found(err)
}

func scanToken(r row) (llmproxy.Token, error) {
	g, err := scanGate(r)
	return g.Token, err
}

// CreateToken stores a new token under its project's current epoch.
func (s *Store) CreateToken(ctx context.Context, g llmproxy.Gate, entry llmproxy.AuditEntry) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO tokens (id, project_id, hash, previous_hash, previous_until, name, created_at, expires_at, active, revoked_at, max_requests, requests_per_hour, request_count, last_used_at, window_hour, window_count, request_headers_drop, epoch, revision)
SELECT ?, p.id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, p.epoch, ? FROM projects p WHERE p.id = ? AND p.deleted_at = 0`,
			g.ID.UUID[:], g.Hash[:], g.PreviousHash[:], toMillis(g.PreviousUntil), g.Name, toMillis(g.CreatedAt), toMillis(g.ExpiresAt), g.Active, toMillis(g.RevokedAt), g.MaxRequests, g.RequestsPerHour,
			listText(g.RequestHeadersDrop), g.Revision, g.ProjectID.UUID[:])
		if err != nil {
			return unavailable(err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(llmproxy.ErrNotFound, err)
		}
		return putAudit(ctx, tx, &entry)
	})
}

// Token returns a token as it now is.
func (s *Store) Token(ctx context.Context, id llmproxy.TokenID) (llmproxy.Token, error) {
	return scanToken(s.readers.QueryRowContext(ctx, `SELECT `+tokenColumns+tokenTables+` WHERE t.id = ?`, id.UUID[:]))
}

// Tokens lists tokens as they now are, newest first.
func (s *Store) Tokens(ctx context.Context, f llmproxy.TokenFilter, page llmproxy.Page) ([]llmproxy.Token, bool, error) {
	ids, args := tokenIDs(f, page)
	tokens, err := list(ctx, s.readers, `SELECT `+tokenColumns+tokenTables+` WHERE t.id IN (`+ids+`) ORDER BY `+orderOf(f.Order).by(), args, scanToken)
	if err != nil {
		return nil, false, err
	}
	tokens, more := cut(tokens, page)
	return tokens, more, nil
}

// tokenIDs asks for the ids of a page. For a project they come from an index alone: a filter that leaves few of many reads no rows of the
// others.
func tokenIDs(f llmproxy.TokenFilter, page llmproxy.Page) (query string, args []any) {
	var w where
	if !f.ProjectID.IsZero() {
		w.and("t.project_id = ?", f.ProjectID.UUID[:])
	}
	if f.Active != nil {
		w.and("("+tokenLive+" AND t.expires_at > ?) = ?", toMillis(f.Now), *f.Active)
	}
	if f.ExpiringWithin > 0 {
		w.and("t.expires_at > ? AND t.expires_at <= ?", toMillis(f.Now), toMillis(f.Now.Add(f.ExpiringWithin)))
	}
	switch f.Status {
	case "":
	case llmproxy.TokenRevoked:
		w.and("NOT coalesce(" + tokenLive + ", 0)")
	case llmproxy.TokenExpired:
		w.and(tokenLive+" AND t.expires_at <= ?", toMillis(f.Now))
	case llmproxy.TokenExhausted:
		w.and(tokenLive+" AND t.expires_at > ? AND t.max_requests > 0 AND t.request_count >= t.max_requests", toMillis(f.Now))
	case llmproxy.TokenActive:
		w.and(tokenLive+" AND t.expires_at > ? AND (t.max_requests = 0 OR t.request_count < t.max_requests)", toMillis(f.Now))
	}
	if id, err := llmproxy.ParseTokenID(strings.ToLower(f.Query)); err == nil {
		w.and("t.id = ?", id.UUID[:]) // no name is looked for
	} else if f.Query != "" {
		named, args := "holds(t.name, ?)", []any{strings.ToLower(f.Query)}
		if digits := f.QueryDigits(); digits != "" {
			named, args = named+" OR substr(hex(t.id), 1, ?) = ?", append(args, len(digits), strings.ToUpper(digits))
		}
		w.and("("+named+")", args...)
	}
	query = `SELECT t.id` + tokenTables + orderOf(f.Order).page(&w, f.Order, page)
	return query, w.args
}

// tokenOrder is how tokens are ordered: by a column, then by id.
type tokenOrder struct {
	column     string // empty for ids alone
	descending bool
}

var tokenOrders = map[llmproxy.TokenOrder]string{
	llmproxy.OrderName: "lower(t.name)", llmproxy.OrderExpiry: "t.expires_at", llmproxy.OrderRequests: "t.request_count", llmproxy.OrderLastUsed: "t.last_used_at",
}

func orderOf(order llmproxy.TokenOrder) tokenOrder {
	if order == "" {
		return tokenOrder{descending: true}
	}
	key, descending := order.Key()
	return tokenOrder{tokenOrders[key], descending}
}

func (o tokenOrder) by() string {
	direction := " ASC"
	if o.descending {
		direction = " DESC"
	}
	if o.column == "" {
		return "t.id" + direction
	}
	return o.column + direction + ", t.id" + direction
}

// page narrows to the tokens after a page, one more than the page has.
func (o tokenOrder) page(w *where, order llmproxy.TokenOrder, p llmproxy.Page) string {
	if o.column == "" {
		return w.page("t.id", p)
	}
	if !p.After.IsZero() {
		var key any = p.AfterKey
		if name, _ := order.Key(); name != llmproxy.OrderName {
			key = llmproxy.NumberOf(p.AfterKey)
		}
		beyond := ">"
		if o.descending {
			beyond = "<"
		}
		w.and("("+o.column+", t.id) "+beyond+" (?, ?)", key, p.After[:])
	}
	w.args = append(w.args, pageLimit(p)+1)
	return w.String() + " ORDER BY " + o.by() + " LIMIT ?"
}

// UpdateTokens stores what change makes of each token, all or none. Counters, window and last use stay as spends make them.
func (s *Store) UpdateTokens(ctx context.Context, ids []llmproxy.TokenID, change func(*llmproxy.Gate) (llmproxy.AuditEntry, error)) ([]llmproxy.Token, error) {
	var tokens []llmproxy.Token
	err := s.write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			t, err := updateToken(ctx, tx, id, change)
			if err != nil {
				return err
			}
			tokens = append(tokens, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

func updateToken(ctx context.Context, tx *sql.Tx, id llmproxy.TokenID, change func(*llmproxy.Gate) (llmproxy.AuditEntry, error)) (llmproxy.Token, error) {
	g, err := scanGate(tx.QueryRowContext(ctx, `SELECT `+tokenColumns+tokenTables+` WHERE t.id = ?`, id.UUID[:]))
	if err != nil {
		return llmproxy.Token{}, err
	}
	before := g
	entry, err := change(&g)
	if err != nil {
		return llmproxy.Token{}, err
	}
	g.ID, g.ProjectID, g.CreatedAt, g.Epoch, g.Revision = before.ID, before.ProjectID, before.CreatedAt, before.Epoch, before.Revision+1
	g.RequestCount, g.LastUsedAt, g.WindowHour, g.WindowCount = before.RequestCount, before.LastUsedAt, before.WindowHour, before.WindowCount
	_, err = tx.ExecContext(ctx, `UPDATE tokens SET hash = ?, previous_hash = ?, previous_until = ?, name = ?, expires_at = ?, active = ?, revoked_at = ?, max_requests = ?, requests_per_hour = ?, request_headers_drop = ?, revision = ? WHERE id = ?`,
		g.Hash[:], g.PreviousHash[:], toMillis(g.PreviousUntil), g.Name, toMillis(g.ExpiresAt), g.Active, toMillis(g.RevokedAt), g.MaxRequests, g.RequestsPerHour, listText(g.RequestHeadersDrop), g.Revision, id.UUID[:])
	if err != nil {
		return llmproxy.Token{}, unavailable(err)
	}
	return g.Token, putAudit(ctx, tx, &entry)
}
