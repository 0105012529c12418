//go:build unix

package main

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// freeSpace is how many bytes this user may still write to the disk that a folder is on.
func freeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
