package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Gauge tells from any process how far the followers of a folder's spools are. It remembers what it counted, so that asking again costs
// what has come since. It is safe for concurrent use.
type Gauge struct {
	dir string

	mu     sync.Mutex
	counts map[place]count
}

// NewGauge returns the gauge of a folder, which need not be there.
func NewGauge(dir string) *Gauge { return &Gauge{dir: dir, counts: map[place]count{}} }

// Waiting is what lies behind a follower's cursor.
type Waiting struct {
	Events int64
	Bytes  int64     // of records, begins included
	Oldest time.Time // when the request of the oldest event arrived; zero if there is none
}

// FollowerState is how a follower is, as it left it at its last commit.
type FollowerState struct {
	Name      string
	Held      bool      // a process has it
	Note      []byte    // as its last commit stored it; nil if there was none
	Committed time.Time // when that was
	Waiting   Waiting
	Err       error // why the rest is not known, such as a damaged cursor
}

// place is a cursor's in one segment.
type place struct {
	segment string
	passed  int64
}

// count is what was found from a place on.
type count struct {
	to     int64 // up to where
	events int64
	first  time.Time // when the request of the first event arrived
}

// Followers returns all that ever followed, by name.
func (g *Gauge) Followers() ([]FollowerState, error) {
	names, err := Followers(g.dir)
	if err != nil {
		return nil, fmt.Errorf("followers of the spool: %w", err)
	}
	states := make([]FollowerState, 0, len(names))
	for _, name := range names {
		s, err := g.follower(name)
		if err != nil {
			s.Err = fmt.Errorf("follower %s of the spool: %w", name, err)
		}
		states = append(states, s)
	}
	return states, nil
}

func (g *Gauge) follower(name string) (FollowerState, error) {
	s := FollowerState{Name: name}
	c, _, err := readCursor(g.dir, name)
	if err != nil {
		return s, err
	}
	s.Note = c.Note
	if info, err := os.Stat(cursorPath(g.dir, name, c.Generation)); err == nil && c.Generation > uint64(len(cursorExts)) { // those before are register's
		s.Committed = info.ModTime()
	}
	if s.Held, err = isHeld(filepath.Join(g.dir, name+lockExt)); err != nil {
		return s, err
	}
	s.Waiting, err = g.behind(c.Segments)
	return s, err
}

// Waiting returns what lies behind the cursor of that name; everything if nothing was ever committed to it.
func (g *Gauge) Waiting(name string) (Waiting, error) {
	c, _, err := readCursor(g.dir, name)
	if err != nil {
		return Waiting{}, fmt.Errorf("measure backlog of %s: %w", name, err)
	}
	w, err := g.behind(c.Segments)
	if err != nil {
		return Waiting{}, fmt.Errorf("measure backlog of %s: %w", name, err)
	}
	return w, nil
}

// behind counts what lies behind a cursor.
func (g *Gauge) behind(passed map[string]int64) (Waiting, error) {
	list, err := listSegments(g.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Waiting{}, nil
	}
	if err != nil {
		return Waiting{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(list)
	var w Waiting
	for _, s := range list {
		at := place{s.name, passed[s.name]}
		c, size, err := g.look(s, at)
		if err != nil {
			return Waiting{}, fmt.Errorf("segment %s: %w", s.name, err)
		}
		w.Events += c.events
		w.Bytes += max(size-at.passed, 0)
		if !c.first.IsZero() && (w.Oldest.IsZero() || c.first.Before(w.Oldest)) {
			w.Oldest = c.first
		}
	}
	return w, nil
}

// placesKept bounds what is remembered: a few followers in each segment that a spool may have.
const placesKept = 1 << 12

// forget drops what is known of segments that are gone, and all where cursors have left too much behind.
func (g *Gauge) forget(list []segment) {
	there := make(map[string]bool, len(list))
	for _, s := range list {
		there[s.name] = true
	}
	for at := range g.counts {
		if !there[at.segment] || len(g.counts) > placesKept {
			delete(g.counts, at)
		}
	}
}

// look counts a segment's events from a place on, going on from where it came to before. Records are taken by their headers: their
// payload is not read, so that it costs little.
func (g *Gauge) look(s segment, at place) (c count, size int64, err error) {
	file, err := openSegment(g.dir, s)
	if errors.Is(err, fs.ErrNotExist) {
		return count{}, at.passed, nil
	}
	if err != nil {
		return count{}, 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return count{}, 0, err
	}
	size = info.Size()
	c, known := g.counts[at]
	if !known || c.to > size { // or it was taken back to there
		c = count{to: at.passed}
	}
	scan := scanner{file: file, seed: s.writer.seed(), off: c.to}
	for scan.off < size {
		h, err := scan.header()
		switch {
		case errors.Is(err, errDamaged):
			scan.off++
			found, err := scan.resync()
			if err != nil {
				return count{}, 0, err
			}
			if !found {
				return c, size, nil // looked at again next time: it may be being written
			}
			continue
		case err != nil:
			return count{}, 0, err
		case h == nil || scan.off+h.length() > size: // its rest is to come
			g.counts[at] = c
			return c, size, nil
		}
		scan.off += h.length()
		c.to = scan.off
		if h.kind == kindEvent {
			c.events++
			if c.first.IsZero() {
				c.first = h.id.Time()
			}
		}
	}
	if c.to > at.passed {
		g.counts[at] = c
	}
	return c, size, nil
}
