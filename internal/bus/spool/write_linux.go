package spool

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// writeTo writes the draft at the end of f in one system call, and returns how many bytes went there. Only when the system takes less
// is it asked again, which tells the reason.
func (d *draft) writeTo(f *os.File) (int, error) {
	if len(d.bodies) == 0 {
		return f.Write(d.buf)
	}
	var all [5][]byte
	pieces := append(append(all[:0], d.buf), d.bodies...)
	written := 0
	for len(pieces) > 0 {
		n, err := unix.Writev(int(f.Fd()), pieces)
		runtime.KeepAlive(f)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return written, err
		}
		written += n
		for len(pieces) > 0 && n >= len(pieces[0]) {
			n -= len(pieces[0])
			pieces = pieces[1:]
		}
		if len(pieces) > 0 {
			pieces[0] = pieces[0][n:]
		}
	}
	return written, nil
}
