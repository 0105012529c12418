package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

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
	groups := map[hourKey]*llmproxy.Tally{}
	for {
		more, err := q.Step()
		if err != nil {
			return nil, unavailable(err)
		}
		if !more {
			break
		}
		key := groupOf(q, &f, from)
		sum := groups[key]
		if sum == nil {
			sum = &llmproxy.Tally{}
			groups[key] = sum
		}
		if err := addTally(sum, q, 4); err != nil {
			return nil, fmt.Errorf("add up usage: %w", err)
		}
	}
	for key, sum := range groups {
		rows = append(rows, llmproxy.UsageRow{Start: time.Unix(key.hour*3600, 0).UTC(), ProjectID: key.project, TokenID: key.token, Model: key.model, Tally: *sum})
	}
	slices.SortFunc(rows, func(a, b llmproxy.UsageRow) int {
		return cmp.Or(a.Start.Compare(b.Start), bytes.Compare(a.ProjectID.UUID[:], b.ProjectID.UUID[:]), bytes.Compare(a.TokenID.UUID[:], b.TokenID.UUID[:]), strings.Compare(a.Model, b.Model))
	})
	return rows, nil
}

// groupOf is the group that a row of an hour belongs to.
func groupOf(row *sqlite.Stmt, f *llmproxy.UsageFilter, from int64) hourKey {
	key := hourKey{hour: from}
	if f.Bucket > 0 {
		hours := int64(f.Bucket / time.Hour)
		key.hour = row.ColumnInt64(0) / hours * hours
	}
	for _, by := range f.By {
		switch by {
		case llmproxy.ByProject:
			row.ColumnBytes(1, key.project.UUID[:])
		case llmproxy.ByToken:
			row.ColumnBytes(2, key.token.UUID[:])
		case llmproxy.ByModel:
			key.model = row.ColumnText(3)
		}
	}
	return key
}
