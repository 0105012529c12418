package dispatch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/tidwall/gjson"
)

// fileMark says how much of which file is known to be good. A file is recognized by the id in its first line, under whatever name.
type fileMark struct {
	Path   string           `json:"path"`
	Length int64            `json:"length"`
	First  llmproxy.EventID `json:"first,omitzero"`
}

// lineFile is a file to which lines of JSON about events are appended, each event once. It is used by one goroutine.
type lineFile struct {
	path     string
	maxBytes int64  // a file of this size is renamed before the next lines; 0 is never
	begins   string // how each of its lines begins
	idPath   string // where a line has the event's id

	known fileMark // up to where the file is good; set before the first use to what was kept of it
	file  *os.File // nil if it is to be opened
	buf   []byte

	// Events whose lines stood beyond known when the file was opened, and how many lines each has: they are to come again. Until they
	// have, base is what is kept, since the next process is to recognize those that are left.
	ahead map[llmproxy.EventID]int
	base  fileMark
	since int // events that came since the file was opened
}

const (
	maxLine    = 16 << 20  // longer than any line of ours
	maxLearned = 256 << 20 // more than a process writes between two commits
	aheadFor   = 10_000    // events among which those come that are to come again: more than any batch has
	writeBytes = 256 << 10 // lines go out in pieces of about this size, which stay in memory
)

// append writes a line for each of n events and syncs them. Events that the file has already are passed over. If there is an error
// no line is there, or those that are there will be recognized.
func (l *lineFile) append(n int, id func(i int) llmproxy.EventID, line func(dst []byte, i int) []byte) error {
	if err := l.ready(); err != nil {
		return err
	}
	length, first, err := l.write(n, id, line)
	if err != nil {
		// Best effort: lines that stay are recognized when the file is opened again.
		_ = l.file.Truncate(l.known.Length)
		_ = l.close()
		return err
	}
	if l.known.Length == 0 {
		l.known.First = first
	}
	l.known.Length += length
	for i := range n {
		if id := id(i); l.ahead[id] > 1 {
			l.ahead[id]--
		} else {
			delete(l.ahead, id)
		}
	}
	if l.since += n; l.since >= aheadFor {
		clear(l.ahead) // they are somebody else's
	}
	return nil
}

// mark is what is to be kept for the next process.
func (l *lineFile) mark() fileMark {
	if len(l.ahead) > 0 {
		return l.base
	}
	return l.known
}

func (l *lineFile) write(n int, id func(i int) llmproxy.EventID, line func(dst []byte, i int) []byte) (length int64, first llmproxy.EventID, err error) {
	buf := l.buf[:0]
	flush := func() error {
		w, err := l.file.Write(buf)
		length += int64(w)
		buf = buf[:0]
		return err
	}
	for i := range n {
		if l.ahead[id(i)] > 0 {
			continue
		}
		if first.IsZero() {
			first = id(i)
		}
		buf = append(line(buf, i), '\n')
		if len(buf) >= writeBytes {
			if err := flush(); err != nil {
				return 0, first, err
			}
		}
	}
	if err := flush(); err != nil {
		return 0, first, err
	}
	if l.buf = buf; cap(l.buf) > 2*writeBytes {
		l.buf = nil
	}
	if length > 0 {
		err = l.file.Sync()
	}
	return length, first, err
}

