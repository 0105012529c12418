package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"go.uber.org/zap"
)

const (
	pollEvery     = 50 * time.Millisecond  // how soon the events of another process are seen
	pollToldEvery = time.Second            // ... by a follower that is told of its own process's; each look wakes a processor and reads the folder
	gatherFor     = 250 * time.Millisecond // what this process publishes within this time is read together: a read, a delivery and a commit cost more than an event
	readBytes     = 1 << 20                // of records; a Read that has more returns, whatever its maximum. Their bodies are in memory at once
)

var followerName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// Follower reads the events of a folder's spools, in the order of each process, from a durable cursor which it alone holds. It is used
// by one goroutine, but for Backlog and Stats.
type Follower struct {
	dir, name string
	lock      *os.File
	log       *zap.Logger
	spool     *Spool        // of this process, if it tells of its events
	poll      time.Duration // pollEvery or pollToldEvery
	gather    time.Duration // gatherFor
	preview   func(*llmproxy.Event)

	passed  map[string]int64    // bytes of each segment that Read has passed
	ended   map[string]bool     // segments with nothing more to come
	opened  map[string]*reading // segments being read
	turn    int                 // which writer comes first, so that a busy one starves nobody
	pending error               // what ended the last Read behind the events it returned
	emptied time.Time           // when the last Read had taken all there was; zero if it left some

	mu        sync.Mutex
	committed cursor
	stats     FollowerStats
}

// FollowerStats counts what a follower met since it was opened.
type FollowerStats struct {
	Read    int64 // events returned
	Damaged int64 // places where bytes were not a record, and reading went on behind
	Skipped int64 // bytes passed there
	Torn    int64 // last records that a dying process did not finish
}

// reading is a segment that is being read.
type reading struct {
	scanner
	doubted int64     // where damage was seen in a segment that may still be written; -1 if nowhere
	since   time.Time // when it was seen there first
	lost    bool      // the start of the next record is being looked for
}

// Follow opens the follower of that name (lower-case letters, digits, - and _) in a folder; the folder need not be there yet. One
// without a cursor starts with the oldest record that is kept. It returns ErrLocked while another follower has that name.
func Follow(dir, name string, log *zap.Logger) (*Follower, error) {
	if !followerName.MatchString(name) {
		return nil, fmt.Errorf("follow spool: %q is not a name of lower-case letters, digits, - and _", name)
	}
	if log == nil {
		log = zap.NewNop()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("follow spool: %w", err)
	}
	lock, err := lockSoon(filepath.Join(dir, name+lockExt))
	if err != nil {
		return nil, fmt.Errorf("follow spool in %s as %s: %w", dir, name, err)
	}
	f := &Follower{dir: dir, name: name, lock: lock, log: log, poll: pollEvery, gather: gatherFor, ended: map[string]bool{}, opened: map[string]*reading{}}
	c, found, err := readCursor(dir, name)
	if err == nil && !found {
		c, err = register(dir, name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("follow spool in %s as %s: %w", dir, name, err), lock.Close())
	}
	f.committed = c
	f.passed = maps.Clone(c.Segments)
	if f.passed == nil {
		f.passed = map[string]int64{}
	}
	return f, nil
}

// Preview has each event shown to see before Read returns it, while its bodies lie in memory that is used again: it may read them and
// take them out of the event, which saves copying them. It comes before the first Read.
func (f *Follower) Preview(see func(*llmproxy.Event)) { f.preview = see }

// Read returns the events after those it returned before, at most max, those of one process in order. It waits until there is at
// least one or ctx ends, and then returns ctx's error. The events are the caller's.
func (f *Follower) Read(ctx context.Context, max int) ([]*llmproxy.Event, error) {
	if err := f.breathe(ctx); err != nil {
		return nil, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var published <-chan struct{} // never, if nobody tells
		if f.spool != nil {
			published = f.spool.wakeup() // before looking, or an event could slip in between
		}
		events, err := f.collect(max)
		if err != nil {
			return nil, fmt.Errorf("read spool: %w", err)
		}
		if len(events) > 0 {
			return events, nil
		}
		if err := f.wait(ctx, published); err != nil {
			return nil, err
		}
	}
}

// wait returns when there may be something to read, or with ctx's error.
func (f *Follower) wait(ctx context.Context, published <-chan struct{}) error {
	poll := time.NewTimer(f.poll)
	defer poll.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-poll.C:
		return nil
	case <-published:
	}
	poll.Reset(f.gather)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-poll.C:
		return nil
	}
}

