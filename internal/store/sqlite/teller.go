package sqlite

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// accountSQL reads what spends of a token are decided on: the token and its project.
const accountSQL = `SELECT t.project_id, t.hash, t.previous_hash, t.previous_until, t.expires_at, t.active, t.max_requests, t.requests_per_hour, t.request_count,
  t.last_used_at, t.window_hour, t.window_count, t.request_headers_drop, t.epoch, p.gate, coalesce(p.active, 0), coalesce(p.deleted_at, 1), coalesce(p.epoch, 0)
FROM tokens t LEFT JOIN projects p ON p.id = t.project_id WHERE t.id = ?`

// Columns of accountSQL.
const (
	accountProjectID = iota
	accountHash
	accountPreviousHash
	accountPreviousUntil
	accountExpiresAt
	accountActive
	accountMaxRequests
	accountRequestsPerHour
	accountRequestCount
	accountLastUsedAt
	accountWindowHour
	accountWindowCount
	accountHeadersDrop
	accountEpoch
	accountGate
	accountProjectActive
	accountProjectDeletedAt
	accountProjectEpoch
)

// countSQL notes a spend.
const countSQL = `UPDATE tokens SET request_count = ?, last_used_at = ?, window_hour = ?, window_count = ? WHERE id = ?`

// Parameters of countSQL.
const (
	countRequests = iota + 1
	countLastUsedAt
	countWindowHour
	countWindow
	countID
)

// teller decides on spends and counts them, over one connection and as the only one who uses it.
//
// Between two spends it keeps the database's state of the last one open (a read transaction). SQLite lets it write on only while that
// state is the newest, and refuses once anybody else has written. So a write that it is let make finds the accounts as it knows them, and
// none has to be read again; when it is refused, it lets go, and reads. Exactness never rests on what is remembered: it is SQLite's to say.
type teller struct {
	conn     *sqlite.Conn
	begin    *sqlite.Stmt
	read     *sqlite.Stmt
	count    *sqlite.Stmt
	hold     *sqlite.Stmt // while it stands at a row, the state is kept
	commit   *sqlite.Stmt
	rollback *sqlite.Stmt

	holding  bool
	accounts map[llmproxy.TokenID]*account // as the held state has them; none if nothing is held
	gates    gateCache
}

// account is what spends of a token are decided on.
type account struct {
	llmproxy.Gate
	project llmproxy.Project
}

// maxAccounts is how many are remembered.
const maxAccounts = 1024

// refusal says why a spend is refused, or nil.
func (a *account) refusal(hash llmproxy.TokenHash, now time.Time) error {
	if err := a.Refusal(hash, now); err != nil {
		return err
	}
	return a.project.Refusal(a.Epoch)
}

func (a *account) admits(r *spendRequest) bool {
	err := a.refusal(r.hash, r.now)
	return err == nil
}

// openTeller opens the connection. It goes past database/sql, which would allocate some forty times for each spend.
func openTeller(path string, fullSync bool) (*teller, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(spendBusy)
	t := &teller{conn: conn, accounts: map[llmproxy.TokenID]*account{}}
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
	}{
		{&t.begin, "BEGIN IMMEDIATE"},
		{&t.read, accountSQL},
		{&t.count, countSQL},
		{&t.hold, "SELECT 1 FROM sqlite_schema"},
		{&t.commit, "COMMIT"},
		{&t.rollback, "ROLLBACK"},
	} {
		if *s.stmt, err = conn.Prepare(s.query); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return t, nil
}

// close ends the connection and its statements.
func (t *teller) close() error { return t.conn.Close() }

// spend takes the requests through in one transaction, each with its own outcome. After an error nothing of it holds.
func (t *teller) spend(batch []*spendRequest) error {
	if t.holding {
		if err := t.transact(batch); sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy {
			return err
		} // somebody else has written since, or is about to
	}
	return t.transact(batch)
}

// transact runs a transaction on the state that is held, or on the newest if none is.
func (t *teller) transact(batch []*spendRequest) (err error) {
	done := false
	defer func() {
		if done {
			return
		}
		err = errors.Join(err, t.letGo()) // also after a panic
		if !t.conn.AutocommitEnabled() {  // after an error that has not ended the transaction by itself
			err = errors.Join(err, step(t.rollback))
		}
	}()
	if t.holding && len(batch) == 1 {
		if a := t.accounts[batch[0].id]; a != nil && a.admits(batch[0]) { // the one statement is the transaction
			err = t.admit(batch[0], a)
			done = err == nil
			return err
		}
	}
	if err := step(t.begin); err != nil {
		return err
	}
	if err := t.holdState(); err != nil {
		return err
	}
	for i, r := range batch {
		if i > 0 && time.Now().After(r.due) {
			r.err = unavailable(errBusy)
			continue
		}
		if err := t.one(r); err != nil {
			return err
		}
	}
	err = step(t.commit)
	done = err == nil
	return err
}

