package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
	"go.uber.org/zap"
)

// Config says what a loop is made of.
type Config struct {
	Name        string      // of the destination, for logs and dead letters
	Kind        string      // of the destination, for whoever reads the note beside the cursor; empty is unknown
	Source      Source      //
	Destination Destination //
	DeadLetters string      // path of the file for what the destination never takes; it is made when needed

	// Meter fills in what an event says of its model and usage, while its bodies are there; nil is [usage.Read]. An error means that
	// usage may be there and could not be read, and delays nothing.
	Meter func(*llmproxy.Event) error

	BatchSize   int           // events delivered together at most; 0 is what the destination says, else 100
	BatchBytes  int           // bodies delivered together, but for the last read, in bytes; 0 is 32 MiB. It bounds memory
	Linger      time.Duration // how long a batch that is not full waits for more events; 0 is what the destination says, else not at all
	MaxAttempts int           // tries of an event before it goes to the dead letters; 0 has no limit: an outage then costs no event
	Timeout     time.Duration // of one Deliver; 0 is 30 s
	Grace       time.Duration // that a Deliver has left when the loop is to end; 0 is DefaultGrace
	MinBackoff  time.Duration // the first wait after a failure is up to this long; 0 is 200 ms
	MaxBackoff  time.Duration // waits double up to this; 0 is 1 minute
	Log         *zap.Logger   // nil logs nothing

	turn *turn // at the destination; nil is one of the loop's own
}

// readSize is how many events are read at once: their bodies are in memory until they are metered.
const readSize = 100

// largeRead is a size of bodies at which a source may have returned though it had more events, so that they do not fill the memory.
const largeRead = 512 << 10

// maxRetryAfter bounds what a destination may ask for.
const maxRetryAfter = time.Hour

// Loop delivers the events of a source to a destination.
type Loop struct {
	cfg   Config
	dead  *deadLetters
	done  window
	stats recorder

	ahead map[llmproxy.EventID]bool // events that a process before was done with and that were not read again yet; true is one that was lost
	since []finished                // events that are done and not committed

	metersEarly bool // the source shows its events to meter
	redriving   atomic.Bool
}

