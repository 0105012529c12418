package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// retention is what retain did and found.
type retention struct {
	kept    int64 // bytes of the segments that are left
	dropped int   // segments removed that a follower had not read to the end
}

// retain removes the sealed segments which every follower has passed, and, beyond maxBytes in all, the oldest sealed ones whoever
// still wants them. Without a follower there is nobody to want them, so only maxBytes counts and nothing is called dropped.
func retain(dir string, maxBytes int64) (retention, error) {
	list, err := listSegments(dir)
	if err != nil {
		return retention{}, err
	}
	// A cursor that cannot be read is told of, and keeps its segments up to maxBytes.
	cursors, cursorErr := readCursors(dir)
	var r retention
	sizes := make([]int64, len(list))
	passed := make([]bool, len(list))
	for i, g := range list {
		info, err := os.Stat(g.path(dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by another process, or sealed this moment and counted next time
		}
		if err != nil {
			return r, err
		}
		sizes[i] = info.Size()
		r.kept += sizes[i]
		passed[i] = len(cursors) > 0
		for _, c := range cursors {
			at, known := c.Segments[g.name]
			passed[i] = passed[i] && known && at >= sizes[i]
		}
	}
	for i, g := range list {
		tooMuch := r.kept > maxBytes
		if !g.sealed || !passed[i] && !tooMuch {
			continue
		}
		if err := os.Remove(filepath.Join(dir, g.name+extSealed)); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return r, err
		}
		r.kept -= sizes[i]
		if !passed[i] && len(cursors) > 0 {
			r.dropped++
		}
	}
	return r, cursorErr
}
