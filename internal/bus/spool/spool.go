package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"go.uber.org/zap"
)

// Config says where and how a spool keeps its records. Zero values work but for Dir.
type Config struct {
	Dir          string           // the folder; made if it is missing
	Sync         SyncMode         // when records survive a power cut; zero: every 100 ms
	SegmentBytes int64            // a segment is sealed before it grows beyond this, at most MaxBytes/8; zero: 64 MiB
	SegmentAge   time.Duration    // ... and after this time, if it holds anything; zero: 1 h
	MaxBytes     int64            // of all segments in the folder; beyond it the oldest are removed, read or not; zero: DefaultMaxBytes
	Now          func() time.Time // nil: time.Now
	Log          *zap.Logger      // nil: none
}

// DefaultMaxBytes is 10 GiB.
const DefaultMaxBytes = 10 << 30

// How often the background looks after the folder, and how often that includes processes that died since.
const (
	tickEvery    = time.Second
	recoverEvery = 30 // ticks
)

func (cfg Config) withDefaults() Config {
	if cfg.Sync == 0 {
		cfg.Sync = DefaultSync
	}
	if cfg.SegmentBytes <= 0 {
		cfg.SegmentBytes = 64 << 20
	}
	if cfg.SegmentAge <= 0 {
		cfg.SegmentAge = time.Hour
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	cfg.SegmentBytes = min(cfg.SegmentBytes, cfg.MaxBytes/8)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return cfg
}

// Spool takes the begins and events of this process's requests. Its methods are safe for concurrent use.
type Spool struct {
	cfg    Config
	writer writer
	seed   uint32
	lock   *os.File
	drafts sync.Pool

	dirty   chan struct{} // there is something to sync
	rotated chan struct{} // there is something to seal
	stop    chan struct{}
	done    chan struct{}

	mu      sync.Mutex // held around one write, and never while the disk syncs
	active  *output    // nil while none can be made
	retired []*output  // written to the end, to be sealed
	begun   map[llmproxy.EventID]llmproxy.Begin
	number  int       // of the newest segment
	newest  time.Time // of the newest segment
	retryAt time.Time // when a segment may be made again after failing
	makeErr error     // why it failed
	isDirty bool
	missed  bool          // a begin of begun is not on disk
	wake    chan struct{} // closed at the next event; nil while no follower sleeps
	closing bool
	closed  bool
	stats   Stats
	trouble trouble
}

// Stats counts what a spool did since it was opened.
type Stats struct {
	Published int64  // events of requests appended
	Failed    int64  // such that could not be appended: they are gone
	Lost      int64  // events with outcome lost made for requests of processes that died
	Dropped   int64  // segments removed at MaxBytes though a follower had not read all of them
	Written   int64  // bytes appended
	Kept      int64  // bytes of all segments in the folder when it was last looked at, at most about a second ago
	Degraded  string // why the spool does not keep its promises now; "" if it does
}

// trouble is what is wrong now; nil and false are healthy.
type trouble struct {
	write    error // the newest event could not be appended
	sync     error // the newest sync or sealing failed
	folder   error // the folder could not be looked after
	overflow bool  // events nobody had read were dropped, and the folder is still rather full
}

func (t *trouble) String() string {
	var all []string
	if t.write != nil {
		all = append(all, "events cannot be written: "+t.write.Error())
	}
	if t.sync != nil {
		all = append(all, "events cannot be made durable: "+t.sync.Error())
	}
	if t.folder != nil {
		all = append(all, "the spool's folder cannot be looked after: "+t.folder.Error())
	}
	if t.overflow {
		all = append(all, "the spool is full, events were dropped before all destinations had them")
	}
	return strings.Join(all, "; ")
}

var errClosed = errors.New("the spool is closed")

// Open opens the spool in a folder, where other processes may have theirs. Requests that were begun by a process that died get
// their event with the outcome lost. A full disk is no error: the spool is degraded then, and tries again.
func Open(cfg Config) (*Spool, error) {
	cfg = cfg.withDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	w, lock, err := lockWriter(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open spool in %s: %w", cfg.Dir, err)
	}
	s := &Spool{
		cfg: cfg, writer: w, seed: w.seed(), lock: lock,
		drafts: sync.Pool{New: func() any { return new(draft) }},
		dirty:  make(chan struct{}, 1), rotated: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
		begun: map[llmproxy.EventID]llmproxy.Begin{},
	}
	s.recoverDead()
	s.mu.Lock()
	if err := s.rotate(); err != nil {
		s.trouble.write = err
	}
	s.mu.Unlock()
	s.lookAfter()
	go s.background()
	return s, nil
}

// lockWriter makes a writer and takes its lock.
func lockWriter(dir string) (writer, *os.File, error) {
	for {
		w := newWriter()
		lock, err := tryLock(w.lockPath(dir))
		if !errors.Is(err, ErrLocked) {
			return w, lock, err
		} // a process that looks for dead ones saw the new file before it was locked
	}
}

// Begin notes that a request was admitted. If its process dies before the event of the same id is published, the request gets an
// event with the outcome lost.
func (s *Spool) Begin(b *llmproxy.Begin) {
	d := s.drafts.Get().(*draft)
	d.addBegin(s.seed, b)
	s.mu.Lock()
	s.begun[b.ID] = *b
	f, err := s.append(d)
	if err != nil {
		s.missed = true
		s.trouble.write = err
	}
	s.mu.Unlock()
	s.putBack(d)
	s.syncNow(f)
}

// Publish takes the event of a request that has ended. The event is in the page cache when Publish returns, or counted as failed.
func (s *Spool) Publish(e *llmproxy.Event) {
	if f, err := s.publish(e); err == nil {
		s.syncNow(f)
	}
}

// PublishAudit takes audit entries, which followers read among the events. Without an error they are on the disk, unless Sync is
// SyncNever; after one any number of them may be.
func (s *Spool) PublishAudit(_ context.Context, entries []llmproxy.AuditEntry) error {
	files := map[*os.File]bool{}
	for i := range entries {
		f, err := s.publish(entries[i].Event())
		if err != nil {
			return fmt.Errorf("audit event %s: %w", entries[i].ID, err)
		}
		files[f] = true
	}
	if s.cfg.Sync == SyncNever {
		return nil
	}
	for f := range files {
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // sealed meanwhile, and synced before
			return fmt.Errorf("audit events: %w", err)
		}
	}
	return nil
}