// ready makes sure that the open file is the one under the path, as it was left, and small enough.
func (l *lineFile) ready() error {
	if l.file != nil {
		there, err := os.Stat(l.path)
		mine, myErr := l.file.Stat()
		if err != nil || myErr != nil || !os.SameFile(there, mine) || mine.Size() != l.known.Length {
			if err := l.close(); err != nil {
				return err
			}
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.maxBytes > 0 && l.known.Length >= l.maxBytes && (len(l.ahead) == 0 || !l.base.First.IsZero()) { // base must be found again
		return l.rotate()
	}
	return nil
}

// open opens the file, cuts off a torn last line and learns which events stand beyond what is known to be good: in this file or, if
// it was renamed, in that one and all later ones.
func (l *lineFile) open() error {
	if err := l.close(); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if len(l.ahead) == 0 {
		l.base = l.known
	}
	now, err := l.learn(f)
	if err == nil {
		err = errors.Join(f.Sync(), syncDir(l.path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", l.path, err), f.Close())
	}
	l.file, l.known, l.since = f, now, 0
	return nil
}

// learn returns what the file is like now.
func (l *lineFile) learn(f *os.File) (fileMark, error) {
	if err := l.mend(f); err != nil {
		return fileMark{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return fileMark{}, err
	}
	first, err := l.firstID(f)
	if err != nil {
		return fileMark{}, err
	}
	from := l.known.Length
	if l.known.Path != l.path || from > info.Size() || from > 0 && first != l.known.First {
		from = 0
		if err := l.learnFromRenamed(); err != nil {
			return fileMark{}, err
		}
	}
	if err := l.learnFrom(f, from); err != nil {
		return fileMark{}, err
	}
	return fileMark{Path: l.path, Length: info.Size(), First: first}, nil
}

// learnFromRenamed looks for the file whose mark is kept among its neighbours, and reads it from there on and the later ones.
func (l *lineFile) learnFromRenamed() error {
	if l.known.Path != l.path || l.known.First.IsZero() {
		return nil
	}
	names, err := neighbours(l.path)
	if err != nil {
		return err
	}
	found := false
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			continue // what cannot be read is not ours
		}
		first, err := l.firstID(f)
		from := int64(0)
		if err == nil && first == l.known.First {
			found, from = true, l.known.Length
		}
		if found && !first.IsZero() {
			err = l.learnFrom(f, from)
		} else {
			err = nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// neighbours are the regular files beside path whose names begin as its does, oldest first.
func neighbours(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return nil, err
	}
	type file struct {
		name string
		time time.Time
	}
	var files []file
	for _, entry := range entries {
		if entry.Name() == base || !strings.HasPrefix(entry.Name(), stem) || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, file{dir + entry.Name(), info.ModTime()})
	}
	slices.SortFunc(files, func(a, b file) int {
		if c := a.time.Compare(b.time); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.name
	}
	return names, nil
}

// learnFrom remembers the events of the lines behind an offset, or of the last ones where there are very many: those are ours.
func (l *lineFile) learnFrom(f *os.File, offset int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	offset = max(offset, info.Size()-maxLearned) // a line that it cuts has no id
	s := bufio.NewScanner(io.NewSectionReader(f, offset, 1<<62))
	s.Buffer(nil, maxLine)
	for s.Scan() {
		if id, ok := l.idOf(s.Bytes()); ok {
			l.learned(id)
		}
	}
	return s.Err()
}

// learned notes a line.
func (l *lineFile) learned(id llmproxy.EventID) {
	if l.ahead == nil {
		l.ahead = make(map[llmproxy.EventID]int)
	}
	l.ahead[id]++
}

// firstID is the id in the first line; zero if there is none.
func (l *lineFile) firstID(f *os.File) (llmproxy.EventID, error) {
	s := bufio.NewScanner(io.NewSectionReader(f, 0, 1<<62))
	s.Buffer(nil, maxLine)
	s.Scan()
	id, _ := l.idOf(s.Bytes())
	return id, s.Err()
}

func (l *lineFile) idOf(line []byte) (llmproxy.EventID, bool) {
	id, err := llmproxy.ParseEventID(gjson.GetBytes(line, l.idPath).Str)
	return id, err == nil
}

// mend cuts off a last line without a newline, which a kill or a power cut left. It refuses to cut what is not ours.
func (l *lineFile) mend(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	size := info.Size()
	if size == 0 {
		return nil
	}
	start, fragment := size, []byte(nil)
	for block := int64(4 << 10); ; block *= 4 {
		from := max(size-block, 0)
		b := make([]byte, size-from)
		if _, err := f.ReadAt(b, from); err != nil {
			return err
		}
		if newline := bytes.LastIndexByte(b, '\n'); newline >= 0 || from == 0 {
			start, fragment = from+int64(newline)+1, b[newline+1:]
			break
		}
		if block > maxLine {
			return errors.New("its last line is too long to be ours")
		}
	}
	if start == size {
		return nil
	}
	written, _, _ := bytes.Cut(fragment, []byte{0}) // a power cut may leave zeros
	if n := min(len(written), len(l.begins)); string(written[:n]) != l.begins[:n] {
		return errors.New("what stands behind its last newline is not ours, so nothing is written behind it")
	}
	if err := f.Truncate(start); err != nil {
		return err
	}
	return f.Sync()
}

// rotate renames the file and begins a new one.
func (l *lineFile) rotate() error {
	if err := l.close(); err != nil {
		return err
	}
	ext := filepath.Ext(l.path)
	stem := strings.TrimSuffix(l.path, ext) + "-" + time.Now().UTC().Format("20060102T150405.000Z")
	name := stem + ext
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		name = fmt.Sprintf("%s-%d%s", stem, i, ext)
	}
	if err := os.Rename(l.path, name); err != nil {
		return err
	}
	return l.open()
}

func (l *lineFile) close() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

// syncDir makes a file's name durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
