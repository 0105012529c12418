package sqlite

import (
	"context"
	"encoding/binary"
	"errors"

	"go.uber.org/zap"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// pack is what the rows of a day add up to, hours aside. Part 0 has whose each row is, and each other part has one number of each:
// most of a day is never read.
type pack [1 + len(packColumns)][]byte

// packColumns are the numbers that a pack has, in the order of their parts.
var packColumns = [...]string{"requests", "errors", "input", "output", "total", "cost_micro", "cost_pico"}

// packParts are the parts that tell of a size.
var packParts = map[llmproxy.Size][]int{
	llmproxy.SizeRequests: {1}, llmproxy.SizeErrors: {2}, llmproxy.SizeInput: {3}, llmproxy.SizeOutput: {4}, llmproxy.SizeTotal: {5}, llmproxy.SizeCost: {6, 7},
}

const (
	dayChangesSQL = `SELECT coalesce((SELECT changes FROM ledger_days WHERE day = ?), 0)`
	packReadSQL   = `SELECT part, data FROM ledger_packs WHERE day = ?1 AND changes = ?2 AND part IN (0, ?3, ?4)`
	packRowsSQL   = `SELECT project_id, token_id, model, requests, errors, input, output, total, cost_micro, cost_pico FROM ledger_hours WHERE hour >= ? AND hour < ?`
	packKeepSQL   = `INSERT OR REPLACE INTO ledger_packs (day, part, changes, data) VALUES (?,?,?,?)`
	dayOverSQL    = `SELECT EXISTS (SELECT 1 FROM ledger_hours WHERE hour >= ?)`
	// Days that are over and have no pack, or an old one.
	unpackedSQL = `WITH RECURSIVE days (day) AS (
  SELECT min(hour) / 24 FROM ledger_hours
  UNION ALL SELECT (SELECT min(hour) / 24 FROM ledger_hours WHERE hour >= (day + 1) * 24) FROM days WHERE day IS NOT NULL
) SELECT day FROM days d WHERE day < (SELECT max(hour) / 24 FROM ledger_hours)
  AND NOT EXISTS (SELECT 1 FROM ledger_packs p WHERE p.day = d.day AND p.part = 0 AND p.changes = coalesce((SELECT changes FROM ledger_days c WHERE c.day = d.day), 0))`
)

// pack returns a day's pack, as far as a size needs it. One that had to be made is kept, if the day is over.
func (s *Store) pack(ctx context.Context, conn *sqlite.Conn, day int64, by llmproxy.Size) (*pack, error) {
	p, changes, fresh, err := packOf(conn, day, by)
	if err == nil && fresh {
		if err := s.keepPack(ctx, day, changes, p); err != nil && ctx.Err() == nil {
			s.log.Warn("what a day of the ledger adds up to could not be kept: it is read again the next time", zap.Error(err))
		}
	}
	return p, err
}

// packOf reads a day's pack; fresh tells that it was made from the day's rows just now, after so many changes.
func packOf(conn *sqlite.Conn, day int64, by llmproxy.Size) (p *pack, changes int64, fresh bool, err error) {
	defer sqlitex.Transaction(conn)(&err) // one moment for all that is read
	err = sqlitex.Execute(conn, dayChangesSQL, &sqlitex.ExecOptions{Args: []any{day}, ResultFunc: func(q *sqlite.Stmt) error {
		changes = q.ColumnInt64(0)
		return nil
	}})
	if err != nil {
		return nil, 0, false, err
	}
	p = &pack{}
	parts := packParts[by]
	err = sqlitex.Execute(conn, packReadSQL, &sqlitex.ExecOptions{Args: []any{day, changes, parts[0], parts[len(parts)-1]}, ResultFunc: func(q *sqlite.Stmt) error {
		data := make([]byte, q.ColumnLen(1))
		q.ColumnBytes(1, data)
		p[q.ColumnInt(0)] = data
		return nil
	}})
	if err != nil || p[0] != nil {
		return p, changes, false, err
	}
	p, err = makePack(conn, day)
	return p, changes, true, err
}

// packGroup is what a pack tells apart.
type packGroup struct {
	project llmproxy.ProjectID
	token   llmproxy.TokenID
	model   string
}

// makePack adds up a day's rows. Part 0 begins with the models and the projects, each list with its length before it; then comes of each
// group which model and which project it is of, and its token. Numbers are varints.
func makePack(conn *sqlite.Conn, day int64) (*pack, error) {
	groups := map[packGroup]*[len(packColumns)]int64{}
	err := sqlitex.Execute(conn, packRowsSQL, &sqlitex.ExecOptions{Args: []any{day * hoursOfDay, (day + 1) * hoursOfDay}, ResultFunc: func(q *sqlite.Stmt) error {
		of := packGroup{model: q.ColumnText(2)}
		q.ColumnBytes(0, of.project.UUID[:])
		q.ColumnBytes(1, of.token.UUID[:])
		if groups[of] == nil {
			groups[of] = &[len(packColumns)]int64{}
		}
		for i := range groups[of] {
			groups[of][i] += q.ColumnInt64(3 + i)
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	var p pack
	models, projects := map[string]uint64{}, map[llmproxy.ProjectID]uint64{}
	var names, ids, whose []byte
	for of, numbers := range groups {
		if _, there := models[of.model]; !there {
			models[of.model] = uint64(len(models))
			names = append(binary.AppendUvarint(names, uint64(len(of.model))), of.model...)
		}
		if _, there := projects[of.project]; !there {
			projects[of.project] = uint64(len(projects))
			ids = append(ids, of.project.UUID[:]...)
		}
		whose = binary.AppendUvarint(binary.AppendUvarint(whose, models[of.model]), projects[of.project])
		whose = append(whose, of.token.UUID[:]...)
		for i, n := range numbers {
			p[1+i] = binary.AppendVarint(p[1+i], n)
		}
	}
	p[0] = append(binary.AppendUvarint(nil, uint64(len(models))), names...)
	p[0] = append(binary.AppendUvarint(p[0], uint64(len(projects))), ids...)
	p[0] = append(p[0], whose...)
	for i := range p {
		p[i] = append([]byte{}, p[i]...) // no part is absent
	}
	return &p, nil
}

var errPack = errors.New("a damaged day of the ledger")

// each calls f for each group of a pack with its amount of a size.
func (p *pack) each(by llmproxy.Size, f func(of *packGroup, amount llmproxy.Amount)) error {
	whose := packReader{left: p[0]}
	models := make([]string, whose.count())
	for i := range models {
		models[i] = string(whose.take(whose.count()))
	}
	projects := make([]llmproxy.ProjectID, whose.count())
	for i := range projects {
		copy(projects[i].UUID[:], whose.take(len(projects[i].UUID)))
	}
	parts := packParts[by]
	var numbers [len(llmproxy.Amount{})]packReader
	for i, part := range parts {
		numbers[i].left = p[part]
	}
	var of packGroup
	for len(whose.left) > 0 {
		model, project := whose.number(), whose.number()
		copy(of.token.UUID[:], whose.take(len(of.token.UUID)))
		var amount llmproxy.Amount
		for i := range parts {
			amount[i] = numbers[i].signed()
		}
		if whose.damaged || numbers[0].damaged || numbers[1].damaged || model >= uint64(len(models)) || project >= uint64(len(projects)) {
			return errPack
		}
		of.model, of.project = models[model], projects[project]
		f(&of, amount)
	}
	if whose.damaged || len(numbers[0].left)+len(numbers[1].left) > 0 {
		return errPack
	}
	return nil
}

// packReader reads a part from its beginning on. What is not there is zero, and the part is damaged then.
type packReader struct {
	left    []byte
	damaged bool
}

func (r *packReader) number() uint64 {
	n, size := binary.Uvarint(r.left)
	r.skip(size)
	return n
}

func (r *packReader) signed() int64 {
	n, size := binary.Varint(r.left)
	r.skip(size)
	return n
}

func (r *packReader) skip(size int) {
	if size <= 0 {
		r.left, r.damaged = nil, true
		return
	}
	r.left = r.left[size:]
}

// count is a number of things that follow, so of no more than there are bytes.
func (r *packReader) count() int {
	n := r.number()
	if n > uint64(len(r.left)) {
		r.left, r.damaged = nil, true
		return 0
	}
	return int(n)
}

func (r *packReader) take(n int) []byte {
	if n > len(r.left) {
		r.left, r.damaged = nil, true
		return nil
	}
	taken := r.left[:n]
	r.left = r.left[n:]
	return taken
}

func (s *Store) keepPack(ctx context.Context, day, changes int64, p *pack) error {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.transact(ctx, func() error {
		over := false
		err := sqlitex.Execute(l.conn, dayOverSQL, &sqlitex.ExecOptions{Args: []any{(day + 1) * hoursOfDay}, ResultFunc: func(q *sqlite.Stmt) error {
			over = q.ColumnBool(0)
			return nil
		}})
		for part := range p {
			if err == nil && over {
				err = sqlitex.Execute(l.conn, packKeepSQL, &sqlitex.ExecOptions{Args: []any{day, part, changes, p[part]}})
			}
		}
		return err
	})
}

// packDays makes the packs of days that have none, so that nobody waits for them.
func (s *Store) packDays(ctx context.Context) error {
	return s.reading(ctx, func(conn *sqlite.Conn) error {
		var days []int64
		err := sqlitex.Execute(conn, unpackedSQL, &sqlitex.ExecOptions{ResultFunc: func(q *sqlite.Stmt) error {
			days = append(days, q.ColumnInt64(0))
			return nil
		}})
		for _, day := range days {
			if err == nil {
				_, err = s.pack(ctx, conn, day, llmproxy.SizeRequests)
			}
		}
		return unavailable(err)
	})
}