// step runs a statement that returns nothing.
func step(s *sqlite.Stmt) error {
	_, err := s.Step()
	return errors.Join(err, s.Reset())
}

// holdState keeps the state that the transaction began with and what it makes of it.
func (t *teller) holdState() error {
	if t.holding {
		return nil
	}
	if _, err := t.hold.Step(); err != nil {
		return errors.Join(err, t.hold.Reset())
	}
	t.holding = true
	return nil
}

// letGo forgets the state that is held: the next spend looks at the newest one.
func (t *teller) letGo() error {
	clear(t.accounts)
	if !t.holding {
		return nil
	}
	t.holding = false
	return t.hold.Reset()
}

// one takes one request through: counted, or refused with the reason.
func (t *teller) one(r *spendRequest) error {
	a, err := t.account(r.id)
	switch {
	case err != nil:
		return err
	case a == nil:
		r.err = llmproxy.ErrNotFound
		return nil
	}
	switch err := a.refusal(r.hash, r.now); {
	case err == nil:
		return t.admit(r, a)
	case errors.Is(err, llmproxy.ErrNotFound): // whoever does not know the secret learns nothing of the token
		r.err = err
	default:
		r.token, r.project, r.err = a.Token, a.project, err
	}
	return nil
}

// admit counts the request.
func (t *teller) admit(r *spendRequest, a *account) error {
	after := *a
	after.Count(r.now)
	u := t.count
	u.BindInt64(countRequests, after.RequestCount)
	u.BindInt64(countLastUsedAt, toMillis(after.LastUsedAt))
	u.BindInt64(countWindowHour, after.WindowHour)
	u.BindInt64(countWindow, after.WindowCount)
	u.BindBytes(countID, r.id.UUID[:])
	if err := step(u); err != nil {
		return err
	}
	if n := t.conn.Changes(); n != 1 {
		return fmt.Errorf("a spend was counted in %d rows", n)
	}
	*a = after
	r.token, r.project, r.err = a.Token, a.project, nil
	return nil
}

// account returns what is known of the token, or reads it; nil if there is no such token. It runs inside of a transaction.
func (t *teller) account(id llmproxy.TokenID) (*account, error) {
	if a := t.accounts[id]; a != nil {
		return a, nil
	}
	t.read.BindBytes(1, id.UUID[:])
	found, err := t.read.Step()
	if err != nil || !found {
		return nil, errors.Join(err, t.read.Reset())
	}
	a := t.fill(id)
	if err := t.read.Reset(); err != nil {
		return nil, err
	}
	if len(t.accounts) >= maxAccounts {
		clear(t.accounts)
	}
	t.accounts[id] = a
	return a, nil
}

// fill makes an account of the row that was read.
func (t *teller) fill(id llmproxy.TokenID) *account {
	row := t.read
	a := &account{Gate: llmproxy.Gate{Token: llmproxy.Token{
		ID: id, ExpiresAt: fromMillis(row.ColumnInt64(accountExpiresAt)), Active: row.ColumnInt64(accountActive) == 1,
		MaxRequests: row.ColumnInt64(accountMaxRequests), RequestsPerHour: row.ColumnInt64(accountRequestsPerHour),
		RequestCount: row.ColumnInt64(accountRequestCount), LastUsedAt: fromMillis(row.ColumnInt64(accountLastUsedAt)),
		WindowHour: row.ColumnInt64(accountWindowHour), WindowCount: row.ColumnInt64(accountWindowCount),
		RequestHeadersDrop: listOf(row.ColumnText(accountHeadersDrop)), Epoch: row.ColumnInt64(accountEpoch),
	}}}
	row.ColumnBytes(accountProjectID, a.ProjectID.UUID[:])
	row.ColumnBytes(accountHash, a.Hash[:])
	row.ColumnBytes(accountPreviousHash, a.PreviousHash[:])
	a.PreviousUntil = fromMillis(row.ColumnInt64(accountPreviousUntil))
	a.project = t.gates.parse(row.ColumnText(accountGate))
	a.project.ID = a.ProjectID
	a.project.Active = row.ColumnInt64(accountProjectActive) == 1
	a.project.DeletedAt = fromMillis(row.ColumnInt64(accountProjectDeletedAt))
	a.project.Epoch = row.ColumnInt64(accountProjectEpoch)
	return a
}

// gateCache remembers how gate values read, so that equal ones are parsed once. It is no cache of projects: the value comes from the
// database each time.
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
