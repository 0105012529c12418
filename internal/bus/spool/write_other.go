//go:build !linux

package spool

import "os"

// writeTo writes the draft at the end of f in one system call, and returns how many bytes went there.
func (d *draft) writeTo(f *os.File) (int, error) {
	d.join()
	return f.Write(d.buf)
}
