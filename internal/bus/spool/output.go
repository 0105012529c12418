package spool

import (
	"errors"
	"io"
	"os"
	"time"
)

// output is a segment this process writes.
type output struct {
	segment
	file    *os.File
	size    int64 // up to here it holds whole records
	carried int64 // up to here they are begins that were carried over from the segment before
}

// append writes the draft behind the other records, into a new segment if this one is full, and returns the file it went to. What
// could be written of a draft in part is taken back.
func (s *Spool) append(d *draft) (*os.File, error) {
	if s.closed {
		return nil, errClosed
	}
	if o := s.active; o == nil || o.size > o.carried && o.size+int64(d.size) > s.cfg.SegmentBytes {
		if err := s.rotate(); err != nil && s.active == nil {
			return nil, err
		} // else the old one has to do for longer
	}
	o := s.active
	n, err := d.writeTo(o.file)
	if n < d.size {
		if n > 0 {
			s.takeBack()
		}
		if err == nil {
			err = io.ErrShortWrite
		}
		return nil, err
	}
	o.size += int64(n)
	s.stats.Written += int64(n)
	if !s.isDirty {
		s.isDirty = true
		signal(s.dirty)
	}
	return o.file, nil
}

// takeBack cuts a torn record off the active segment. If that fails too, nothing more goes into this segment, so that the records
// that follow stay readable.
func (s *Spool) takeBack() {
	if err := s.active.file.Truncate(s.active.size); err != nil {
		s.retire()
	}
}

// rotate makes a new active segment, which starts with the begins of the requests under way: so those without an event are known
// from the unsealed segments alone. If it fails the old one stays, and the next try is made a second later at the earliest.
func (s *Spool) rotate() error {
	now := s.cfg.Now()
	if now.Before(s.retryAt) {
		return s.makeErr
	}
	next, err := s.newOutput(now)
	if err != nil {
		s.retryAt = now.Add(time.Second)
		s.makeErr = err
		return err
	}
	if s.active != nil {
		s.retire()
	}
	s.active, s.missed, s.isDirty = next, false, true
	signal(s.dirty)
	return nil
}

func (s *Spool) newOutput(now time.Time) (*output, error) {
	if now.Before(s.newest) {
		now = s.newest // a clock that goes back must not turn the order around
	}
	o := &output{segment: newSegment(s.writer, s.number+1, now)}
	var err error
	if o.file, err = o.create(s.cfg.Dir); err != nil {
		return nil, err
	}
	s.number, s.newest = o.number, o.time
	if err := s.carry(o); err != nil {
		return nil, errors.Join(err, o.file.Close(), os.Remove(o.path(s.cfg.Dir)))
	}
	return o, nil
}

// carry writes the begins of the requests under way.
func (s *Spool) carry(o *output) error {
	if len(s.begun) == 0 {
		return nil
	}
	var d draft
	for _, b := range s.begun {
		d.addBegin(s.seed, &b)
	}
	if n, err := d.writeTo(o.file); n < d.size {
		return errors.Join(err, io.ErrShortWrite)
	}
	o.size, o.carried = int64(d.size), int64(d.size)
	s.stats.Written += o.size
	return nil
}

// retire takes the active segment out of use, to be sealed in the background.
func (s *Spool) retire() {
	s.retired = append(s.retired, s.active)
	s.active = nil
	signal(s.rotated)
}

// syncNow makes what was appended to f durable, if the mode asks for it before Publish returns.
func (s *Spool) syncNow(f *os.File) {
	if s.cfg.Sync != SyncAlways || f == nil {
		return
	}
	err := f.Sync()
	if err == nil || errors.Is(err, os.ErrClosed) { // sealed meanwhile, and synced before
		return
	}
	s.mu.Lock()
	s.trouble.sync = err
	s.mu.Unlock()
}

// outputs are the segments that are still held open.
func (s *Spool) outputs() []*output {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append([]*output(nil), s.retired...)
	if s.active != nil {
		all = append(all, s.active)
	}
	return all
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
