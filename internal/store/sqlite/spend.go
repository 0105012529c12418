package sqlite

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// spendBudget is how long a spend may take in all.
const spendBudget = 800 * time.Millisecond

// spendSQL checks and counts in one step. What it returns in other databases by RETURNING is read by gateSQL in the same transaction:
// SQLite builds a table in memory for each RETURNING, which costs more than the second statement. A spend that is late counts in the
// window that has begun since: there is one window, and to go back would empty it.
const spendSQL = `UPDATE tokens SET
  request_count = request_count + 1, last_used_at = :now,
  window_count = CASE WHEN window_hour IN (:hour, :hour + 1) THEN window_count + 1 ELSE 1 END,
  window_hour = CASE WHEN window_hour = :hour + 1 THEN window_hour ELSE :hour END
WHERE id = :id AND (hash = :hash OR (previous_hash = :hash AND previous_until > :now)) AND active = 1 AND expires_at > :now
  AND (max_requests = 0 OR request_count < max_requests)
  AND (requests_per_hour = 0 OR window_hour NOT IN (:hour, :hour + 1) OR window_count < requests_per_hour)
  AND EXISTS (SELECT 1 FROM projects p WHERE p.id = tokens.project_id AND p.active = 1 AND p.deleted_at = 0 AND p.epoch <= tokens.epoch)`

// Parameters of spendSQL, in the order of their first appearance.
const (
	spendNow = iota + 1
	spendHour
	spendID
	spendHash
)

// gateSQL reads the token and its project, as the spend has left them: what a request needs where it was counted, and the reason where
// it was not.
const gateSQL = `SELECT t.project_id, t.expires_at, t.max_requests, t.requests_per_hour, t.request_count, t.last_used_at, t.request_headers_drop, t.epoch, p.gate,
  t.hash, t.previous_hash, t.previous_until, t.active, t.window_hour, t.window_count,
  coalesce(p.active, 0), coalesce(p.deleted_at, 1), coalesce(p.epoch, 0)
FROM tokens t LEFT JOIN projects p ON p.id = t.project_id WHERE t.id = ?`

// Columns of gateSQL.
const (
	gateProjectID = iota
	gateExpiresAt
	gateMaxRequests
	gateRequestsPerHour
	gateRequestCount
	gateLastUsedAt
	gateHeadersDrop
	gateEpoch
	gateProject
	gateHash
	gatePreviousHash
	gatePreviousUntil
	gateActive
	gateWindowHour
	gateWindowCount
	gateProjectActive
	gateProjectDeletedAt
	gateProjectEpoch
)

// spendTogether is how many spends share a transaction at most. A few are enough to share what a transaction costs; with more, the first
// would wait for the last of a crowd before any of them goes on to its upstream.
const spendTogether = 6

// spender spends over one connection. Whoever comes while nobody spends does it on its own goroutine. Others queue; whoever ends then
// wakes the first of them, which takes those that wait into one transaction.
type spender struct {
	store    *Store
	conn     *sqlite.Conn
	begin    *sqlite.Stmt
	spend    *sqlite.Stmt
	gate     *sqlite.Stmt
	commit   *sqlite.Stmt
	rollback *sqlite.Stmt
	gates    gateCache

	mu      sync.Mutex
	busy    bool
	waiting []*spendRequest
	spare   []*spendRequest // memory for a batch
	crowded bool            // the last transaction was for several
}

// spendRequest is one spend and its outcome.
type spendRequest struct {
	id   llmproxy.TokenID
	hash llmproxy.TokenHash
	now  time.Time
	due  time.Time          // after this moment it is not begun any more
	wake chan spendingState // of one place; leads: take those that wait; done: the outcome is there

	token   llmproxy.Token
	project llmproxy.Project
	err     error
}

type spendingState int

const (
	spendDone spendingState = iota
	spendLead
)

