package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

const (
	extOpen   = ".open" // may still be written
	extSealed = ".seg"  // is not written any more
	timeForm  = "20060102T150405.000"
)

var segmentName = regexp.MustCompile(`^((\d{8}T\d{6}\.\d{3})-([0-9a-f]{16})-(\d{6,}))(\.open|\.seg)$`)

// writer names one life of one spool: its locks and segments carry it.
type writer uint64

func newWriter() writer { return writer(rand.Uint64()) } //nolint:gosec // unique is enough

func (w writer) String() string { return fmt.Sprintf("%016x", uint64(w)) }

// seed is where the checksums of the writer's records start.
func (w writer) seed() uint32 { return uint32(w ^ w>>32) }

func (w writer) lockPath(dir string) string { return filepath.Join(dir, w.String()+".lock") }

// segment is a segment file as a folder lists it.
type segment struct {
	name   string // without extension; it keeps it when the segment is sealed
	time   time.Time
	writer writer
	number int
	sealed bool
}

func newSegment(w writer, number int, at time.Time) segment {
	at = at.UTC().Truncate(time.Millisecond)
	return segment{name: fmt.Sprintf("%s-%s-%06d", at.Format(timeForm), w, number), time: at, writer: w, number: number}
}

func (g segment) path(dir string) string {
	if g.sealed {
		return filepath.Join(dir, g.name+extSealed)
	}
	return filepath.Join(dir, g.name+extOpen)
}

// parseSegment reads the name of a file; ok is false if it is not a segment's.
func parseSegment(file string) (g segment, ok bool) {
	m := segmentName.FindStringSubmatch(file)
	if m == nil {
		return segment{}, false
	}
	at, err := time.Parse(timeForm, m[2])
	if err != nil {
		return segment{}, false
	}
	w, err := strconv.ParseUint(m[3], 16, 64)
	if err != nil {
		return segment{}, false
	}
	number, err := strconv.Atoi(m[4])
	if err != nil {
		return segment{}, false
	}
	return segment{name: m[1], time: at, writer: writer(w), number: number, sealed: m[5] == extSealed}, true
}

// listSegments returns the segments in the folder by time; those of one writer stand in the order they were written. One that is
// sealed meanwhile may be missing: ask segmentExists before calling it gone.
func listSegments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, entry := range entries {
		if g, ok := parseSegment(entry.Name()); ok {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b segment) int {
		return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.writer, b.writer), cmp.Compare(a.number, b.number), compareSealed(a, b))
	})
	// Seen under both names, it was sealed while the folder was read.
	return slices.CompactFunc(list, func(a, b segment) bool { return a.name == b.name }), nil
}

// compareSealed puts the sealed one first.
func compareSealed(a, b segment) int {
	switch {
	case a.sealed == b.sealed:
		return 0
	case a.sealed:
		return -1
	}
	return 1
}

// segmentExists reports whether the segment is there under either name.
func segmentExists(dir, name string) (bool, error) {
	for _, ext := range []string{extOpen, extSealed} { // in the order that sealing takes
		_, err := os.Stat(filepath.Join(dir, name+ext))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}

// openSegment opens the segment for reading, under whichever name it has by now. A removed one is fs.ErrNotExist.
func openSegment(dir string, g segment) (*os.File, error) {
	f, err := os.Open(g.path(dir))
	if errors.Is(err, fs.ErrNotExist) && !g.sealed {
		g.sealed = true
		return os.Open(g.path(dir))
	}
	return f, err
}

// create makes the segment's file, to be appended to.
func (g segment) create(dir string) (*os.File, error) {
	return os.OpenFile(g.path(dir), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
}

// seal marks the segment as one that is not written any more. Sealing it again does nothing.
func (g segment) seal(dir string) error {
	sealed := g
	sealed.sealed = true
	err := os.Rename(g.path(dir), sealed.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sealOrRemove seals the segment, or removes it if it is empty.
func (g segment) sealOrRemove(dir string) error {
	info, err := os.Stat(g.path(dir))
	if err == nil && info.Size() == 0 {
		err = os.Remove(g.path(dir))
	} else if err == nil {
		err = g.seal(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir makes the names in the folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
