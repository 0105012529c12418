package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Followers returns the names of all that ever followed the spools of a folder.
func Followers(dir string) ([]string, error) {
	names, err := followers(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// Backlog returns what [Follower.Backlog] does for the follower of that name, which may be at work in another process. Known is false
// if there never was one.
func Backlog(dir, name string) (bytes int64, oldest time.Time, known bool, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, time.Time{}, false, nil
	}
	c, known, err := readCursor(dir, name)
	if err != nil {
		return 0, time.Time{}, false, fmt.Errorf("measure backlog: %w", err)
	}
	f := &Follower{dir: dir, name: name, committed: c}
	bytes, oldest, err = f.Backlog()
	return bytes, oldest, known, err
}