// openSpender opens the connection. It goes past database/sql, which would allocate some forty times for each spend.
func openSpender(store *Store, path string, fullSync bool) (*spender, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(spendBusy)
	p := &spender{store: store, conn: conn}
	synchronous := "PRAGMA synchronous = NORMAL"
	if fullSync {
		synchronous = "PRAGMA synchronous = FULL"
	}
	for _, pragma := range []string{synchronous, "PRAGMA wal_autocheckpoint = 0"} {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	for _, s := range []struct {
		stmt  **sqlite.Stmt
		query string
	}{{&p.begin, "BEGIN IMMEDIATE"}, {&p.spend, spendSQL}, {&p.gate, gateSQL}, {&p.commit, "COMMIT"}, {&p.rollback, "ROLLBACK"}} {
		if *s.stmt, err = conn.Prepare(s.query); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return p, nil
}

// close ends the connection and its statements.
func (p *spender) close() error { return p.conn.Close() }

var spendRequests = sync.Pool{New: func() any { return &spendRequest{wake: make(chan spendingState, 1)} }}

// Spend counts one request against the token and returns it with its project, as both now are.
func (s *Store) Spend(_ context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (llmproxy.Token, llmproxy.Project, error) {
	r := spendRequests.Get().(*spendRequest)
	*r = spendRequest{id: id, hash: hash, now: now, due: time.Now().Add(spendBudget), wake: r.wake}
	s.spends.do(r)
	token, project, err := r.token, r.project, r.err
	spendRequests.Put(r) // nobody has it any more; after a panic somebody may, and it is left
	return token, project, err
}

// do takes the request through, alone or with others.
func (p *spender) do(r *spendRequest) {
	p.mu.Lock()
	p.waiting = append(p.waiting, r)
	lead, crowded := !p.busy, p.crowded
	p.busy = true
	p.mu.Unlock()
	switch {
	case !lead:
		if <-r.wake == spendDone {
			return
		}
	case crowded:
		runtime.Gosched() // whoever is about to spend comes along: a transaction for many costs little more than one for one
	}
	batch := p.take()
	defer p.done(r, batch) // whatever happens: a lead that is never given on would hold up every spend to come
	p.run(batch)
}

// done gives the lead on and wakes those whose outcome is there.
func (p *spender) done(r *spendRequest, batch []*spendRequest) {
	p.next()
	for _, other := range batch {
		if other != r {
			other.wake <- spendDone
		}
	}
	p.giveBack(batch)
}

// take takes those that wait, the first ones if they are many.
func (p *spender) take() []*spendRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(p.waiting), spendTogether)
	batch := append(p.spare, p.waiting[:n]...)
	p.waiting, p.spare = slices.Delete(p.waiting, 0, n), nil
	p.crowded = len(batch) > 1
	for _, r := range batch {
		r.err = errUndecided
	}
	return batch
}

// giveBack keeps the memory of a batch for the next one.
func (p *spender) giveBack(batch []*spendRequest) {
	clear(batch)
	p.mu.Lock()
	p.spare = batch[:0]
	p.mu.Unlock()
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
	if err := p.store.takeTurn(batch[0].due); err != nil {
		for _, r := range batch {
			r.err = unavailable(err)
		}
		return
	}
	defer func() { <-p.store.turn }()
	if left := time.Until(batch[0].due); left < spendBusy { // it waited for others, and waits for another process the shorter
		p.conn.SetBusyTimeout(left)
		defer p.conn.SetBusyTimeout(spendBusy)
	}
	if err := p.transact(batch); err != nil {
		for _, r := range batch {
			r.token, r.project, r.err = llmproxy.Token{}, llmproxy.Project{}, unavailable(err)
		}
	}
}

// transact runs the transaction. After an error nothing of it holds.
func (p *spender) transact(batch []*spendRequest) (err error) {
	defer func() {
		if !p.conn.AutocommitEnabled() { // after an error that has not ended the transaction by itself, or a panic
			err = errors.Join(err, step(p.rollback))
		}
	}()
	if err := step(p.begin); err != nil {
		return err
	}
	for i, r := range batch {
		if i > 0 && time.Now().After(r.due) {
			r.err = unavailable(errBusy)
			continue
		}
		if err := p.one(r); err != nil {
			return err
		}
	}
	return step(p.commit)
}

// step runs a statement that returns nothing.
func step(s *sqlite.Stmt) error {
	_, err := s.Step()
	return errors.Join(err, s.Reset())
}

var (
	errBusy      = errors.New("other writes took too long")
	errUndecided = unavailable(errors.New("the spend was broken off")) // until a spend is decided, so that a panic admits nobody
)

// takeTurn waits until no other connection of ours writes, or until due.
func (s *Store) takeTurn(due time.Time) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-s.closed:
		return errClosed
	case <-timer.C:
		return errBusy
	}
}

