package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// allProjects stands for all projects in the key of a sum; no project has this id.
var allProjects = llmproxy.ProjectID{UUID: llmproxy.UUID(bytes.Repeat([]byte{0xff}, 16))}

const hoursOfDay = 24

// sumKey names a row of a sum without tokens.
type sumKey struct {
	project      llmproxy.ProjectID
	hours, start int64
	model        string
}

// sumsOf is what changes of hours add to the sums.
func sumsOf(changes map[hourKey]*llmproxy.Tally) map[sumKey]*llmproxy.Tally {
	sums := map[sumKey]*llmproxy.Tally{}
	for key, change := range changes {
		for _, project := range []llmproxy.ProjectID{key.project, allProjects} {
			for _, hours := range []int64{1, hoursOfDay} {
				of := sumKey{project, hours, key.hour / hours * hours, key.model}
				if sums[of] == nil {
					sums[of] = &llmproxy.Tally{}
				}
				sums[of].Add(change)
			}
		}
	}
	return sums
}

// bindSum binds the key of a sum's row to the first four parameters.
func bindSum(s *sqlite.Stmt, key *sumKey) {
	s.BindBytes(1, key.project.UUID[:])
	s.BindInt64(2, key.hours)
	s.BindInt64(3, key.start)
	s.BindText(4, key.model)
}

// fillSums makes the sums of a database that has hours from before there were any.
func (l *ledger) fillSums(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.transact(ctx, func() error {
		var missing bool
		if err := l.each(`SELECT NOT EXISTS (SELECT 1 FROM ledger_sums) AND EXISTS (SELECT 1 FROM ledger_hours)`, func(q *sqlite.Stmt) error {
			missing = q.ColumnBool(0)
			return nil
		}); err != nil || !missing {
			return err
		}
		sums := map[sumKey]*llmproxy.Tally{}
		day := int64(0)
		write := func() error {
			for key, sum := range sums {
				if err := l.sums.change(func(s *sqlite.Stmt) { bindSum(s, &key) }, sum); err != nil {
					return err
				}
			}
			clear(sums)
			return nil
		}
		err := l.each(`SELECT hour, project_id, token_id, model, `+hourColumns+` FROM ledger_hours ORDER BY hour`, func(q *sqlite.Stmt) error {
			key := hourKey{hour: q.ColumnInt64(0), model: q.ColumnText(3)}
			q.ColumnBytes(1, key.project.UUID[:])
			if of := key.hour / hoursOfDay; of != day {
				day = of
				if err := write(); err != nil {
					return err
				}
			}
			var tally llmproxy.Tally
			if err := addTally(&tally, q, 4); err != nil {
				return err
			}
			for of, sum := range sumsOf(map[hourKey]*llmproxy.Tally{key: &tally}) {
				if sums[of] == nil {
					sums[of] = &llmproxy.Tally{}
				}
				sums[of].Add(sum)
			}
			return nil
		})
		if err == nil {
			err = write()
		}
		if err != nil {
			return fmt.Errorf("add up the hours of the ledger: %w", err)
		}
		return nil
	})
}

// each runs f for each row of a query.
func (l *ledger) each(query string, f func(*sqlite.Stmt) error) (err error) {
	q, err := l.conn.Prepare(query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Reset()) }()
	for {
		found, err := q.Step()
		if err != nil || !found {
			return err
		}
		if err := f(q); err != nil {
			return err
		}
	}
}
