package rawio

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// most is how much one call reads or writes at most, in bytes: as long as it runs, the runtime cannot stop its goroutine.
const most = 64 << 10

// Wrap returns the connection with Read and Write made so, and all else as it was; one that is not TCP stays as it is. Errors are those of
// package net. It is safe for concurrent use, as every [net.Conn].
func Wrap(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c // closed: it says so itself
	}
	w := &conn{TCPConn: tcp, raw: raw}
	w.in.call, w.out.call = w.in.read, w.out.write
	return w
}

type conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out direction
}

// direction is a read or a write under way.
type direction struct {
	mu   sync.Mutex
	call func(fd uintptr) bool // read or write, made once
	p    []byte
	n    int
	err  error
}

// begin takes the direction for p.
func (d *direction) begin(p []byte) {
	d.mu.Lock()
	d.p, d.n, d.err = p, 0, nil
}

// end gives it back.
func (d *direction) end() (int, error) {
	defer d.mu.Unlock()
	d.p = nil
	return d.n, d.err
}

// read reads once, and reports false where it has to be waited for.
func (d *direction) read(fd uintptr) bool {
	for {
		n, err := read(fd, d.p[:min(len(d.p), most)])
		switch err {
		case syscall.EAGAIN: //nolint:errorlint // a call returns a number
			return false
		case syscall.EINTR:
			continue
		}
		d.n, d.err = max(n, 0), err
		return true
	}
}

// write writes what is left, and reports false where it has to be waited for.
func (d *direction) write(fd uintptr) bool {
	for d.n < len(d.p) {
		n, err := write(fd, d.p[d.n:min(len(d.p), d.n+most)])
		switch err {
		case nil:
			d.n += n
		case syscall.EAGAIN: //nolint:errorlint // a call returns a number
			return false
		case syscall.EINTR:
		default:
			d.err = err
			return true
		}
	}
	return true
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in.begin(p)
	err := c.raw.Read(c.in.call)
	n, failed := c.in.end()
	switch {
	case err != nil:
		return 0, c.fault("read", err)
	case failed != nil:
		return 0, c.fault("read", os.NewSyscallError("read", failed))
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	c.out.begin(p)
	err := c.raw.Write(c.out.call)
	n, failed := c.out.end()
	switch {
	case err != nil:
		return n, c.fault("write", err)
	case failed != nil:
		return n, c.fault("write", os.NewSyscallError("write", failed))
	}
	return n, nil
}

// fault names the operation as package net does.
func (c *conn) fault(op string, err error) error {
	if e, ok := err.(*net.OpError); ok { //nolint:errorlint // what RawConn returns, of which only the name of the operation is another one
		e.Op = op
		return e
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
