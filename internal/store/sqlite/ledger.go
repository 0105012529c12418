package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// ledgerChunk is how many events are written in one transaction: spends wait meanwhile.
const ledgerChunk = 32

// hourColumns are those of a tally: its counters in their order, then its histograms.
const hourColumns = `requests, errors, metered, estimated, priced, input, input_events, output, output_events, total, total_events,
  cached, cached_events, cache_write, cache_write_events, reasoning, reasoning_events, cost_micro, cost_pico, latency, first_byte`

const (
	ledgerInsertSQL = `INSERT OR IGNORE INTO ledger_requests (id, project_id, token_id, model, status, outcome, record) VALUES (?,?,?,?,?,?,?)`
	ledgerLostSQL   = `SELECT record FROM ledger_requests WHERE id = ? AND outcome = 'lost'`
	ledgerDeleteSQL = `DELETE FROM ledger_requests WHERE id = ?`
	hourReadSQL     = `SELECT ` + hourColumns + ` FROM ledger_hours WHERE hour = ? AND project_id = ? AND token_id = ? AND model = ?`
	hourDeleteSQL   = `DELETE FROM ledger_hours WHERE hour = ? AND project_id = ? AND token_id = ? AND model = ?`
	dayChangedSQL   = `INSERT INTO ledger_days (day, changes) VALUES (?, 1) ON CONFLICT (day) DO UPDATE SET changes = changes + 1`
	sumReadSQL      = `SELECT ` + hourColumns + ` FROM ledger_sums WHERE project_id = ? AND hours = ? AND start = ? AND model = ?`
	sumDeleteSQL    = `DELETE FROM ledger_sums WHERE project_id = ? AND hours = ? AND start = ? AND model = ?`
)

var (
	hourWriteSQL = `INSERT OR REPLACE INTO ledger_hours (hour, project_id, token_id, model, ` + hourColumns + `) VALUES (?` + strings.Repeat(",?", 3+tallyColumns) + `)`
	sumWriteSQL  = `INSERT OR REPLACE INTO ledger_sums (project_id, hours, start, model, ` + hourColumns + `) VALUES (?` + strings.Repeat(",?", 3+tallyColumns) + `)`
)

// tallyColumns is how many columns a tally has.
const tallyColumns = 19 + 2

// ledger writes what became of requests, over a connection of its own.
type ledger struct {
	store *Store
	mu    sync.Mutex // held by whoever uses the connection
	conn  *sqlite.Conn

	begin, commit, rollback *sqlite.Stmt
	insert, lost, remove    *sqlite.Stmt
	dayChanged              *sqlite.Stmt
	hours, sums             tallies
}

// tallies are how the rows of a table of tallies, whose key has four columns, are read, written and removed.
type tallies struct{ read, write, gone *sqlite.Stmt }