// New returns a loop that has not begun.
func New(cfg Config) *Loop {
	if b, ok := cfg.Destination.(Batcher); ok {
		size, linger := b.Batch()
		cfg.BatchSize, cfg.Linger = orDefault(cfg.BatchSize, size), orDefault(cfg.Linger, linger)
	}
	cfg.BatchSize = orDefault(cfg.BatchSize, readSize)
	cfg.BatchBytes = orDefault(cfg.BatchBytes, 32<<20)
	if cfg.Meter == nil {
		cfg.Meter = usage.Read
	}
	cfg.Timeout = orDefault(cfg.Timeout, 30*time.Second)
	cfg.Grace = orDefault(cfg.Grace, DefaultGrace)
	cfg.MinBackoff = orDefault(cfg.MinBackoff, 200*time.Millisecond)
	cfg.MaxBackoff = orDefault(cfg.MaxBackoff, time.Minute)
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.turn == nil {
		cfg.turn = newTurn()
	}
	cfg.Log = cfg.Log.With(zap.String("destination", cfg.Name))
	l := &Loop{cfg: cfg, dead: newDeadLetters(cfg.DeadLetters, cfg.Name)}
	if source, ok := cfg.Source.(Previewer); ok {
		source.Preview(l.meter)
		l.metersEarly = true
	}
	return l
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Stats returns what the loop has done so far. It is safe for concurrent use.
func (l *Loop) Stats() Stats { return l.stats.stats() }

// loopNote is what the loop keeps with the source's cursor.
type loopNote struct {
	Destination json.RawMessage `json:"destination,omitempty"`
	DeadLetters fileMark        `json:"dead_letters,omitzero"`
	Loop        Report          `json:"loop,omitzero"`
	Done        []finished      `json:"done,omitempty"` // events behind the cursor that are not to be delivered again
}

// finished is an event that was delivered or is a dead letter.
type finished struct {
	ID   llmproxy.EventID `json:"id"`
	Lost bool             `json:"lost,omitempty"` // all that was known is that its request was lost
}

// Run delivers until ctx ends, and then returns the error of closing, if any; it is called once. A delivery that is under way then has the
// grace, and what is done is noted, so that the next process sends none of it again. What fails is tried again: after a
// time that doubles with each failure in a row and of which a random part is waited, or after what the destination asked for if that
// is longer. The source's cursor moves when every event of a batch is delivered or in the dead letters.
func (l *Loop) Run(ctx context.Context) error {
	var note loopNote
	if kept := l.cfg.Source.Note(); kept != nil {
		if err := json.Unmarshal(kept, &note); err != nil {
			return fmt.Errorf("dispatch to %s: the note beside the cursor: %w", l.cfg.Name, err)
		}
	}
	l.dead.start(note.DeadLetters)
	l.ahead = make(map[llmproxy.EventID]bool, len(note.Done))
	for _, f := range note.Done {
		l.done.add(f.ID, f.Lost)
		l.ahead[f.ID] = f.Lost
	}
	l.stats.update(func(s *Stats) { s.Since = time.Now() })
	if l.try(ctx, "start", func() error { return l.start(ctx, note.Destination) }) {
		l.deliverAll(ctx)
		l.keep()
	}
	if err := errors.Join(l.close(), l.dead.close()); err != nil {
		return fmt.Errorf("dispatch to %s: close: %w", l.cfg.Name, err)
	}
	return nil
}

// lent reports whether the destination is another loop's, which starts and closes it.
func (l *Loop) lent() bool {
	_, lent := l.cfg.Destination.(borrowed)
	return lent
}

func (l *Loop) start(ctx context.Context, note []byte) error {
	if l.lent() {
		return nil
	}
	if !l.cfg.turn.take(ctx) {
		return ctx.Err()
	}
	defer l.cfg.turn.give()
	if err := l.cfg.Destination.Start(ctx, note); err != nil {
		return err
	}
	l.cfg.turn.ready = true
	return nil
}

func (l *Loop) close() error {
	if l.lent() {
		return nil
	}
	l.cfg.turn.wait()
	defer l.cfg.turn.give()
	l.cfg.turn.ready = false
	return l.cfg.Destination.Close()
}

func (l *Loop) deliverAll(ctx context.Context) {
	for {
		batch, ok := l.collect(ctx)
		if !ok || !l.deliverBatch(ctx, batch) || !l.commit(ctx) {
			return
		}
	}
}

// collect reads a batch. The first event is waited for; more are waited for until the batch is full or the time to linger is over. Without
// such a time, what is there is taken.
// What is read and not yet delivered is read again by the next process. It reports false if ctx ended before there was an event.
func (l *Loop) collect(ctx context.Context) ([]*llmproxy.Event, bool) {
	var batch []*llmproxy.Event
	var seen window
	size, bytes, full := 0, 0, false
	read := func(ctx context.Context) error {
		most := min(readSize, l.cfg.BatchSize-size)
		events, err := l.cfg.Source.Read(ctx, most)
		if err != nil {
			return err
		}
		size, full = size+len(events), len(events) == most || allBodies(events) >= largeRead
		fresh := l.prepare(events, &seen)
		for _, e := range fresh {
			bytes += bodyBytes(e)
		}
		batch = append(batch, fresh...)
		l.stats.update(func(s *Stats) {
			s.Pending = len(batch)
			for _, e := range fresh {
				if s.Oldest.IsZero() || e.Time.Before(s.Oldest) {
					s.Oldest = e.Time
				}
			}
		})
		return nil
	}
	if !l.try(ctx, "read events", func() error { return read(ctx) }) {
		return nil, false
	}
	linger := l.cfg.Linger
	if linger == 0 && full {
		linger = lookTime // more are there, probably
	}
	if linger > 0 {
		more, cancel := context.WithTimeout(ctx, linger)
		defer cancel()
		for size < l.cfg.BatchSize && bytes < l.cfg.BatchBytes && (full || l.cfg.Linger > 0) {
			if read(more) != nil {
				break // the time is over, or the next batch says what is wrong
			}
		}
	}
	return batch, ctx.Err() == nil
}

// allBodies is the size of the bodies that a source has read into memory.
func allBodies(events []*llmproxy.Event) (n int) {
	for _, e := range events {
		n += bodyBytes(e)
	}
	return n
}

func bodyBytes(e *llmproxy.Event) int {
	n := 0
	for _, b := range []*llmproxy.Body{e.Request.Body, e.Response.Body} {
		if b != nil {
			n += len(b.Head) + len(b.Tail)
		}
	}
	return n
}

// try does something until it succeeds, and reports whether it did before ctx ended.
func (l *Loop) try(ctx context.Context, what string, do func() error) bool {
	for failures := 1; ; failures++ {
		err := do()
		if err == nil {
			l.recovered()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		l.failed(fmt.Errorf("%s: %w", what, err))
		if !wait(ctx, l.backoff(failures)) {
			return false
		}
	}
}

func (l *Loop) commit(ctx context.Context) bool {
	ok := l.try(ctx, "commit", func() error { // also when ctx has ended: what was delivered is not to come again
		note, err := l.note(nil)
		if err != nil {
			return err
		}
		return l.cfg.Source.Commit(note)
	})
	if ok {
		l.since = l.since[:0]
		l.stats.update(func(s *Stats) { s.Pending, s.Oldest = 0, time.Time{} })
	}
	return ok
}

// keep notes what is done of a batch that is not, when the loop ends.
func (l *Loop) keep() {
	if len(l.since) == 0 {
		return
	}
	note, err := l.note(l.since)
	if err == nil {
		err = l.cfg.Source.Keep(note)
	}
	if err != nil {
		l.failed(fmt.Errorf("commit: %w", err))
		l.cfg.Log.Warn("the next start sends some events again", zap.Int("events", len(l.since)), zap.Error(err))
	}
}

// note is what is kept with the cursor, with the events behind it that are done.
func (l *Loop) note(done []finished) ([]byte, error) {
	l.cfg.turn.wait()
	of := l.cfg.Destination.Note()
	l.cfg.turn.give()
	n := loopNote{Destination: of, DeadLetters: l.dead.mark(), Loop: l.report()}
	for id, lost := range l.ahead {
		n.Done = append(n.Done, finished{id, lost})
	}
	n.Done = append(n.Done, done...) // these count where both name an event: they were told later
	return json.Marshal(n)
}

// finish remembers that an event is done.
func (l *Loop) finish(e *llmproxy.Event) {
	lost := e.Outcome == llmproxy.Lost
	l.done.add(e.ID, lost)
	l.since = append(l.since, finished{e.ID, lost})
}

// A batch that hangs takes in later events, so that an event at which the destination always fails does not stand before them; and when
// the destination has taken others so often and not this one, it is given up.
const (
	hangsAfter   = 3  // rounds in which nothing was taken, or not all
	blamedRounds = 20 // rounds in which others were taken
)

// tries are those of one event.
type tries struct {
	rounds int
	blamed int // of these, rounds in which others were taken
}

// deliverBatch tries until each event is done, and reports whether that was before ctx ended.
func (l *Loop) deliverBatch(ctx context.Context, pending []*llmproxy.Event) bool {
	tried := make(map[*llmproxy.Event]tries, len(pending))
	for round, failures := 1, 0; len(pending) > 0; round++ {
		results := l.deliver(ctx, pending)
		left, after, err := l.settle(pending, results, tried)
		if len(left) == 0 {
			break
		}
		if ctx.Err() != nil {
			return false
		}
		if failures++; len(left) < len(pending) {
			failures = 1 // it takes some
		}
		pending = left
		l.failed(err)
		if !wait(ctx, max(l.backoff(failures), min(after, maxRetryAfter))) {
			return false
		}
		if room := 2*l.cfg.BatchSize - len(pending); round >= hangsAfter && room > 0 {
			pending = append(pending, l.later(ctx, pending, min(room, readSize))...)
		}
	}
	l.recovered()
	return true
}

// later returns events that come after those in hand, if there are any.
func (l *Loop) later(ctx context.Context, inHand []*llmproxy.Event, most int) []*llmproxy.Event {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	events, err := l.cfg.Source.Read(ctx, most)
	if err != nil {
		return nil // there are none, or the next batch says what is wrong
	}
	var seen window
	for _, e := range inHand {
		seen.add(e.ID, e.Outcome == llmproxy.Lost)
	}
	return l.prepare(events, &seen)
}

// lookTime is how long a source has to say whether there are events.
const lookTime = 20 * time.Millisecond

// meter reads an event's usage while its bodies are there, and drops them unless the destination wants them.
func (l *Loop) meter(e *llmproxy.Event) {
	if e.Audit != nil {
		return
	}
	if l.done.has(e) { // it comes again, and goes no further
		e.Request.Body, e.Response.Body = nil, nil
		return
	}
	if err := l.cfg.Meter(e); err != nil {
		l.stats.update(func(s *Stats) { s.Unmetered++ })
		l.cfg.Log.Warn("usage could not be read", zap.Stringer("request_id", e.ID), zap.Error(err))
	}
	if !l.cfg.Destination.WantsBodies() {
		e.Request.Body, e.Response.Body = nil, nil
	}
}

// prepare leaves out what was done before or seen in this batch, and audit events where they are not wanted, and meters the others.
func (l *Loop) prepare(events []*llmproxy.Event, seen *window) []*llmproxy.Event {
	fresh := make([]*llmproxy.Event, 0, len(events))
	audit := 0
	for _, e := range events {
		if e.Audit != nil && !TakesAudit(l.cfg.Destination) {
			audit++
			continue
		}
		if l.done.has(e) || seen.has(e) {
			if lost, noted := l.ahead[e.ID]; noted { // the next commit is behind it
				delete(l.ahead, e.ID)
				l.since = append(l.since, finished{e.ID, lost})
			}
			continue
		}
		seen.add(e.ID, e.Outcome == llmproxy.Lost)
		if !l.metersEarly {
			l.meter(e)
		}
		fresh = append(fresh, e)
	}
	l.stats.update(func(s *Stats) {
		s.Duplicates += uint64(len(events) - len(fresh) - audit)
	})
	return fresh
}

// deliver asks the destination once. If it panics each event is tried alone, and the one at which it panics again is poison.
func (l *Loop) deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	results, panicked := l.deliverOnce(ctx, events, l.cfg.Grace)
	if !panicked || len(events) == 1 {
		return results
	}
	for i := range events {
		alone, _ := l.deliverOnce(ctx, events[i:i+1], l.cfg.Grace)
		results[i] = alone[0]
	}
	return results
}

// deliverOnce waits for the loop's turn at the destination. The time that a delivery has begins after that; of it there is the grace left
// when ctx ends.
func (l *Loop) deliverOnce(ctx context.Context, events []*llmproxy.Event, grace time.Duration) (results []Result, panicked bool) {
	if !l.cfg.turn.take(ctx) {
		return all(len(events), Retry(fmt.Errorf("the destination is busy with other events: %w", ctx.Err()), 0)), false
	}
	defer l.cfg.turn.give()
	if !l.cfg.turn.ready {
		return all(len(events), Retry(errNotReady, 0)), false
	}
	delivering, cancel := Ending(ctx, l.cfg.Timeout, grace)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			results, panicked = all(len(events), Poison(fmt.Errorf("panic: %v", p))), true
		}
	}()
	results = l.cfg.Destination.Deliver(delivering, events)
	if len(results) != len(events) {
		return all(len(events), Retry(fmt.Errorf("the destination returned %d results for %d events", len(results), len(events)), 0)), false
	}
	return results, false
}

