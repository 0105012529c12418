package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Kept returns the events of requests that arrived from one time on and before another, as far as they are kept in a folder: delivered
// or not, of all spools, those of each in their order. It moves no cursor and needs no name. Damaged places are passed over, as
// followers do. Segments that go meanwhile are missing.
func Kept(dir string, from, to time.Time) iter.Seq2[*llmproxy.Event, error] {
	return func(yield func(*llmproxy.Event, error) bool) {
		list, err := listSegments(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(nil, fmt.Errorf("read spool: %w", err))
			return
		}
		for _, g := range list {
			more, err := keptIn(dir, g, from, to, func(e *llmproxy.Event) bool { return yield(e, nil) })
			if err != nil {
				yield(nil, fmt.Errorf("read spool: segment %s: %w", g.name, err))
				return
			}
			if !more {
				return
			}
		}
	}
}

// keptIn calls do with the events of a segment until it says that this is enough.
func keptIn(dir string, g segment, from, to time.Time, do func(*llmproxy.Event) bool) (more bool, err error) {
	file, err := openSegment(dir, g)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // removed to make room
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	s := scanner{file: file, seed: g.writer.seed()}
	for {
		r, err := s.next()
		switch {
		case err == nil && r.kind == kindEvent && !r.id.Time().Before(from.Truncate(time.Millisecond)) && r.id.Time().Before(to):
			e, err := r.event(nil)
			if err != nil {
				continue // its checksum fits, so it was written like this
			}
			if !do(e) {
				return false, nil
			}
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, errTorn): // what comes later is of a time to come
			return true, nil
		case errors.Is(err, errDamaged):
			s.off++
			if found, err := s.resync(); err != nil || !found {
				return true, err
			}
		default:
			return false, err
		}
	}
}
