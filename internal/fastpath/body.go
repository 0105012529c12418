package fastpath

import (
	"io"
	"net/http"
	"sync/atomic"
)

// body is the body of a request. It may be read by one goroutine at a time, which need not be the handler's.
type body struct {
	c      *conn
	left   atomic.Int64 // bytes that are still to come; written by whoever reads
	over   atomic.Bool
	closed atomic.Bool // the handler has returned
}

// ended reports whether the whole body was read, or there is none.
func (b *body) ended() bool { return b == nil || b.over.Load() }

// Read implements [io.Reader]. The last bytes come together with [io.EOF].
func (b *body) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

func (b *body) read(p []byte) (n int, err error) {
	left := b.left.Load()
	if left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	if c := b.c; c.from < c.to {
		n = copy(p, c.buf[c.from:c.to])
		c.from += n
	} else {
		n, err = c.rwc.Read(p)
	}
	left -= int64(n)
	b.left.Store(left)
	switch {
	case left == 0:
		b.over.Store(true)
		return n, io.EOF
	case err == io.EOF: //nolint:errorlint // as connections return it
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		b.c.lost(err)
	}
	return n, err
}

// Close implements [io.Closer]. What was not read is read, or the connection ended, when the handler has returned.
func (b *body) Close() error {
	b.closed.Store(true)
	return nil
}

// discard reads what is left, if that is no more than most, and reports whether the next request can be read.
func (b *body) discard(most int64) bool {
	b.closed.Store(true)
	switch left := b.left.Load(); {
	case left == 0: // as after nearly every request: space, which escapes, must not be made for those
		return true
	case left > most:
		return false
	}
	space := make([]byte, 4<<10)
	for b.left.Load() > 0 {
		if _, err := b.read(space); err != nil && err != io.EOF { //nolint:errorlint // as read returns it
			return false
		}
	}
	return true
}
