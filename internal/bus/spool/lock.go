//go:build unix

package spool

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process, or another part of this one, holds what was asked for.
var ErrLocked = errors.New("it is in use by another process")

// tryLock takes the lock that the file at path stands for, making the file if it is missing, or returns ErrLocked at once. The lock
// ends with the file's closing or the process, whichever way it ends.
func tryLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = ErrLocked
			}
			return nil, errors.Join(err, f.Close())
		}
		if current, err := isAt(f, path); err != nil {
			return nil, errors.Join(err, f.Close())
		} else if current {
			return f, nil
		}
		// Its holder removed the file between our opening and locking it: this lock means nothing.
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// isAt reports whether f is the file that path names now.
func isAt(f *os.File, path string) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}

// isHeld reports whether somebody holds the lock that the file at path stands for. To see that it has to hold it for a moment itself:
// who wants it tries again ([lockSoon]).
func isHeld(path string) (held bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	case err != nil:
		return false, err
	}
	return false, nil
}

const (
	lockTries = 10
	lockAgain = 10 * time.Millisecond
)

// lockSoon takes a lock that others look at with [isHeld]. It returns ErrLocked once it has seen it held for longer than a look takes.
func lockSoon(path string) (f *os.File, err error) {
	for range lockTries {
		if f, err = tryLock(path); !errors.Is(err, ErrLocked) {
			return f, err
		}
		time.Sleep(lockAgain)
	}
	return f, err
}
