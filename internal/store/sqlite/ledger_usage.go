package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"zombiezen.com/go/sqlite"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Usage adds up what the ledger has, in the order of start, project, token and model.
func (s *Store) Usage(ctx context.Context, f llmproxy.UsageFilter) ([]llmproxy.UsageRow, error) {
	parts := usageParts(&f)
	found := make([]*llmproxy.UsageSums, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(usageReaders)
	for i := range parts {
		group.Go(func() (err error) {
			found[i] = llmproxy.NewUsageSums(&f)
			return s.addUsage(ctx, found[i], &f, &parts[i])
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	sums := found[0]
	for _, other := range found[1:] {
		sums.Add(other)
	}
	return sums.Rows(), nil
}

// usageReaders is how many parts are read at once.
const usageReaders = 4

// usagePart is a query for a part of what is to be added up. Its columns are start, project, token, model and the tally.
type usagePart struct {
	query string
	bind  []func(*sqlite.Stmt, int)
}

func (p *usagePart) and(condition string, bind func(*sqlite.Stmt, int)) {
	p.query, p.bind = p.query+" AND "+condition, append(p.bind, bind)
}

func whole(n int64) func(*sqlite.Stmt, int) {
	return func(q *sqlite.Stmt, at int) { q.BindInt64(at, n) }
}

func idOf(u llmproxy.UUID) func(*sqlite.Stmt, int) {
	return func(q *sqlite.Stmt, at int) { q.BindBytes(at, u[:]) }
}

// usageParts are the queries that a filter needs. Where nothing is asked of tokens, few rows have the answer, and for whole days fewer.
func usageParts(f *llmproxy.UsageFilter) (parts []usagePart) {
	from, to := llmproxy.HourOf(f.From), llmproxy.HourOf(f.To)
	if !f.TokenID.IsZero() || slices.Contains(f.By, llmproxy.ByToken) {
		step := to - from
		if f.TokenID.IsZero() { // all rows of that time: on as many processors as there are
			step = max((to-from+usageReaders-1)/usageReaders, 1)
		}
		for begin := from; begin < to; begin += step {
			parts = append(parts, ofTokens(f, hourColumns, begin, min(begin+step, to)))
		}
	} else {
		days, daysEnd := to, to // hours, then days, then hours
		if first, last := (from+hoursOfDay-1)/hoursOfDay*hoursOfDay, to/hoursOfDay*hoursOfDay; f.Bucket != time.Hour && first < last {
			days, daysEnd = first, last
		}
		for _, span := range []struct{ hours, from, to int64 }{{1, from, days}, {hoursOfDay, days, daysEnd}, {1, daysEnd, to}} {
			if span.from >= span.to && len(parts) > 0 {
				continue
			}
			parts = append(parts, usagePart{query: `SELECT start, project_id, zeroblob(16), model, ` + hourColumns + ` FROM ledger_sums WHERE true`})
			p := &parts[len(parts)-1]
			p.and("hours = ?", whole(span.hours))
			p.and("start >= ?", whole(span.from))
			p.and("start < ?", whole(span.to))
			switch {
			case !f.ProjectID.IsZero():
				p.and("project_id = ?", idOf(f.ProjectID.UUID))
			case slices.Contains(f.By, llmproxy.ByProject):
				p.and("+project_id <> ?", idOf(allProjects.UUID))
			default:
				p.and("project_id = ?", idOf(allProjects.UUID))
			}
		}
	}
	for i := range parts {
		parts[i].andModel(f)
	}
	return parts
}

func (p *usagePart) andModel(f *llmproxy.UsageFilter) {
	if f.Model != "" {
		p.and("model = ?", func(q *sqlite.Stmt, at int) { q.BindText(at, llmproxy.ModelKey(f.Model)) })
	}
}

// ofTokens is the query for the hours of tokens from one to before another.
func ofTokens(f *llmproxy.UsageFilter, columns string, from, to int64) usagePart {
	query, ofToken, ofProject := `SELECT hour, project_id, token_id, model, `+columns, !f.TokenID.IsZero(), !f.ProjectID.IsZero()
	if ofProject && !ofToken { // a project's rows of an hour stand together: from each hour to the next
		p := usagePart{query: `WITH RECURSIVE span (at) AS (SELECT ? UNION ALL SELECT at + 1 FROM span WHERE at + 1 < ?) ` + query +
			` FROM span CROSS JOIN ledger_hours ON hour = at WHERE true`, bind: []func(*sqlite.Stmt, int){whole(from), whole(to)}}
		p.and("project_id = ?", idOf(f.ProjectID.UUID))
		return p
	}
	p := usagePart{query: query + ` FROM ledger_hours WHERE true`}
	p.and("hour >= ?", whole(from))
	p.and("hour < ?", whole(to))
	if ofToken {
		p.and("token_id = ?", idOf(f.TokenID.UUID))
	}
	if ofProject {
		p.and("project_id = ?", idOf(f.ProjectID.UUID))
	}
	return p
}

// reading runs f over a connection of its own.
func (s *Store) reading(ctx context.Context, f func(conn *sqlite.Conn) error) error {
	conn, err := s.ledgerReaders.Take(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer s.ledgerReaders.Put(conn)
	return f(conn)
}

// addUsage reads a part.
func (s *Store) addUsage(ctx context.Context, sums *llmproxy.UsageSums, f *llmproxy.UsageFilter, part *usagePart) error {
	return s.reading(ctx, func(conn *sqlite.Conn) error {
		return part.each(conn, func(q *sqlite.Stmt) error {
			sum := sums.Of(q.ColumnInt64(0), groupOf(f, q))
			if err := addTally(sum, q, 4); err != nil {
				return fmt.Errorf("add up usage: %w", err)
			}
			return nil
		})
	})
}

// each runs f for each row of a part.
func (p *usagePart) each(conn *sqlite.Conn, f func(q *sqlite.Stmt) error) (err error) {
	q, err := conn.Prepare(p.query)
	if err != nil {
		return unavailable(err)
	}
	defer func() { err = cmp.Or(err, unavailable(q.Reset())) }()
	for i, bind := range p.bind {
		bind(q, i+1)
	}
	for {
		more, err := q.Step()
		if err != nil {
			return unavailable(err)
		}
		if !more {
			return nil
		}
		if err := f(q); err != nil {
			return err
		}
	}
}

// groupOf is the group that a part's row belongs to.
func groupOf(f *llmproxy.UsageFilter, q *sqlite.Stmt) (of llmproxy.UsageGroup) {
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
	return of
}
