package dispatch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Replay delivers events once more, each id once, and returns what became of them; cfg is that of the loop, its Source is not used. It
// ends after the last event, or with the error that the events end with, or with ctx.
func Replay(ctx context.Context, cfg Config, events iter.Seq2[*llmproxy.Event, error]) (Stats, error) {
	running, done := context.WithCancel(ctx)
	defer done()
	next, stop := iter.Pull2(events)
	defer stop()
	s := &replaySource{next: next, done: done, seen: map[llmproxy.EventID]bool{}}
	s.look()
	if s.ahead == nil {
		return Stats{}, s.err
	}
	cfg.Source = s
	l := New(cfg)
	err := l.Run(running)
	if err = errors.Join(err, s.err); err == nil && !s.finished {
		err = ctx.Err()
	}
	return l.Stats(), err
}

// replaySource is events, each id once. It ends its loop when the last is committed.
type replaySource struct {
	next func() (*llmproxy.Event, error, bool)
	done context.CancelFunc

	seen     map[llmproxy.EventID]bool // whether what was seen of an id is real, not only that it was lost
	ahead    *llmproxy.Event           // the next event; nil if there is none
	err      error                     // why there may be more that cannot be read
	finished bool                      // all were committed
}

// look finds the next event that was not seen yet. The real one comes also after a lost one.
func (s *replaySource) look() {
	for {
		e, err, ok := s.next()
		s.ahead = nil
		if !ok || err != nil {
			s.err = err
			return
		}
		real := e.Outcome != llmproxy.Lost
		if was, known := s.seen[e.ID]; known && (was || !real) {
			continue
		}
		s.seen[e.ID] = real
		s.ahead = e
		return
	}
}

// Read implements [Source].
func (s *replaySource) Read(ctx context.Context, n int) ([]*llmproxy.Event, error) {
	var events []*llmproxy.Event
	for s.ahead != nil && len(events) < n {
		events = append(events, s.ahead)
		s.look()
	}
	if len(events) > 0 {
		return events, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// Commit implements [Source].
func (s *replaySource) Commit([]byte) error {
	if s.ahead == nil {
		s.finished = true
		s.done()
	}
	return nil
}

// Keep implements [Source]: a replay begins where it is told to.
func (s *replaySource) Keep([]byte) error { return nil }

// Note implements [Source].
func (s *replaySource) Note() []byte { return nil }

// EventLog returns the events that a log of the file destination has of a time, the renamed logs beside it first. An event there is as
// the line tells it: with bodies only where the log has them. A log that is not there has none.
func EventLog(path string, from, to time.Time) iter.Seq2[*llmproxy.Event, error] {
	return func(yield func(*llmproxy.Event, error) bool) {
		ext := filepath.Ext(path)
		files, err := filepath.Glob(strings.TrimSuffix(path, ext) + "-*Z" + ext)
		if err != nil {
			yield(nil, err)
			return
		}
		slices.Sort(files) // by the time in their names
		for _, file := range append(files, path) {
			if !readEventLog(file, from, to, yield) {
				return
			}
		}
	}
}

// readEventLog reports whether more may be wanted. A last line that is not written to its end is left out.
func readEventLog(path string, from, to time.Time, yield func(*llmproxy.Event, error) bool) bool {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	if err != nil {
		yield(nil, err)
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	for lines := bufio.NewReaderSize(f, 64<<10); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return true
		}
		var e *llmproxy.Event
		if err == nil {
			e, err = eventOfLine(line)
		}
		if err != nil {
			yield(nil, fmt.Errorf("event log %s: %w", path, err))
			return false
		}
		if e.Time.Before(from) || !e.Time.Before(to) {
			continue
		}
		if !yield(e, nil) {
			return false
		}
	}
}

// renamed are the keys of a line that are called otherwise in the record.
var renamed = map[string]string{"timestamp": "time", "token": "token_id", "endpoint": "path", "status_code": "status"}

// eventOfLine reads a line as [appendLine] has written it.
func eventOfLine(line []byte) (*llmproxy.Event, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(line, &m); err != nil {
		return nil, fmt.Errorf("a line is no JSON: %w", err)
	}
	m["version"] = json.RawMessage("1")
	for from, to := range renamed {
		m[to] = m[from]
		delete(m, from)
	}
	for key, value := range m {
		if value == nil || string(value) == "null" {
			delete(m, key)
		}
	}
	record, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	e := &llmproxy.Event{}
	if err := e.UnmarshalJSON(record); err != nil {
		return nil, fmt.Errorf("a line is no event: %w", err)
	}
	if e.ID.IsZero() {
		return nil, errors.New("a line is no event: it has no id")
	}
	if e.UsageKind == "" { // a line of an earlier version
		e.UsageKind = kindOfPath(e.Path)
	}
	return e, nil
}
