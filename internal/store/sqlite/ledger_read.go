package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"zombiezen.com/go/sqlite"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func scanRequest(r row) (llmproxy.Event, error) {
	var record string
	var e llmproxy.Event
	if err := r.Scan(&record); err != nil {
		return e, found(err)
	}
	return e, json.Unmarshal([]byte(record), &e)
}

// Request returns what is known of a request: its event without bodies.
func (s *Store) Request(ctx context.Context, id llmproxy.EventID) (llmproxy.Event, error) {
	return scanRequest(s.readers.QueryRowContext(ctx, `SELECT record FROM ledger_requests WHERE id = ?`, id.UUID[:]))
}

// Requests lists requests, newest first.
func (s *Store) Requests(ctx context.Context, f llmproxy.RequestFilter, page llmproxy.Page) ([]llmproxy.Event, bool, error) {
	var w where
	if !f.ProjectID.IsZero() {
		w.and("project_id = ?", f.ProjectID.UUID[:])
	}
	if !f.TokenID.IsZero() {
		w.and("token_id = ?", f.TokenID.UUID[:])
	}
	if f.Model != "" {
		w.and("model = ? AND model <> ''", modelKey(f.Model)) // so that the index of named ones applies
	}
	if f.StatusTo > 0 {
		w.and("status >= ? AND status < ?", f.StatusFrom, f.StatusTo)
		if f.StatusFrom >= 400 {
			w.and("status >= 400") // so that the index of those applies
		}
	}
	if f.Outcome != "" {
		w.and("outcome = ?", string(f.Outcome))
		if f.Outcome != llmproxy.Complete {
			w.and("outcome <> 'complete'")
		}
	}
	if !f.From.IsZero() {
		from := firstID(f.From)
		w.and("id >= ?", from[:])
	}
	if !f.To.IsZero() {
		to := firstID(f.To)
		w.and("id < ?", to[:])
	}
	events, err := list(ctx, s.readers, `SELECT record FROM ledger_requests`+w.page("id", page), w.args, scanRequest)
	if err != nil {
		return nil, false, err
	}
	events, more := cut(events, page)
	return events, more, nil
}

// Usage adds up what the ledger has, in the order of start, project, token and model.
func (s *Store) Usage(ctx context.Context, f llmproxy.UsageFilter) (rows []llmproxy.UsageRow, err error) {
	from, to := llmproxy.HourOf(f.From), llmproxy.HourOf(f.To)
	query := `SELECT hour, project_id, token_id, model, ` + hourColumns + ` FROM ledger_hours WHERE hour >= ? AND hour < ?`
	var ids [][]byte
	if !f.ProjectID.IsZero() {
		query, ids = query+` AND project_id = ?`, append(ids, f.ProjectID.UUID[:])
	}
	if !f.TokenID.IsZero() {
		query, ids = query+` AND token_id = ?`, append(ids, f.TokenID.UUID[:])
	}
	if f.Model != "" {
		query += ` AND model = ?`
	}
	conn, err := sqlite.OpenConn(s.path, sqlite.OpenReadOnly)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { err = cmp.Or(err, unavailable(conn.Close())) }()
	conn.SetBusyTimeout(manageBusy)
	conn.SetInterrupt(ctx.Done())
	q, err := conn.Prepare(query)
	if err != nil {
		return nil, unavailable(err)
	}
	q.BindInt64(1, from)
	q.BindInt64(2, to)
	for i, id := range ids {
		q.BindBytes(3+i, id)
	}
	if f.Model != "" {
		q.BindText(3+len(ids), modelKey(f.Model))
	}
	sums := llmproxy.NewUsageSums(&f)
	for {
		more, err := q.Step()
		if err != nil {
			return nil, unavailable(err)
		}
		if !more {
			return sums.Rows(), nil
		}
		var of llmproxy.UsageGroup
		for _, by := range f.By {
			switch by {
			case llmproxy.ByProject:
				q.ColumnBytes(1, of.ProjectID.UUID[:])
			case llmproxy.ByToken:
				q.ColumnBytes(2, of.TokenID.UUID[:])
			case llmproxy.ByModel:
				of.Model = q.ColumnText(3)
			}
		}
		if err := addTally(sums.Of(q.ColumnInt64(0), of), q, 4); err != nil {
			return nil, fmt.Errorf("add up usage: %w", err)
		}
	}
}
