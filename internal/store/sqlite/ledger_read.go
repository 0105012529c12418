package sqlite

import (
	"context"
	"encoding/json"
	"strings"

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
	if f.StatusTo-f.StatusFrom > 1 && f.ProjectID.IsZero() && f.TokenID.IsZero() {
		return s.requestsOfClass(ctx, f, page)
	}
	w := requestsWhere(&f)
	events, err := list(ctx, s.readers, `SELECT record FROM ledger_requests`+w.page("id", page), w.args, scanRequest)
	if err != nil {
		return nil, false, err
	}
	events, more := cut(events, page)
	return events, more, nil
}

// requestsOfClass lists requests of several statuses. An index has those of each in order, but not those of all, of which there may be a
// million: the newest of each are found, and of these the newest.
func (s *Store) requestsOfClass(ctx context.Context, f llmproxy.RequestFilter, page llmproxy.Page) ([]llmproxy.Event, bool, error) {
	statuses, err := list(ctx, s.readers, `WITH RECURSIVE there(status) AS (
  SELECT min(status) FROM ledger_requests WHERE status >= ?
  UNION ALL SELECT (SELECT min(r.status) FROM ledger_requests r WHERE r.status > there.status) FROM there WHERE there.status < ?
) SELECT status FROM there WHERE status < ?`, []any{f.StatusFrom, f.StatusTo, f.StatusTo}, func(r row) (status int, err error) { return status, r.Scan(&status) })
	if err != nil || len(statuses) == 0 {
		return nil, false, err
	}
	var each []string
	var args []any
	for _, status := range statuses {
		of := f
		of.StatusFrom, of.StatusTo = status, status+1
		w := requestsWhere(&of)
		each = append(each, `SELECT * FROM (SELECT id, record FROM ledger_requests`+w.page("id", page)+`)`)
		args = append(args, w.args...)
	}
	events, err := list(ctx, s.readers, `SELECT record FROM (`+strings.Join(each, ` UNION ALL `)+`) ORDER BY id DESC LIMIT ?`, append(args, pageLimit(page)+1), scanRequest)
	if err != nil {
		return nil, false, err
	}
	events, more := cut(events, page)
	return events, more, nil
}

// requestsWhere are the conditions of a filter.
func requestsWhere(f *llmproxy.RequestFilter) (w where) {
	if !f.ProjectID.IsZero() {
		w.and("project_id = ?", f.ProjectID.UUID[:])
	}
	if !f.TokenID.IsZero() {
		w.and("token_id = ?", f.TokenID.UUID[:])
	}
	if f.Model != "" {
		w.and("model = ? AND model <> ''", llmproxy.ModelKey(f.Model)) // so that the index of named ones applies
	}
	switch f.StatusTo - f.StatusFrom {
	case 0:
	case 1:
		w.and("status = ?", f.StatusFrom)
	default:
		w.and("status >= ? AND status < ?", f.StatusFrom, f.StatusTo)
	}
	if f.Outcome != "" {
		w.and("outcome = ?", string(f.Outcome))
		if f.Outcome != llmproxy.Complete {
			w.and("outcome <> 'complete'")
		}
	}
	if !f.From.IsZero() {
		from := llmproxy.FirstID(f.From)
		w.and("id >= ?", from[:])
	}
	if !f.To.IsZero() {
		to := llmproxy.FirstID(f.To)
		w.and("id < ?", to[:])
	}
	return w
}
