package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A cursor is kept in two files of which the one with the higher generation counts. A commit overwrites the other one in place: so a
// kill in the middle leaves the cursor as it was, and a full disk, which commits are to empty, does not keep it from moving.
var cursorExts = [2]string{".cursor-a", ".cursor-b"}

// lockExt ends the name of the file that a follower's lock stands for.
const lockExt = ".cursor-lock"

// cursor is how far a follower has come.
type cursor struct {
	Generation uint64           `json:"generation"`
	Segments   map[string]int64 `json:"segments"` // bytes passed of the segments that are there
	Note       []byte           `json:"note"`     // the destination's own
}

func cursorPath(dir, name string, generation uint64) string {
	return filepath.Join(dir, name+cursorExts[generation%2])
}

var errBadCursor = errors.New("the cursor's checksum does not fit")

// line is a cursor's file: the CRC-32C of the JSON in hexadecimal digits, and the JSON.
func (c *cursor) line() ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(data, castagnoli), data), nil
}

// parseCursor reads a line; what stands behind it is left from a longer one.
func parseCursor(file []byte) (cursor, error) {
	line, _, whole := bytes.Cut(file, []byte{'\n'})
	if !whole || len(line) < 9 || fmt.Sprintf("%08x ", crc32.Checksum(line[9:], castagnoli)) != string(line[:9]) {
		return cursor{}, errBadCursor
	}
	var c cursor
	if err := json.Unmarshal(line[9:], &c); err != nil {
		return cursor{}, err
	}
	return c, nil
}

// readCursor returns the cursor of that name; found is false if nothing was ever committed to it.
func readCursor(dir, name string) (c cursor, found bool, err error) {
	var bad []error
	missing := 0
	for _, ext := range cursorExts {
		file, err := os.ReadFile(filepath.Join(dir, name+ext))
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			return cursor{}, false, err
		}
		one, err := parseCursor(file)
		if err != nil {
			bad = append(bad, fmt.Errorf("cursor %s: %w", name+ext, err))
			continue
		}
		if !found || one.Generation > c.Generation {
			c, found = one, true
		}
	}
	if !found && missing == 0 {
		return cursor{}, false, errors.Join(bad...)
	}
	return c, found, nil // a torn one alone is the first of all, which says nothing
}

// followers are the names of all that have a cursor, sorted.
func followers(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		for _, ext := range cursorExts {
			if name, ok := strings.CutSuffix(entry.Name(), ext); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// readCursors returns the cursors of all followers. One that cannot be read is an error and, among the others, an empty cursor, so
// that it keeps its segments.
func readCursors(dir string) ([]cursor, error) {
	names, err := followers(dir)
	if err != nil {
		return nil, err
	}
	var all []cursor
	var errs []error
	for _, name := range names {
		c, _, err := readCursor(dir, name)
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, c)
	}
	return all, errors.Join(errs...)
}

// register writes the first cursor of a follower, so that nothing goes before it was read. It fills both files, so that the first
// commit finds its room on the disk taken too.
func register(dir, name string) (c cursor, err error) {
	for c.Generation < uint64(len(cursorExts)) {
		c.Generation++
		if err := c.write(dir, name); err != nil {
			return cursor{}, err
		}
	}
	return c, nil
}

// write makes the cursor durable in the place of the generation before the last.
func (c *cursor) write(dir, name string) (err error) {
	line, err := c.line()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(cursorPath(dir, name, c.Generation), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(line); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(line))); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if c.Generation <= uint64(len(cursorExts)) { // the file is new
		return syncDir(dir)
	}
	return nil
}
