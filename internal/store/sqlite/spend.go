package sqlite

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// spendBudget is how long a spend may take in all.
const spendBudget = 800 * time.Millisecond

// spendTogether is how many spends share a transaction at most. A few are enough to share what a transaction costs; with more, the first
// would wait for the last of a crowd before any of them goes on to its upstream.
const spendTogether = 6

// spender brings spends to the teller. Whoever comes while nobody spends does it on its own goroutine. Others queue; whoever ends then
// wakes the first of them, which takes those that wait into one transaction.
type spender struct {
	store  *Store
	teller *teller // of whoever holds the store's turn

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

// openSpender opens the teller's connection.
func openSpender(store *Store, path string, fullSync bool) (*spender, error) {
	t, err := openTeller(path, fullSync)
	if err != nil {
		return nil, err
	}
	return &spender{store: store, teller: t}, nil
}

func (p *spender) close() error { return p.teller.close() }

// letGo has the teller look at the database anew, so that what it has seen last can be moved from the log and be overwritten.
func (p *spender) letGo() error {
	p.store.turn <- struct{}{}
	defer func() { <-p.store.turn }()
	return p.teller.letGo()
}

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
		p.teller.conn.SetBusyTimeout(left)
		defer p.teller.conn.SetBusyTimeout(spendBusy)
	}
	decided := false
	defer func() {
		if !decided { // a panic: what was counted before it is taken back
			for _, r := range batch {
				r.token, r.project, r.err = llmproxy.Token{}, llmproxy.Project{}, errUndecided
			}
		}
	}()
	err := p.teller.spend(batch)
	decided = true
	if err != nil {
		for _, r := range batch {
			r.token, r.project, r.err = llmproxy.Token{}, llmproxy.Project{}, unavailable(err)
		}
	}
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