// one takes one request through: counted, or refused with the reason.
func (p *spender) one(r *spendRequest) error {
	u := p.spend
	u.BindInt64(spendNow, r.now.UnixMilli())
	u.BindInt64(spendHour, llmproxy.HourOf(r.now))
	u.BindBytes(spendID, r.id.UUID[:])
	u.BindBytes(spendHash, r.hash[:])
	if err := step(u); err != nil {
		return err
	}
	counted := p.conn.Changes() == 1
	p.gate.BindBytes(1, r.id.UUID[:])
	found, err := p.gate.Step()
	switch {
	case err != nil:
	case !found:
		r.err = llmproxy.ErrNotFound
	default:
		r.err = nil
		p.fill(r, p.gate)
		if !counted {
			r.err = reason(r, p.gate)
		}
	}
	return errors.Join(err, p.gate.Reset())
}

// fill puts what a request needs into token and project.
func (p *spender) fill(r *spendRequest, row *sqlite.Stmt) {
	t := &r.token
	t.ID = r.id
	row.ColumnBytes(gateProjectID, t.ProjectID.UUID[:])
	t.ExpiresAt = fromMillis(row.ColumnInt64(gateExpiresAt))
	t.MaxRequests, t.RequestsPerHour = row.ColumnInt64(gateMaxRequests), row.ColumnInt64(gateRequestsPerHour)
	t.WindowHour, t.WindowCount = row.ColumnInt64(gateWindowHour), row.ColumnInt64(gateWindowCount)
	t.RequestCount, t.LastUsedAt = row.ColumnInt64(gateRequestCount), fromMillis(row.ColumnInt64(gateLastUsedAt))
	t.RequestHeadersDrop = listOf(row.ColumnText(gateHeadersDrop))
	t.Epoch = row.ColumnInt64(gateEpoch)
	t.Active = row.ColumnInt64(gateActive) == 1
	r.project = p.gates.parse(row.ColumnText(gateProject))
	r.project.ID = t.ProjectID
	r.project.Active = row.ColumnInt64(gateProjectActive) == 1
	r.project.DeletedAt = fromMillis(row.ColumnInt64(gateProjectDeletedAt))
	r.project.Epoch = row.ColumnInt64(gateProjectEpoch)
}

// reason says why a spend was refused: [Gate.Refusal] and [Project.Refusal] say in Go what spendSQL says in SQL.
func reason(r *spendRequest, row *sqlite.Stmt) error {
	gate := llmproxy.Gate{Token: r.token, PreviousUntil: fromMillis(row.ColumnInt64(gatePreviousUntil))}
	row.ColumnBytes(gateHash, gate.Hash[:])
	row.ColumnBytes(gatePreviousHash, gate.PreviousHash[:])
	err := gate.Refusal(r.hash, r.now)
	switch {
	case errors.Is(err, llmproxy.ErrNotFound): // whoever does not know the secret learns nothing of the token
		r.token, r.project = llmproxy.Token{}, llmproxy.Project{}
	case err == nil:
		err = r.project.Refusal(r.token.Epoch)
	}
	if err == nil {
		return unavailable(errors.New("a spend was refused for no reason that can be read"))
	}
	return err
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