// openLedger opens the connection. Its commits are not synced one by one: the log is, once for a batch, while spends go on.
func openLedger(store *Store, path string) (*ledger, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(manageBusy)
	l := &ledger{store: store, conn: conn}
	for _, pragma := range []string{"PRAGMA synchronous = NORMAL", "PRAGMA wal_autocheckpoint = 0"} {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	for _, s := range []struct {
		stmt  **sqlite.Stmt
		query string
	}{
		{&l.begin, "BEGIN IMMEDIATE"},
		{&l.commit, "COMMIT"},
		{&l.rollback, "ROLLBACK"},
		{&l.insert, ledgerInsertSQL},
		{&l.lost, ledgerLostSQL},
		{&l.remove, ledgerDeleteSQL},
		{&l.dayChanged, dayChangedSQL},
		{&l.hours.read, hourReadSQL},
		{&l.hours.write, hourWriteSQL},
		{&l.hours.gone, hourDeleteSQL},
		{&l.sums.read, sumReadSQL},
		{&l.sums.write, sumWriteSQL},
		{&l.sums.gone, sumDeleteSQL},
	} {
		if *s.stmt, err = conn.Prepare(s.query); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return l, nil
}

func (l *ledger) close() error { return l.conn.Close() }

// Record stores events, each with its part of its hour in one step, and returns when they are on the disk. An event that is there is
// passed over, unless it is there as lost and comes as what it really was. After an error any number of the events may be stored.
func (s *Store) Record(ctx context.Context, events []*llmproxy.Event) error {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := events; len(rest) > 0; {
		n := min(len(rest), ledgerChunk)
		rows := make([]ledgerRow, n)
		for i, e := range rest[:n] {
			rows[i] = rowOf(e)
		}
		if err := l.transact(ctx, func() error { return l.write(rows) }); err != nil {
			return unavailable(err)
		}
		rest = rest[n:]
	}
	return unavailable(s.syncLog())
}

// ledgerRow is an event as it is stored.
type ledgerRow struct {
	event  *llmproxy.Event
	key    hourKey // of the hour that it adds to
	record []byte
}

// hourKey names a row of an hour.
type hourKey struct {
	hour    int64
	project llmproxy.ProjectID
	token   llmproxy.TokenID
	model   string
}

func rowOf(e *llmproxy.Event) ledgerRow {
	return ledgerRow{
		event: e, record: e.AppendMeta(nil),
		key: hourKey{llmproxy.HourOf(e.ID.Time()), e.ProjectID, e.TokenID, llmproxy.ModelKey(e.Model)},
	}
}

// transact runs change in one transaction, while no other connection of ours writes.
func (l *ledger) transact(ctx context.Context, change func() error) error {
	select {
	case l.store.turn <- struct{}{}:
		defer func() { <-l.store.turn }()
	case <-l.store.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	err := step(l.begin)
	if err != nil {
		return err
	}
	if err = change(); err == nil {
		if err = step(l.commit); err == nil {
			return nil
		}
	}
	if !l.conn.AutocommitEnabled() { // some errors have ended the transaction already
		err = errors.Join(err, step(l.rollback))
	}
	return err
}

// write stores the rows that are new, and then what they add to their hours.
func (l *ledger) write(rows []ledgerRow) error {
	changes := map[hourKey]*llmproxy.Tally{}
	of := func(key hourKey) *llmproxy.Tally {
		if changes[key] == nil {
			changes[key] = &llmproxy.Tally{}
		}
		return changes[key]
	}
	for i := range rows {
		r := &rows[i]
		stored, err := l.put(r)
		if err == nil && !stored && r.event.Outcome != llmproxy.Lost {
			var before *ledgerRow
			if before, err = l.takeLost(r.event.ID); err == nil && before != nil {
				tally := llmproxy.TallyOf(before.event)
				of(before.key).Take(&tally)
				stored, err = l.put(r)
			}
		}
		if err != nil {
			return err
		}
		if stored {
			of(r.key).AddEvent(r.event)
		}
	}
	sums, days := sumsOf(changes), map[int64]bool{}
	for key, change := range changes {
		days[key.hour/hoursOfDay] = true
		if err := l.hours.change(func(s *sqlite.Stmt) { bindHour(s, &key) }, change); err != nil {
			return err
		}
	}
	for key, change := range sums {
		if err := l.sums.change(func(s *sqlite.Stmt) { bindSum(s, &key) }, change); err != nil {
			return err
		}
	}
	for day := range days {
		l.dayChanged.BindInt64(1, day)
		if err := step(l.dayChanged); err != nil {
			return err
		}
	}
	return nil
}

// put stores a row and reports false where its event is there already.
func (l *ledger) put(r *ledgerRow) (stored bool, err error) {
	e, p := r.event, l.insert
	p.BindBytes(1, e.ID.UUID[:])
	p.BindBytes(2, e.ProjectID.UUID[:])
	p.BindBytes(3, e.TokenID.UUID[:])
	p.BindText(4, r.key.model)
	p.BindInt64(5, int64(e.Status))
	p.BindText(6, string(e.Outcome))
	p.BindText(7, string(r.record))
	if err := step(p); err != nil {
		return false, err
	}
	return l.conn.Changes() == 1, nil
}

// takeLost removes the row of a lost event and returns it; nil if there is none.
func (l *ledger) takeLost(id llmproxy.EventID) (*ledgerRow, error) {
	l.lost.BindBytes(1, id.UUID[:])
	found, err := l.lost.Step()
	record := ""
	if found {
		record = l.lost.ColumnText(0)
	}
	if err = errors.Join(err, l.lost.Reset()); err != nil || !found {
		return nil, err
	}
	before := &llmproxy.Event{}
	if err := json.Unmarshal([]byte(record), before); err != nil {
		return nil, fmt.Errorf("the ledger's row of %s: %w", id, err)
	}
	l.remove.BindBytes(1, id.UUID[:])
	if err := step(l.remove); err != nil {
		return nil, err
	}
	row := rowOf(before)
	return &row, nil
}

// bindHour binds the key of an hour's row to the first four parameters.
func bindHour(s *sqlite.Stmt, key *hourKey) {
	s.BindInt64(1, key.hour)
	s.BindBytes(2, key.project.UUID[:])
	s.BindBytes(3, key.token.UUID[:])
	s.BindText(4, key.model)
}

// change adds to the row that bind names. One that nothing is left of goes.
func (t *tallies) change(bind func(*sqlite.Stmt), change *llmproxy.Tally) error {
	bind(t.read)
	found, err := t.read.Step()
	if found && err == nil {
		err = addTally(change, t.read, 0)
	}
	if err = errors.Join(err, t.read.Reset()); err != nil {
		return err
	}
	if change.Requests == 0 {
		bind(t.gone)
		return step(t.gone)
	}
	w := t.write
	bind(w)
	column := 5
	for _, n := range change.Counters() {
		w.BindInt64(column, *n)
		column++
	}
	w.BindBytes(column, change.Latency.AppendBinary([]byte{}))
	w.BindBytes(column+1, change.FirstByte.AppendBinary([]byte{}))
	return step(w)
}

// addTally adds the tally that begins at a column.
func addTally(t *llmproxy.Tally, row *sqlite.Stmt, column int) error {
	for _, n := range t.Counters() {
		*n += row.ColumnInt64(column)
		column++
	}
	for _, h := range []*llmproxy.Histogram{&t.Latency, &t.FirstByte} {
		var room [512]byte
		data := room[:0]
		if n := row.ColumnLen(column); n > len(room) {
			data = make([]byte, 0, n)
		}
		data = data[:row.ColumnLen(column)]
		row.ColumnBytes(column, data)
		if err := h.AddBinary(data); err != nil {
			return fmt.Errorf("an hour of the ledger: %w", err)
		}
		column++
	}
	return nil
}

// syncLog puts on the disk what was committed, without keeping a writer waiting.
func (s *Store) syncLog() (err error) {
	file, err := os.OpenFile(s.path+"-wal", os.O_RDWR, 0) // SQLite's locks are on the database's file, not on this one
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return file.Sync()
}

// sweepChunk is how many rows are removed in one transaction.
const sweepChunk = 200

// sweepLedger removes rows of events and of hours that are no longer kept.
func (s *Store) sweepLedger(ctx context.Context, now time.Time) (removed int64, err error) {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest, oldestDay := llmproxy.FirstID(now.Add(-llmproxy.LedgerKeeps)), llmproxy.HourOf(now.Add(-llmproxy.LedgerKeepsHours))/hoursOfDay
	oldestHour := oldestDay * hoursOfDay // days go as a whole
	for _, step := range []struct {
		query string
		bind  func(*sqlite.Stmt)
	}{
		{`DELETE FROM ledger_requests WHERE id IN (SELECT id FROM ledger_requests WHERE id < ? ORDER BY id LIMIT ?)`, func(q *sqlite.Stmt) { q.BindBytes(1, oldest[:]) }},
		{`DELETE FROM ledger_sums WHERE (project_id, hours, start, model) IN (SELECT project_id, hours, start, model FROM ledger_sums WHERE hours = 1 AND start < ? LIMIT ?)`, func(q *sqlite.Stmt) { q.BindInt64(1, oldestHour) }},
		{`DELETE FROM ledger_sums WHERE (project_id, hours, start, model) IN (SELECT project_id, hours, start, model FROM ledger_sums WHERE hours = 24 AND start + 24 <= ? LIMIT ?)`, func(q *sqlite.Stmt) { q.BindInt64(1, oldestHour) }},
		{`DELETE FROM ledger_hours WHERE (hour, project_id, token_id, model) IN (SELECT hour, project_id, token_id, model FROM ledger_hours WHERE hour < ? ORDER BY hour LIMIT ?)`, func(q *sqlite.Stmt) { q.BindInt64(1, oldestHour) }},
		{`DELETE FROM ledger_packs WHERE day IN (SELECT day FROM ledger_packs WHERE day < ? LIMIT ?)`, func(q *sqlite.Stmt) { q.BindInt64(1, oldestDay) }},
		{`DELETE FROM ledger_days WHERE day IN (SELECT day FROM ledger_days WHERE day < ? LIMIT ?)`, func(q *sqlite.Stmt) { q.BindInt64(1, oldestDay) }},
	} {
		for more := true; more; {
			if err := l.transact(ctx, func() error {
				q, err := l.conn.Prepare(step.query)
				if err != nil {
					return err
				}
				step.bind(q)
				q.BindInt64(2, sweepChunk)
				_, err = q.Step()
				err = errors.Join(err, q.Reset())
				removed += int64(l.conn.Changes())
				more = l.conn.Changes() == sweepChunk
				return err
			}); err != nil {
				return removed, unavailable(err)
			}
		}
	}
	return removed, nil
}
