package dispatch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// DeadLetter is a line of a file of dead letters.
type DeadLetter struct {
	Time        time.Time       `json:"time"` // when the event was given up
	Destination string          `json:"destination"`
	Reason      string          `json:"reason"`
	Attempts    int             `json:"attempts"`
	Event       json.RawMessage `json:"event"`
}

// DeadLettersPath is the file of a dispatcher's dead letters in a data folder.
func DeadLettersPath(dataDir, dispatcher string) string {
	if dispatcher == "file" {
		return filepath.Join(dataDir, "dead-letters.jsonl") // the server's own
	}
	return filepath.Join(dataDir, "dead-letters-"+dispatcher+".jsonl")
}

// redriven is what the name of a file has that is being sent again, before the time when that was asked for.
const redriven = ".redrive-"

// DeadLetterFiles returns the files that hold a dispatcher's dead letters: that which it writes, and those that a redrive has left.
func DeadLetterFiles(path string) ([]string, error) {
	files, err := filepath.Glob(strings.TrimSuffix(path, ".jsonl") + redriven + "*.jsonl")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err == nil {
		files = append(files, path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return files, nil
}

// LetterCount counts a dispatcher's dead letters from any process. It remembers what it counted, so that asking again costs what has
// come since. It is safe for concurrent use.
type LetterCount struct {
	path string

	mu    sync.Mutex
	files map[string]countedFile
}

// countedFile is how many lines a file had up to a place.
type countedFile struct {
	info  fs.FileInfo
	to    int64
	lines int64
}

// NewLetterCount returns the count of the dead letters at path.
func NewLetterCount(path string) *LetterCount { return &LetterCount{path: path} }

// Count returns how many there are now. While they are being sent again one that is refused anew may count twice.
func (c *LetterCount) Count() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	files, err := DeadLetterFiles(c.path)
	if err != nil {
		return 0, err
	}
	counted, all := map[string]countedFile{}, int64(0)
	for _, file := range files {
		one, err := c.files[file].goOn(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // sent since
		}
		if err != nil {
			return 0, fmt.Errorf("count dead letters: %w", err)
		}
		counted[file] = one
		all += one.lines
	}
	c.files = counted
	return all, nil
}

// goOn counts what the file has beyond what was counted, or all if it is another file by now.
func (c countedFile) goOn(path string) (_ countedFile, err error) {
	f, err := os.Open(path)
	if err != nil {
		return countedFile{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return countedFile{}, err
	}
	if c.info == nil || !os.SameFile(c.info, info) || info.Size() < c.to {
		c = countedFile{}
	}
	c.info = info
	for buf := make([]byte, 64<<10); ; {
		n, err := f.ReadAt(buf, c.to)
		c.to += int64(n)
		c.lines += int64(bytes.Count(buf[:n], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return countedFile{}, err
		}
	}
}

// ReadDeadLetters returns the letters of a file. A last line that is not written to its end is left out.
func ReadDeadLetters(path string) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(DeadLetter{}, err)
			return
		}
		defer func() { _ = f.Close() }() // it was only read
		for lines := bufio.NewReaderSize(f, 64<<10); ; {
			line, err := lines.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			var letter DeadLetter
			if err == nil {
				err = json.Unmarshal(line, &letter)
			}
			if err != nil {
				err = fmt.Errorf("dead letters in %s: %w", path, err)
			}
			if !yield(letter, err) || err != nil {
				return
			}
		}
	}
}

// settle is how long a line that is being written when its file is renamed has to arrive there.
const settle = 100 * time.Millisecond

// Redrive sends the dead letters at path to the destination again and returns how many events were taken and how many were given up
// anew; cfg is that of the loop, its Source and DeadLetters are not used. A dispatcher may go on writing dead letters meanwhile, so
// the file is first renamed. It is removed when each of its events was taken or, given up anew, is in another file beside it; what a
// kill or the end of ctx leaves is sent by the next Redrive, all of the file again.
func Redrive(ctx context.Context, cfg Config, path string) (taken, dead uint64, err error) {
	name := strings.TrimSuffix(path, ".jsonl") + redriven + time.Now().UTC().Format("20060102T150405.000Z")
	cfg.DeadLetters = name + "-again.jsonl"
	if err := os.Rename(path, name+".jsonl"); err == nil {
		if !wait(ctx, settle) {
			return 0, 0, ctx.Err()
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, err
	}
	files, err := DeadLetterFiles(path)
	if err != nil {
		return 0, 0, err
	}
	for _, file := range files {
		if file == path {
			continue // written since
		}
		stats, err := redriveFile(ctx, cfg, file)
		taken, dead = taken+stats.Delivered, dead+stats.Dead
		if err != nil {
			return taken, dead, err
		}
	}
	return taken, dead, nil
}

func redriveFile(ctx context.Context, cfg Config, file string) (Stats, error) {
	running, done := context.WithCancel(ctx)
	defer done()
	next, stop := iter.Pull2(ReadDeadLetters(file))
	defer stop()
	source := &letterSource{next: next, done: done}
	source.look()
	if source.err == nil && !source.more {
		return Stats{}, os.Remove(file)
	}
	cfg.Source = source
	l := New(cfg)
	err := l.Run(running)
	stats := l.Stats()
	if err == nil && !source.finished {
		err = fmt.Errorf("dead letters are left in %s: %w", file, leftBecause(ctx, source, stats))
	}
	if err != nil {
		return stats, err
	}
	return stats, os.Remove(file)
}

// leftBecause is why a redrive has ended early.
func leftBecause(ctx context.Context, s *letterSource, stats Stats) error {
	switch {
	case s.err != nil:
		return s.err
	case stats.LastError != "":
		return errors.New(stats.LastError)
	}
	return ctx.Err()
}

// letterSource is the events of a file of dead letters, once. It ends its loop when the last is committed, or when one cannot be read.
type letterSource struct {
	next func() (DeadLetter, error, bool)
	done context.CancelFunc

	ahead    *llmproxy.Event // the next event
	more     bool            // there is one
	err      error           // why there may be more that cannot be read
	finished bool            // all were committed
}

// look reads the next event.
func (s *letterSource) look() {
	letter, err, ok := s.next()
	s.ahead, s.more = nil, false
	if !ok {
		return
	}
	e := &llmproxy.Event{}
	if err == nil {
		err = json.Unmarshal(letter.Event, e)
	}
	if err != nil {
		s.err = err
		return
	}
	if e.UsageKind == "" { // a letter of an earlier version
		e.UsageKind = kindOfPath(e.Path)
	}
	s.ahead, s.more = e, true
}

// Read implements [Source].
func (s *letterSource) Read(ctx context.Context, n int) ([]*llmproxy.Event, error) {
	var events []*llmproxy.Event
	for s.more && len(events) < n {
		events = append(events, s.ahead)
		s.look()
	}
	if len(events) > 0 {
		return events, nil
	}
	if s.err != nil {
		s.done()
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// Commit implements [Source].
func (s *letterSource) Commit([]byte) error {
	if s.finished = !s.more && s.err == nil; s.finished {
		s.done()
	}
	return nil
}

// Keep implements [Source]: a file that is left is sent again, all of it.
func (s *letterSource) Keep([]byte) error { return nil }

// Note implements [Source].
func (s *letterSource) Note() []byte { return nil }
