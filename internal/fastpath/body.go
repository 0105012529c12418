package fastpath

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// body is the body of a request. Whoever reads it need not be the handler's goroutine, and may still do so when the handler has returned.
type body struct {
	c      *conn
	mu     sync.Mutex   // held while it is read
	left   atomic.Int64 // bytes that are still to come; written with mu held
	over   atomic.Bool
	closed atomic.Bool // the handler has returned
}

// ended reports whether the whole body was read, or there is none.
func (b *body) ended() bool { return b == nil || b.over.Load() }

// Read implements [io.Reader]. The last bytes come together with [io.EOF].
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

// read is Read with mu held.
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

// ReadFor reads until p is full, for no longer than d. What has come by then is in p; the error is then [os.ErrDeadlineExceeded], and
// reading can go on.
func (b *body) ReadFor(p []byte, d time.Duration) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if err := b.c.limit(d); err != nil {
		return 0, err
	}
	for n < len(p) && err == nil {
		var more int
		more, err = b.read(p[n:])
		n += more
	}
	if n == len(p) {
		err = nil
	}
	return n, errors.Join(err, b.c.limit(0))
}

// Close implements [io.Closer]. What was not read is read, or the connection ended, when the handler has returned.
func (b *body) Close() error {
	b.closed.Store(true)
	return nil
}

// discard reads what is left, if that is no more than most, and reports whether the next request can be read. It takes no longer than the
// deadline that the handler has set, if it has, or than a head may.
func (b *body) discard(most int64, timed bool) bool {
	b.closed.Store(true)
	if b.ended() {
		return true
	}
	if b.left.Load() > most {
		return false
	}
	if !b.mu.TryLock() { // it is being read
		_ = b.c.rwc.SetReadDeadline(past) // if it fails the read has ended too
		b.mu.Lock()
		timed = false
	}
	defer b.mu.Unlock()
	if !timed && b.c.limit(b.c.l.cfg.HeaderTimeout) != nil {
		return false
	}
	space := make([]byte, 4<<10) // it escapes, so it is made for bodies that are left alone
	for b.left.Load() > 0 {
		if _, err := b.read(space); err != nil && err != io.EOF { //nolint:errorlint // as read returns it
			return false
		}
	}
	return true
}