// publish appends the event and returns the file that has it.
func (s *Spool) publish(e *llmproxy.Event) (*os.File, error) {
	d := s.drafts.Get().(*draft)
	err := d.setEvent(s.seed, e)
	var f *os.File
	s.mu.Lock()
	if err == nil {
		f, err = s.append(d)
	}
	s.trouble.write = err
	delete(s.begun, e.ID)
	if err != nil {
		if e.Audit == nil { // whoever publishes an audit event has it still
			s.stats.Failed++
		}
	} else {
		if e.Audit == nil {
			s.stats.Published++
		}
		s.wakeFollowers()
	}
	s.mu.Unlock()
	s.putBack(d)
	return f, err
}

// wakeFollowers has those of this process look. It is called with mu held.
func (s *Spool) wakeFollowers() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}

// Stats returns the counts and the health of the spool.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Degraded = s.trouble.String()
	return stats
}

// Follow opens the follower of that name, which is told of this spool's events at once rather than having to look for them.
func (s *Spool) Follow(name string) (*Follower, error) {
	f, err := Follow(s.cfg.Dir, name, s.cfg.Log)
	if err != nil {
		return nil, err
	}
	f.spool, f.poll = s, pollToldEvery
	return f, nil
}

// wakeup is closed when the next event is published, or can be reached because the segment before its own is sealed.
func (s *Spool) wakeup() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	return s.wake
}

// Close ends the spool: what was appended is durable, unless Sync is SyncNever, and its segments are sealed. A request that was
// begun and not published by then gets an event with the outcome lost. What is published later counts as failed.
func (s *Spool) Close() error {
	s.mu.Lock()
	again := s.closing
	s.closing = true
	s.mu.Unlock()
	if again {
		return nil
	}
	close(s.stop)
	<-s.done

	s.mu.Lock()
	err := s.endBegun()
	s.closed = true
	if s.active != nil && err == nil {
		s.retire()
	}
	s.mu.Unlock()
	if err == nil {
		err = s.sealRetired()
	}
	if err == nil { // else the next process finds the lock, and does the rest
		err = os.Remove(s.writer.lockPath(s.cfg.Dir))
	}
	for _, o := range s.outputs() {
		err = errors.Join(err, o.file.Close())
	}
	if err = errors.Join(err, s.lock.Close()); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}

// endBegun makes the requests that have not ended lost.
func (s *Spool) endBegun() error {
	for id, b := range s.begun {
		var d draft
		if err := d.setEvent(s.seed, b.Lost()); err != nil {
			return err
		}
		if _, err := s.append(&d); err != nil {
			return err
		}
		s.stats.Lost++
		delete(s.begun, id)
	}
	return nil
}

// maxPooled is the size in bytes of the buffers that are kept for the next record.
const maxPooled = 256 << 10

func (s *Spool) putBack(d *draft) {
	d.reset()
	if cap(d.buf) <= maxPooled {
		s.drafts.Put(d)
	}
}
