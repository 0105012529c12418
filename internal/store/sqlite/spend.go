package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// spendBudget is how long a spend may take in all.
const spendBudget = 800 * time.Millisecond

// spendSQL checks and counts in one step. Its arguments are spendArgs: numbered ones cost the driver an allocation each.
const spendSQL = `UPDATE tokens SET
  request_count = request_count + 1, last_used_at = ?,
  window_count = CASE WHEN window_hour = ? THEN window_count + 1 ELSE 1 END, window_hour = ?
WHERE id = ? AND (hash = ? OR (previous_hash = ? AND previous_until > ?)) AND active = 1 AND expires_at > ?
  AND (max_requests = 0 OR request_count < max_requests)
  AND (requests_per_hour = 0 OR window_hour <> ? OR window_count < requests_per_hour)
  AND EXISTS (SELECT 1 FROM projects p WHERE p.id = tokens.project_id AND p.active = 1 AND p.deleted_at = 0 AND p.epoch <= tokens.epoch)
RETURNING project_id, expires_at, max_requests, requests_per_hour, request_count, request_headers_drop, epoch,
  (SELECT gate FROM projects p WHERE p.id = tokens.project_id)`

// spendArgs are the arguments of spendSQL in their order.
func spendArgs(r *spendRequest) [9]driver.NamedValue {
	now, hour := driver.Value(r.now.UnixMilli()), driver.Value(llmproxy.HourOf(r.now))
	id, hash := driver.Value(r.id.UUID[:]), driver.Value(r.hash[:])
	args := [9]driver.NamedValue{{Value: now}, {Value: hour}, {Value: hour}, {Value: id}, {Value: hash}, {Value: hash}, {Value: now}, {Value: now}, {Value: hour}}
	for i := range args {
		args[i].Ordinal = i + 1
	}
	return args
}

// explainSQL reads what a refusal is explained from.
const explainSQL = `SELECT t.project_id, t.expires_at, t.max_requests, t.requests_per_hour, t.request_count, t.request_headers_drop, t.epoch,
  coalesce(p.gate, ''), t.hash, t.previous_hash, t.previous_until, t.active, t.window_hour, t.window_count,
  coalesce(p.active, 0), coalesce(p.deleted_at, 1), coalesce(p.epoch, 0)
FROM tokens t LEFT JOIN projects p ON p.id = t.project_id WHERE t.id = ?`

// spender spends over one connection. Whoever comes while nobody spends does it on its own goroutine. Others queue; whoever ends then
// wakes the first of them, which takes all that wait into one transaction.
type spender struct {
	store   *Store
	conn    driver.Conn
	spend   driver.StmtQueryContext
	explain driver.StmtQueryContext
	closers []driver.Stmt
	gates   gateCache

	mu      sync.Mutex
	busy    bool
	waiting []*spendRequest
}

// spendRequest is one spend and its outcome.
type spendRequest struct {
	id   llmproxy.TokenID
	hash llmproxy.TokenHash
	now  time.Time
	due  time.Time          // after this moment it is not begun any more
	wake chan spendingState // leads: take all that wait; done: the outcome is there

	token   llmproxy.Token
	project llmproxy.Project
	err     error
}

type spendingState int

const (
	spendDone spendingState = iota
	spendLead
)

func openSpender(store *Store, dsn string) (*spender, error) {
	conn, err := (&sqlite.Driver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	p := &spender{store: store, conn: conn}
	for query, to := range map[string]*driver.StmtQueryContext{spendSQL: &p.spend, explainSQL: &p.explain} {
		stmt, err := conn.Prepare(query)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.closers = append(p.closers, stmt)
		prepared, ok := stmt.(driver.StmtQueryContext)
		if !ok {
			return nil, errors.Join(fmt.Errorf("%T cannot be queried", stmt), p.close())
		}
		*to = prepared
	}
	return p, nil
}

func (p *spender) close() error {
	var errs []error
	for _, stmt := range p.closers {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, p.conn.Close())...)
}

// Spend counts one request against the token and returns it with its project, as both now are.
func (s *Store) Spend(_ context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (llmproxy.Token, llmproxy.Project, error) {
	r := &spendRequest{id: id, hash: hash, now: now, due: time.Now().Add(spendBudget)}
	s.spends.do(r)
	return r.token, r.project, r.err
}

// do takes the request through, alone or with others.
func (p *spender) do(r *spendRequest) {
	p.mu.Lock()
	if p.busy {
		r.wake = make(chan spendingState, 1)
		p.waiting = append(p.waiting, r)
		p.mu.Unlock()
		if <-r.wake == spendDone {
			return
		}
		p.mu.Lock()
		batch := p.waiting
		p.waiting = nil
		p.mu.Unlock()
		p.run(batch)
		p.next()
		for _, other := range batch {
			if other != r {
				other.wake <- spendDone
			}
		}
		return
	}
	p.busy = true
	p.mu.Unlock()
	p.run([]*spendRequest{r})
	p.next()
}

// next lets the first of those that wait lead, or leaves the connection free.
func (p *spender) next() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.busy = false
		return
	}
	p.waiting[0].wake <- spendLead
}