// breathe lets events of this process gather where the last Read has left none. On a busy server there always are some, and they would
// be delivered and committed a few at a time, as fast as the disk takes it.
func (f *Follower) breathe(ctx context.Context) error {
	if f.spool == nil || f.emptied.IsZero() {
		return nil
	}
	left := f.gather - time.Since(f.emptied)
	if left <= 0 {
		return nil
	}
	pause := time.NewTimer(left)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-pause.C:
		return nil
	}
}

// batch is what one Read gathers.
type batch struct {
	events []*llmproxy.Event
	max    int
	bytes  int64
}

func (b *batch) full() bool { return len(b.events) >= b.max || b.bytes >= readBytes }

// collect reads what is there, taking from one writer after the other. An error comes after the events before it.
func (f *Follower) collect(max int) ([]*llmproxy.Event, error) {
	if err := f.pending; err != nil {
		f.pending = nil
		return nil, err
	}
	list, err := listSegments(f.dir)
	if err != nil {
		return nil, err
	}
	if err := f.forget(list); err != nil {
		return nil, err
	}
	var order []writer
	segments := map[writer][]segment{}
	for _, g := range list {
		if f.ended[g.name] {
			continue
		}
		if segments[g.writer] == nil {
			order = append(order, g.writer)
		}
		segments[g.writer] = append(segments[g.writer], g)
	}
	b := batch{max: max}
	for i := range order {
		for _, g := range segments[order[(f.turn+i)%len(order)]] {
			ended, err := f.drain(g, &b)
			if err != nil {
				f.pending = fmt.Errorf("segment %s: %w", g.name, err)
				break
			}
			if !ended { // the writer's next segment comes after this one
				break
			}
		}
		if b.full() || f.pending != nil {
			break
		}
	}
	f.turn++
	f.emptied = time.Time{}
	if !b.full() && f.pending == nil {
		f.emptied = time.Now()
	}
	if len(b.events) == 0 {
		err, f.pending = f.pending, nil
		return nil, err
	}
	f.mu.Lock()
	f.stats.Read += int64(len(b.events))
	f.mu.Unlock()
	return b.events, nil
}

// forget drops what is known of segments that are gone.
func (f *Follower) forget(list []segment) error {
	there := make(map[string]bool, len(list))
	for _, g := range list {
		there[g.name] = true
	}
	for name := range f.passed {
		if there[name] {
			continue
		}
		exists, err := segmentExists(f.dir, name) // a listing can miss one that is sealed at the same time
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		if err := f.end(name); err != nil {
			return err
		}
		delete(f.passed, name)
		delete(f.ended, name)
	}
	return nil
}

// end closes a segment from which nothing more will come.
func (f *Follower) end(name string) error {
	f.ended[name] = true
	r := f.opened[name]
	delete(f.opened, name)
	if r == nil {
		return nil
	}
	return r.file.Close()
}

// drain reads the segment until the batch is full or nothing more is there now, and reports whether it has ended.
func (f *Follower) drain(g segment, b *batch) (ended bool, err error) {
	r := f.opened[g.name]
	if r == nil {
		file, err := openSegment(f.dir, g)
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil // removed to make room
		}
		if err != nil {
			return false, err
		}
		r = &reading{scanner: scanner{file: file, seed: g.writer.seed(), off: f.passed[g.name]}, doubted: -1}
		f.opened[g.name] = r
	}
	defer func() { f.passed[g.name] = r.off }()
	for !b.full() {
		if r.lost {
			from := r.off
			found, err := r.resync()
			f.skipped(r.off - from)
			if r.lost = !found; err != nil || !found {
				return f.endIf(g, r, err)
			}
		}
		start := r.off
		rec, err := r.next()
		switch {
		case err == nil && rec.kind.isEvent():
			e, err := rec.event(f.preview)
			if err != nil { // its checksum fits, so it was written like this
				f.damage(g, start, err)
				f.skipped(r.off - start)
				continue
			}
			b.events = append(b.events, e)
			b.bytes += rec.length()
		case err == nil: // a begin
		case errors.Is(err, io.EOF):
			return f.endIf(g, r, nil)
		case errors.Is(err, errTorn):
			if !g.sealed {
				return false, nil // it is being written, or its process died and nobody has sealed it yet
			}
			f.mu.Lock()
			f.stats.Torn++
			f.mu.Unlock()
			return f.endIf(g, r, nil)
		case errors.Is(err, errDamaged):
			if r.doubted != start {
				r.doubted, r.since = start, time.Now()
			}
			if !g.sealed && time.Since(r.since) < pollEvery {
				return false, nil // it may be a record that is being taken back: look at it again, later
			}
			f.damage(g, start, err)
			f.skipped(1)
			r.off++
			r.lost = true
		default:
			return false, err
		}
	}
	return false, nil
}

