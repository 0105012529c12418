package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"go.uber.org/zap"
)

// recoverDead closes what processes that died left open. What fails is tried again later.
func (s *Spool) recoverDead() {
	writers, err := deadOrAlive(s.cfg.Dir)
	if err != nil {
		s.note(&s.trouble.folder, err)
		return
	}
	for w := range writers {
		if w == s.writer {
			continue
		}
		lost, err := recoverWriter(s.cfg.Dir, w, s.cfg.Now())
		if errors.Is(err, ErrLocked) {
			continue // alive, or another process is at it
		}
		s.mu.Lock()
		s.stats.Lost += int64(lost)
		s.mu.Unlock()
		if err != nil {
			s.cfg.Log.Error("cannot close the spool of a process that died; it will be tried again", zap.Stringer("writer", w), zap.Error(err))
			continue
		}
		s.cfg.Log.Info("closed the spool of a process that died", zap.Stringer("writer", w), zap.Int("lost", lost))
	}
}

// deadOrAlive returns the writers that have a lock file or an unsealed segment.
func deadOrAlive(dir string) (map[writer]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	writers := map[writer]bool{}
	for _, entry := range entries {
		if g, ok := parseSegment(entry.Name()); ok && !g.sealed {
			writers[g.writer] = true
		}
		if name, ok := strings.CutSuffix(entry.Name(), ".lock"); ok && len(name) == 16 {
			if w, err := strconv.ParseUint(name, 16, 64); err == nil {
				writers[writer(w)] = true
			}
		}
	}
	return writers, nil
}

// recoverWriter makes the requests that a dead writer had begun and not ended lost, and seals its segments. It returns how many
// were lost, or ErrLocked if the writer lives or is being recovered.
//
// The events go to one more segment of the dead writer, and the segments that hold the begins are sealed once it is whole: whoever
// comes after a kill in the middle finds in the unsealed segments together which are still missing, and since all of this happens
// under the writer's lock, each is written once.
func recoverWriter(dir string, w writer, now time.Time) (lost int, err error) {
	lock, err := tryLock(w.lockPath(dir))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	list, err := listSegments(dir)
	if err != nil {
		return 0, err
	}
	var unsealed []segment
	last := 0
	begun := begins{}
	for _, g := range list {
		if g.writer != w {
			continue
		}
		last = max(last, g.number)
		if g.time.After(now) {
			now = g.time
		}
		if !g.sealed {
			unsealed = append(unsealed, g)
			if err := begun.read(dir, g); err != nil {
				return 0, fmt.Errorf("segment %s: %w", g.name, err)
			}
		}
	}
	if len(begun) > 0 {
		g := newSegment(w, last+1, now)
		if err := begun.writeLost(dir, g); err != nil {
			return 0, fmt.Errorf("segment %s: %w", g.name, err)
		}
		unsealed = append(unsealed, g)
	}
	for _, g := range unsealed { // the one with the lost last
		if err := g.sealOrRemove(dir); err != nil {
			return 0, err
		}
	}
	if err := syncDir(dir); err != nil {
		return 0, err
	}
	return len(begun), os.Remove(w.lockPath(dir))
}

// begins are requests without an event.
type begins map[llmproxy.EventID]llmproxy.Begin

// read adds the segment's begins and takes away those whose event it holds. Damaged places are passed over.
func (m begins) read(dir string, g segment) (err error) {
	f, err := os.Open(g.path(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := scanner{file: f, seed: g.writer.seed()}
	for {
		r, err := s.next()
		switch {
		case err == nil && r.kind == kindBegin:
			b, err := r.begin()
			if err != nil {
				return err
			}
			m[r.id] = b
		case err == nil && r.kind == kindEvent:
			delete(m, r.id)
		case err == nil: // of a later version of this program
		case errors.Is(err, errDamaged):
			s.off++
			if found, err := s.resync(); err != nil || !found {
				return err
			}
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return nil
		default:
			return err
		}
	}
}

// writeLost makes a segment with the lost events, durable and whole.
func (m begins) writeLost(dir string, g segment) (err error) {
	f, err := g.create(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, b := range m {
		var d draft
		if err := d.setEvent(g.writer.seed(), b.Lost()); err != nil {
			return err
		}
		if n, err := d.writeTo(f); n < d.size {
			return errors.Join(err, io.ErrShortWrite)
		}
	}
	return f.Sync()
}