// run takes the requests through in one transaction, each with its own outcome.
func (p *spender) run(batch []*spendRequest) {
	if !p.store.takeTurn(batch[0].due) {
		for _, r := range batch {
			r.err = unavailable(errBusy)
		}
		return
	}
	defer func() { <-p.store.turn }()
	if len(batch) == 1 {
		p.one(batch[0])
		return
	}
	err := p.exec("BEGIN IMMEDIATE")
	if err == nil {
		for _, r := range batch {
			if time.Now().After(r.due) {
				r.err = unavailable(errBusy)
				continue
			}
			p.one(r)
			if errors.Is(r.err, llmproxy.ErrUnavailable) { // the transaction may be gone
				err = r.err
				break
			}
		}
		if err == nil {
			err = p.exec("COMMIT")
		}
		if err != nil {
			err = errors.Join(err, p.exec("ROLLBACK"))
		}
	}
	if err != nil {
		for _, r := range batch {
			r.token, r.project, r.err = llmproxy.Token{}, llmproxy.Project{}, unavailable(err)
		}
	}
}

var errBusy = errors.New("other writes took too long")

// takeTurn waits until no other connection of ours writes, or until due.
func (s *Store) takeTurn(due time.Time) bool {
	select {
	case s.turn <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case s.turn <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (p *spender) exec(query string) error {
	_, err := p.conn.(driver.ExecerContext).ExecContext(context.Background(), query, nil)
	return err
}

// one takes one request through: counted, or refused with the reason.
func (p *spender) one(r *spendRequest) {
	for range 2 { // what refused the count may be gone when its reason is read: then once more
		counted, err := p.count(r)
		if err != nil {
			r.err = unavailable(err)
			return
		}
		if counted {
			return
		}
		if r.err, err = p.reason(r); err != nil {
			r.err = unavailable(err)
			return
		}
		if r.err != nil {
			return
		}
	}
	r.err = unavailable(errors.New("the token changes faster than it can be read"))
}

// count runs the one atomic step.
func (p *spender) count(r *spendRequest) (bool, error) {
	args := spendArgs(r)
	var row [8]driver.Value
	found, err := queryOne(p.spend, args[:], row[:])
	if err != nil || !found {
		return false, err
	}
	r.token.Active = true
	r.token.LastUsedAt = r.now
	p.fill(r, row[:])
	r.project.Active = true
	r.project.Epoch = r.token.Epoch
	return true, nil
}

// reason reads why a spend was refused; nil if nothing refuses it any more.
func (p *spender) reason(r *spendRequest) (refusal, err error) {
	var row [17]driver.Value
	found, err := queryOne(p.explain, []driver.NamedValue{{Ordinal: 1, Value: r.id.UUID[:]}}, row[:])
	if err != nil {
		return nil, err
	}
	if !found {
		return llmproxy.ErrNotFound, nil
	}
	gate := llmproxy.Gate{PreviousUntil: fromMillis(row[10].(int64)), WindowHour: row[12].(int64), WindowCount: row[13].(int64)}
	copy(gate.Hash[:], row[8].([]byte))
	copy(gate.PreviousHash[:], row[9].([]byte))
	p.fill(r, row[:8])
	r.token.Active = row[11].(int64) == 1
	gate.Token = r.token
	r.project.Active, r.project.DeletedAt, r.project.Epoch = row[14].(int64) == 1, fromMillis(row[15].(int64)), row[16].(int64)
	if err := gate.Refusal(r.hash, r.now); err != nil {
		if errors.Is(err, llmproxy.ErrNotFound) { // whoever does not know the secret learns nothing of the token
			r.token, r.project = llmproxy.Token{}, llmproxy.Project{}
		}
		return err, nil
	}
	return r.project.Refusal(r.token.Epoch), nil
}

// fill puts the columns that both statements return into token and project.
func (p *spender) fill(r *spendRequest, row []driver.Value) {
	t := &r.token
	t.ID = r.id
	copy(t.ProjectID.UUID[:], row[0].([]byte))
	t.ExpiresAt = fromMillis(row[1].(int64))
	t.MaxRequests, t.RequestsPerHour, t.RequestCount = row[2].(int64), row[3].(int64), row[4].(int64)
	t.RequestHeadersDrop = listOf(row[5].(string))
	t.Epoch = row[6].(int64)
	r.project = p.gates.parse(row[7].(string))
	r.project.ID = t.ProjectID
}

// queryOne reads the first row into dest and steps to the end: only then has the statement had its effect.
func queryOne(stmt driver.StmtQueryContext, args []driver.NamedValue, dest []driver.Value) (found bool, err error) {
	rows, err := stmt.QueryContext(context.Background(), args)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	switch err := rows.Next(dest); {
	case errors.Is(err, io.EOF):
		return false, nil
	case err != nil:
		return false, err
	}
	if err := rows.Next(make([]driver.Value, len(dest))); !errors.Is(err, io.EOF) {
		return false, err
	}
	return true, nil
}

// gateCache remembers how gate values read, so that equal ones are parsed once. It is no cache of projects: the value comes from the
// database each time. It belongs to whoever holds the turn.
type gateCache struct{ parsed map[string]llmproxy.Project }

// maxGates is how many values are remembered.
const maxGates = 1024

func (c *gateCache) parse(gate string) llmproxy.Project {
	if p, ok := c.parsed[gate]; ok {
		return p
	}
	fields := strings.SplitN(gate, "\x1f", 5)
	if len(fields) < 5 {
		return llmproxy.Project{}
	}
	p := llmproxy.Project{Provider: fields[0], SealedKey: fields[1], KeyRef: fields[2], Capture: llmproxy.Capture(fields[3]), Endpoints: groupsOf(fields[4])}
	if c.parsed == nil || len(c.parsed) >= maxGates {
		c.parsed = map[string]llmproxy.Project{}
	}
	c.parsed[gate] = p
	return p
}
