package sqlite

import (
	"context"
	"encoding/json"

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
		w.and("model = ? AND model <> ''", llmproxy.ModelKey(f.Model)) // so that the index of named ones applies
	}
	if f.StatusTo > 0 {
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
	events, err := list(ctx, s.readers, `SELECT record FROM ledger_requests`+w.page("id", page), w.args, scanRequest)
	if err != nil {
		return nil, false, err
	}
	events, more := cut(events, page)
	return events, more, nil
}
