package sqlite

import (
	"context"
	"encoding/json"
	"slices"
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
	if f.StatusTo-f.StatusFrom > 1 {
		return s.requestsOfClass(ctx, f, page)
	}
	query, args, err := s.requestsQuery(ctx, &f, page)
	if err != nil {
		return nil, false, err
	}
	events, err := list(ctx, s.readers, `SELECT record FROM (`+query+`) ORDER BY id DESC`, args, scanRequest)
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
		query, its, err := s.requestsQuery(ctx, &of, page)
		if err != nil {
			return nil, false, err
		}
		each, args = append(each, `SELECT * FROM (`+query+`)`), append(args, its...)
	}
	events, err := list(ctx, s.readers, `SELECT record FROM (`+strings.Join(each, ` UNION ALL `)+`) ORDER BY id DESC LIMIT ?`, append(args, pageLimit(page)+1), scanRequest)
	if err != nil {
		return nil, false, err
	}
	events, more := cut(events, page)
	return events, more, nil
}

// requestsQuery asks for the ids and records of a page, of one status at most.
func (s *Store) requestsQuery(ctx context.Context, f *llmproxy.RequestFilter, page llmproxy.Page) (query string, args []any, err error) {
	w, indexed := requestsWhere(f)
	if len(indexed) > 1 {
		fewest, err := s.fewest(ctx, &w, indexed)
		if err != nil {
			return "", nil, err
		}
		for i, at := range indexed {
			if i != fewest {
				w.conditions[at] = "+" + w.conditions[at] // of no index
			}
		}
	}
	return `SELECT id, record FROM ledger_requests` + w.page("id", page), w.args, nil
}

// fewest tells which of several conditions, each of which has an index, leaves the fewest requests: SQLite cannot know. One that leaves
// few is found by counting to few; of those that all leave many the first is as good as any.
func (s *Store) fewest(ctx context.Context, w *where, indexed []int) (int, error) {
	for _, bound := range []int{500, 5_000, 50_000} {
		fewest, least := 0, bound
		for i, at := range indexed {
			only := where{}
			for other := range w.conditions {
				if other == at || !slices.Contains(indexed, other) && strings.HasPrefix(w.conditions[other], "id ") {
					only.and(w.conditions[other], w.args[other])
				}
			}
			count := 0
			err := s.readers.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM ledger_requests`+only.String()+` LIMIT ?)`, append(only.args, bound)...).Scan(&count)
			if err != nil {
				return 0, unavailable(err)
			}
			if count < least {
				fewest, least = i, count
			}
		}
		if least < bound {
			return fewest, nil
		}
	}
	return 0, nil
}

// requestsWhere are the conditions of a filter, each with its argument, and which of them an index has in order.
func requestsWhere(f *llmproxy.RequestFilter) (w where, indexed []int) {
	equal := func(condition string, arg any) {
		indexed = append(indexed, len(w.conditions))
		w.and(condition, arg)
	}
	if !f.TokenID.IsZero() {
		equal("token_id = ?", f.TokenID.UUID[:])
	}
	if !f.ProjectID.IsZero() {
		equal("project_id = ?", f.ProjectID.UUID[:])
	}
	if f.Model != "" {
		equal("model = ? AND model <> ''", llmproxy.ModelKey(f.Model)) // so that the index of named ones applies
	}
	if f.StatusTo > 0 {
		equal("status = ?", f.StatusFrom)
	}
	switch f.Outcome {
	case "":
	case llmproxy.Complete:
		w.and("outcome = ?", string(f.Outcome))
	default:
		equal("outcome = ? AND outcome <> 'complete'", string(f.Outcome))
	}
	if !f.From.IsZero() {
		from := llmproxy.FirstID(f.From)
		w.and("id >= ?", from[:])
	}
	if !f.To.IsZero() {
		to := llmproxy.FirstID(f.To)
		w.and("id < ?", to[:])
	}
	return w, indexed
}
