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
	columns := hourColumns
	if f.Sizes {
		columns = sizeColumns
	}
	if !f.TokenID.IsZero() || slices.Contains(f.By, llmproxy.ByToken) {
		step := to - from
		if f.TokenID.IsZero() { // all rows of that time: on as many processors as there are
			step = max((to-from+usageReaders-1)/usageReaders, 1)
		}
		for begin := from; begin < to; begin += step {
			parts = append(parts, ofTokens(f, columns, begin, min(begin+step, to)))
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
			parts = append(parts, usagePart{query: `SELECT start, project_id, zeroblob(16), model, ` + columns + ` FROM ledger_sums WHERE true`})
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
	if f.Model != "" {
		for i := range parts {
			parts[i].and("model = ?", func(q *sqlite.Stmt, at int) { q.BindText(at, llmproxy.ModelKey(f.Model)) })
		}
	}
	return parts
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
	query += ` FROM ledger_hours`
	if f.Sizes && !ofToken {
		query += ` INDEXED BY ledger_hours_sizes` // which has all that is asked for
	}
	p := usagePart{query: query + ` WHERE true`}
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

// addUsage reads a part over a connection of its own.
func (s *Store) addUsage(ctx context.Context, sums *llmproxy.UsageSums, f *llmproxy.UsageFilter, part *usagePart) (err error) {
	conn, err := sqlite.OpenConn(s.path, sqlite.OpenReadOnly)
	if err != nil {
		return unavailable(err)
	}
	defer func() { err = cmp.Or(err, unavailable(conn.Close())) }()
	conn.SetBusyTimeout(manageBusy)
	conn.SetInterrupt(ctx.Done())
	q, err := conn.Prepare(part.query)
	if err != nil {
		return unavailable(err)
	}
	for i, bind := range part.bind {
		bind(q, i+1)
	}
	if f.Sizes && f.Bucket == 0 && len(f.By) == 1 && f.By[0] == llmproxy.ByToken {
		return unavailable(addSizesOfTokens(sums, q))
	}
	for {
		more, err := q.Step()
		if err != nil {
			return unavailable(err)
		}
		if !more {
			return nil
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
		sum := sums.Of(q.ColumnInt64(0), of)
		if f.Sizes {
			addSizes(sum, q, 4)
		} else if err := addTally(sum, q, 4); err != nil {
			return fmt.Errorf("add up usage: %w", err)
		}
	}
}

// addSizesOfTokens reads a part that may have a million rows of a hundred thousand tokens: each is a look into a small map.
func addSizesOfTokens(sums *llmproxy.UsageSums, q *sqlite.Stmt) error {
	type sizes [7]int64
	at := map[llmproxy.TokenID]int{}
	var all []sizes
	for {
		more, err := q.Step()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		var token llmproxy.TokenID
		q.ColumnBytes(2, token.UUID[:])
		i, there := at[token]
		if !there {
			i = len(all)
			at[token], all = i, append(all, sizes{})
		}
		for column := range all[i] {
			all[i][column] += q.ColumnInt64(4 + column)
		}
	}
	for token, i := range at {
		sum := sums.Of(0, llmproxy.UsageGroup{TokenID: token})
		for column, n := range sum.Sizes() {
			*n += all[i][column]
		}
	}
	return nil
}