// settle counts what became of the events and writes dead letters. It returns those to be tried again, how long the destination
// asked to be left alone, and the first error.
func (l *Loop) settle(events []*llmproxy.Event, results []Result, tried map[*llmproxy.Event]tries) (left []*llmproxy.Event, after time.Duration, err error) {
	var letters []deadLetter
	delivered := 0
	for _, r := range results {
		if r.Err == nil {
			delivered++
		}
	}
	for i, e := range events {
		t := tried[e]
		t.rounds++
		if delivered > 0 {
			t.blamed++
		}
		tried[e] = t
		switch r := results[i]; {
		case r.Err == nil:
			l.finish(e)
		case r.Poison:
			letters = append(letters, deadLetter{e, r.Err.Error(), t.rounds})
		case l.cfg.MaxAttempts > 0 && t.rounds >= l.cfg.MaxAttempts:
			letters = append(letters, deadLetter{e, fmt.Sprintf("given up after %d attempts: %s", t.rounds, r.Err), t.rounds})
		case t.blamed >= blamedRounds:
			letters = append(letters, deadLetter{e, fmt.Sprintf("given up after %d attempts, in %d of which others were taken: %s", t.rounds, t.blamed, r.Err), t.rounds})
		default:
			left = append(left, e)
			after = max(after, r.After)
			if err == nil || errors.Is(err, errLeft) {
				err = r.Err // of one that was tried, if any was
			}
		}
	}
	dead := len(letters)
	if buryErr := l.dead.add(letters); buryErr != nil {
		err, dead = buryErr, 0
		for _, letter := range letters {
			left = append(left, letter.event)
		}
	} else {
		for _, letter := range letters {
			l.finish(letter.event)
			l.cfg.Log.Warn("an event went to the dead letters",
				zap.Stringer("request_id", letter.event.ID), zap.String("reason", letter.reason), zap.Int("attempts", letter.attempts))
		}
	}
	l.stats.update(func(s *Stats) {
		s.Delivered += uint64(delivered)
		s.Dead += uint64(dead)
		s.Retried += uint64(len(left))
		s.Pending = len(left)
		if delivered > 0 {
			s.LastDelivery = time.Now()
		}
	})
	return left, after, err
}

// backoff is the wait after so many failures in a row: exponential, with full jitter.
func (l *Loop) backoff(failures int) time.Duration {
	limit := l.cfg.MaxBackoff
	if shift := failures - 1; shift < 30 && l.cfg.MinBackoff<<shift < limit {
		limit = l.cfg.MinBackoff << shift
	}
	return rand.N(limit) + 1 //nolint:gosec // how long a wait is, is no secret
}

// wait reports whether the time passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failed notes a failure; the first of several in a row is logged.
func (l *Loop) failed(err error) {
	l.stats.update(func(s *Stats) {
		if !s.Failing {
			l.cfg.Log.Warn("events are not delivered; they are kept and tried again", zap.Error(err))
		}
		s.Failing, s.LastError, s.LastErrorAt = true, err.Error(), time.Now()
	})
}

// recovered notes that a try succeeded.
func (l *Loop) recovered() {
	l.stats.update(func(s *Stats) {
		if s.Failing {
			l.cfg.Log.Info("events are delivered again")
		}
		s.Failing = false
	})
}