// endIf ends the segment if it is sealed; it was when the folder was listed, so nothing came after what was read.
func (f *Follower) endIf(g segment, r *reading, err error) (ended bool, _ error) {
	if err != nil || !g.sealed {
		return false, err
	}
	info, err := r.file.Stat()
	if err != nil {
		return false, err
	}
	r.off = info.Size()
	return true, f.end(g.name)
}

// damage counts and tells of a place that is passed over.
func (f *Follower) damage(g segment, at int64, err error) {
	f.mu.Lock()
	f.stats.Damaged++
	f.mu.Unlock()
	f.log.Warn("a damaged place in the spool is passed over", zap.String("segment", g.name), zap.Int64("at", at), zap.Error(err))
}

func (f *Follower) skipped(bytes int64) {
	f.mu.Lock()
	f.stats.Skipped += bytes
	f.mu.Unlock()
}

// Commit moves the durable cursor behind all events that Read has returned and stores note with it, in one step. What was not
// committed is read again by the next follower of that name.
func (f *Follower) Commit(note []byte) error { return f.store(maps.Clone(f.passed), note) }

// Keep stores note and leaves the cursor where it is: what Read has returned since the last Commit is read again by the next follower of
// that name.
func (f *Follower) Keep(note []byte) error { return f.store(f.committed.Segments, note) }

func (f *Follower) store(segments map[string]int64, note []byte) error {
	c := cursor{Generation: f.committed.Generation + 1, Segments: segments, Note: note}
	if err := c.write(f.dir, f.name); err != nil {
		return fmt.Errorf("commit cursor %s: %w", f.name, err)
	}
	c.Note = append([]byte(nil), note...)
	f.mu.Lock()
	f.committed = c
	f.mu.Unlock()
	return nil
}

// Note returns what the last Commit or Keep stored, by this process or one before; nil if there was none.
func (f *Follower) Note() []byte { return f.committed.Note }

// Stats returns the counts.
func (f *Follower) Stats() FollowerStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Backlog returns how many bytes of records lie behind the committed cursor, begins included, and when the request of the oldest
// event among them arrived; zero if none of them is an event.
func (f *Follower) Backlog() (bytes int64, oldest time.Time, err error) {
	f.mu.Lock()
	passed := f.committed.Segments // a commit replaces the map, and changes none
	f.mu.Unlock()
	list, err := listSegments(f.dir)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("measure backlog: %w", err)
	}
	for _, g := range list {
		size, at, err := backlogOf(f.dir, g, passed[g.name])
		if err != nil {
			return 0, time.Time{}, fmt.Errorf("measure backlog: segment %s: %w", g.name, err)
		}
		bytes += size
		if !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	return bytes, oldest, nil
}

// backlogOf returns what the segment holds behind passed, and when the request of its first event there arrived.
func backlogOf(dir string, g segment, passed int64) (bytes int64, first time.Time, err error) {
	file, err := openSegment(dir, g)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, time.Time{}, nil
	}
	if err != nil {
		return 0, time.Time{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil || info.Size() <= passed {
		return 0, time.Time{}, err
	}
	bytes = info.Size() - passed
	s := scanner{file: file, seed: g.writer.seed(), off: passed}
	for {
		r, err := s.next()
		switch {
		case err == nil && r.kind.isEvent():
			return bytes, r.id.Time(), nil
		case err == nil:
		case errors.Is(err, errDamaged):
			s.off++
			if found, err := s.resync(); err != nil || !found {
				return bytes, time.Time{}, err
			}
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return bytes, time.Time{}, nil
		default:
			return bytes, time.Time{}, err
		}
	}
}

// Close gives the name free. What was not committed is read again by the next follower of that name.
func (f *Follower) Close() error {
	var errs []error
	for name := range maps.Clone(f.opened) {
		errs = append(errs, f.end(name))
	}
	if err := errors.Join(append(errs, f.lock.Close())...); err != nil {
		return fmt.Errorf("close follower %s: %w", f.name, err)
	}
	return nil
}
