package spool

import (
	"errors"
	"os"
	"time"

	"go.uber.org/zap"
)

// background syncs, seals and looks after the folder until the spool is closed.
func (s *Spool) background() {
	defer close(s.done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	var syncAt <-chan time.Time
	var logged logged
	for ticks := 1; ; {
		select {
		case <-s.stop:
			return
		case <-s.dirty:
			if s.cfg.Sync > 0 && syncAt == nil {
				syncAt = time.After(time.Duration(s.cfg.Sync))
			}
		case <-syncAt:
			syncAt = nil
			if err := s.syncActive(); err != nil {
				s.note(&s.trouble.sync, err)
			}
		case <-s.rotated:
			if err := s.sealRetired(); err != nil {
				s.note(&s.trouble.sync, err)
			}
			s.lookAfter()
		case <-tick.C:
			if ticks%recoverEvery == 0 {
				s.recoverDead()
			}
			ticks++
			s.rotateIfDue()
			s.lookAfter()
			logged.compare(s)
			if s.notDurable() { // the log has been told of it before it can end
				s.note(&s.trouble.sync, errors.Join(s.sealRetired(), s.syncActive()))
			}
		}
	}
}

// notDurable reports whether a sync or a sealing failed or is still to be done.
func (s *Spool) notDurable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble.sync != nil || len(s.retired) > 0
}

// syncActive makes durable what was appended until now.
func (s *Spool) syncActive() error {
	var file *os.File
	s.mu.Lock()
	if s.active != nil {
		file = s.active.file
	}
	s.isDirty = false
	s.mu.Unlock()
	if file == nil {
		return nil
	}
	return file.Sync() // sealing, done by this goroutine too, syncs the others
}

// rotateIfDue starts a new segment if this one is old, if there is none, or if a begin is missing on disk and there is room again.
func (s *Spool) rotateIfDue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.active
	old := o != nil && o.size > o.carried && s.cfg.Now().Sub(o.time) >= s.cfg.SegmentAge
	if old || o == nil || s.missed && s.trouble.write == nil {
		if err := s.rotate(); o == nil {
			s.trouble.write = err
		}
	}
}

// sealRetired seals the segments that are written to the end, oldest first. Before a segment loses its place among those in which
// the begins of living requests are looked for, the begins it carried over are durable in the next.
func (s *Spool) sealRetired() error {
	for {
		s.mu.Lock()
		if len(s.retired) == 0 {
			s.mu.Unlock()
			return nil
		}
		o := s.retired[0]
		next := s.active
		if len(s.retired) > 1 {
			next = s.retired[1]
		}
		if next == nil && !s.closed { // it is to be made, and has the begins then
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		if err := s.seal(o, next); err != nil {
			return err
		}
		s.mu.Lock()
		s.retired = s.retired[1:]
		s.wakeFollowers() // the next segment is read only once this one has ended
		s.mu.Unlock()
		if err := o.file.Close(); err != nil {
			return err
		}
	}
}

func (s *Spool) seal(o, next *output) error {
	if s.cfg.Sync == SyncNever {
		return o.sealOrRemove(s.cfg.Dir)
	}
	if err := o.file.Sync(); err != nil {
		return err
	}
	if next != nil {
		if err := next.file.Sync(); err != nil {
			return err
		}
	}
	if err := syncDir(s.cfg.Dir); err != nil { // the next one's name
		return err
	}
	if err := o.sealOrRemove(s.cfg.Dir); err != nil {
		return err
	}
	return syncDir(s.cfg.Dir)
}

// lookAfter removes segments that are not needed or too much.
func (s *Spool) lookAfter() {
	r, err := retain(s.cfg.Dir, s.cfg.MaxBytes)
	s.note(&s.trouble.folder, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.stats.Kept = r.kept
	}
	s.stats.Dropped += int64(r.dropped)
	switch {
	case r.dropped > 0:
		s.trouble.overflow = true
	case err == nil && r.kept < s.cfg.MaxBytes/4*3:
		s.trouble.overflow = false
	}
}

// note keeps err in the field of s.trouble where it belongs; nil clears it.
func (s *Spool) note(field *error, err error) {
	s.mu.Lock()
	*field = err
	s.mu.Unlock()
}

// logged is what the log was told last.
type logged struct{ stats Stats }

// compare writes to the log what has changed for better or worse, at most once a tick and not on the way of a request.
func (l *logged) compare(s *Spool) {
	now := s.Stats()
	before := l.stats
	l.stats = now
	fields := []zap.Field{
		zap.Int64("failed", now.Failed-before.Failed), zap.Int64("dropped_segments", now.Dropped-before.Dropped),
		zap.String("reason", now.Degraded),
	}
	switch {
	case now.Degraded != "" && (now.Degraded != before.Degraded || now.Failed > before.Failed || now.Dropped > before.Dropped):
		s.cfg.Log.Error("spool is degraded", fields...)
	case now.Degraded == "" && (before.Degraded != "" || now.Failed > before.Failed):
		s.cfg.Log.Warn("spool works again", fields...)
	}
}
