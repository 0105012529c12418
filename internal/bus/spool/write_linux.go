package spool

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// writeTo writes the draft at the end of f in one system call, and returns how many bytes went there.
func (d *draft) writeTo(f *os.File) (int, error) {
	if len(d.bodies) == 0 {
		return f.Write(d.buf)
	}
	var all [5][]byte
	pieces := append(append(all[:0], d.buf), d.bodies...)
	for {
		n, err := unix.Writev(int(f.Fd()), pieces)
		if err == unix.EINTR {
			continue
		}
		runtime.KeepAlive(f)
		return max(n, 0), err
	}
}
