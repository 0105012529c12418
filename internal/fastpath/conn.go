package fastpath

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/rawio"
)

// headSpace is the space for a head and what comes with it. A longer head is not plain.
const headSpace = 4 << 10

// lingerFor is how long the client's side is read for nobody after the last answer: if it were closed with bytes unread, the answer could
// be lost (RFC 9112, section 9.6).
const lingerFor = 500 * time.Millisecond

var past = time.Unix(1, 0)

// conn is a connection and the request that is served over it.
type conn struct {
	l      *Listener
	rwc    net.Conn
	remote string
	ctx    context.Context // of the connection
	cancel context.CancelFunc

	buf      []byte // what was read and not used is buf[from:to]
	from, to int
	out      []byte // what is to be written
	posted   bool   // the last request was a POST

	// watch starts the watching of a request that takes long. It is not stopped with each request, and set again for the next: to be the
	// earliest of all timers each time would wake a processor for each request.
	watch *time.Timer
	ended chan struct{} // that watching has ended, where somebody waits for it

	mu       sync.Mutex
	idle     bool      // between two requests
	serving  bool      // a handler runs
	armed    bool      // watch will fire
	began    time.Time // the last request
	body     *body
	watching bool // a read for the byte after the request is under way
	stopping bool // that read is to end
	extra    bool // it has got one
	extraBuf [1]byte
	gone     bool // the client has left
}

func newConn(l *Listener, rwc net.Conn) *conn {
	c := &conn{l: l, rwc: rawio.Wrap(rwc), remote: rwc.RemoteAddr().String(), buf: make([]byte, headSpace), idle: true, ended: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.WithValue(l.cfg.BaseContext, http.LocalAddrContextKey, rwc.LocalAddr()))
	return c
}

// serve serves requests until one is not plain, or until the connection ends.
func (c *conn) serve() {
	defer c.l.end(c)
	defer c.cancel()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.serving = false // also where a handler has ended its goroutine
		if c.watch != nil {
			c.watch.Stop()
		}
	}()
	ours := true
	defer func() {
		if ours { // also where a handler has ended its goroutine
			_ = c.rwc.Close()
		}
	}()
	timeout := c.l.cfg.HeaderTimeout
	for {
		request, length := c.next(timeout)
		if request == nil {
			if ours = length == 0; !ours {
				c.l.handOver(c.rwc, c.buf[c.from:c.to])
			}
			return
		}
		c.from += length
		if !c.exchange(request) {
			return
		}
		timeout = c.l.cfg.IdleTimeout
	}
}

// maxEmpty is how many bytes of empty lines are passed over behind a POST: there are clients that send them, and net/http forgives as many
// (RFC 9112, section 2.2).
const maxEmpty = 4

// waitForFirst waits for the first byte of a request, and reports whether it has come.
func (c *conn) waitForFirst(timeout time.Duration) bool {
	empty := 0
	if c.posted {
		empty = maxEmpty
	}
	for {
		for ; empty > 0 && c.from < c.to && (c.buf[c.from] == '\r' || c.buf[c.from] == '\n'); empty-- {
			c.from++
		}
		if c.from < c.to {
			return true
		}
		c.from, c.to = 0, 0
		if c.limit(timeout) != nil || !c.setIdle(true) || c.read() != nil || !c.setIdle(false) {
			return false
		}
	}
}

// next waits for the next request. It returns the request and the length of its head; no request and the length of what came if that is not
// plain; and nothing if nothing came.
func (c *conn) next(timeout time.Duration) (*http.Request, int) {
	if !c.waitForFirst(timeout) {
		return nil, 0
	}
	end := headEnd(c.buf[c.from:c.to])
	if end == 0 {
		c.from, c.to = 0, copy(c.buf, c.buf[c.from:c.to])
		if c.limit(c.l.cfg.HeaderTimeout) != nil {
			return nil, 0
		}
	}
	for end == 0 {
		if c.to == len(c.buf) {
			return nil, c.to
		}
		if err := c.read(); isDeadline(err) {
			return nil, 0 // net/http would say nothing either
		} else if err != nil {
			return nil, c.to // it knows what to say
		}
		end = headEnd(c.buf[:c.to])
	}
	if c.rwc.SetReadDeadline(time.Time{}) != nil {
		return nil, 0
	}
	r, ok := parse(c.buf[c.from : c.from+end])
	if !ok || !c.l.cfg.Takes(r.RequestURI) {
		return nil, c.to - c.from
	}
	return r, end
}

// limit bounds reading; 0 is no limit.
func (c *conn) limit(timeout time.Duration) error {
	deadline := time.Time{}
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	return c.rwc.SetReadDeadline(deadline)
}

// read reads what has come, behind what is there.
func (c *conn) read() error {
	n, err := c.rwc.Read(c.buf[c.to:])
	c.to += n
	if n > 0 {
		return nil
	}
	return err
}

// setIdle notes whether the connection waits for a request, and reports whether it may go on: an idle one ends with the listener.
func (c *conn) setIdle(idle bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = idle
	return !idle || !c.l.closing.Load()
}

// closeIfIdle ends a connection that waits for a request.
func (c *conn) closeIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle {
		_ = c.rwc.Close()
	}
}

// exchange serves a request and reports whether another may follow.
func (c *conn) exchange(r *http.Request) bool {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	r = r.WithContext(ctx)
	r.RemoteAddr = c.remote
	c.posted = r.Method == http.MethodPost
	w := &response{c: c, head: r.Method == http.MethodHead, header: make(http.Header, 8), length: -1}
	if r.ContentLength > 0 {
		w.body = &body{c: c}
		w.body.left.Store(r.ContentLength)
		r.Body = w.body
	}
	c.begin(w.body)
	whole := c.handle(w, r)
	c.stopWatching()
	if !whole || !w.finish() {
		return false
	}
	if !c.end(w) {
		c.linger()
		return false
	}
	return true
}

// linger waits before the end of the connection, so that the client reads the answer to its end.
func (c *conn) linger() {
	if closeWrite(c.rwc) == nil && c.limit(lingerFor) == nil {
		_, _ = io.Copy(io.Discard, c.rwc) // until the client has closed its side, or the time is over
	}
}

// handle runs the handler and reports whether it returned.
func (c *conn) handle(w *response, r *http.Request) (returned bool) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http asks for this very value
			c.l.cfg.ErrorLog.Printf("panic serving %s: %v\n%s", c.remote, p, debug.Stack())
		}
	}()
	c.l.cfg.Handler.ServeHTTP(w, r)
	return true
}

// begin notes that a handler begins.
func (c *conn) begin(b *body) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving, c.body, c.began = true, b, time.Now()
	if !c.armed {
		c.arm(c.l.cfg.WatchAfter)
	}
}

// arm has the timer fire after a time. It is called with mu held.
func (c *conn) arm(after time.Duration) {
	c.armed = true
	if c.watch == nil {
		c.watch = time.AfterFunc(after, c.watchClient)
	} else {
		c.watch.Reset(after)
	}
}

// watchClient reads on behind the request that is being served, so that the end of the connection is seen while its handler runs. It runs on the
// timer's goroutine.
func (c *conn) watchClient() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	if !c.serving || c.watching || c.extra {
		return
	}
	left := c.l.cfg.WatchAfter - time.Since(c.began) // it was armed for a request before
	switch {
	case left > 0:
		c.arm(left)
		return
	case !c.body.ended():
		c.arm(c.l.cfg.WatchAfter)
		return
	case c.from < c.to:
		return // the next request has begun to come
	}
	c.watching = true
	_ = c.rwc.SetReadDeadline(time.Time{}) // the handler's was for the body; if this fails the read ends too
	c.mu.Unlock()
	n, err := c.rwc.Read(c.extraBuf[:])
	c.mu.Lock()
	c.watching, c.extra = false, n == 1
	if err != nil && !(c.stopping && isDeadline(err)) {
		c.gone = true
		c.cancel()
	}
	if c.stopping {
		c.ended <- struct{}{}
	}
}

// stopWatching ends what watchClient does.
func (c *conn) stopWatching() {
	c.mu.Lock()
	c.serving = false
	watching := c.watching
	c.stopping = watching
	c.mu.Unlock()
	if !watching {
		return
	}
	_ = c.rwc.SetReadDeadline(past) // if it fails the read has ended too
	<-c.ended
	c.mu.Lock()
	c.stopping = false
	c.mu.Unlock()
}

// maxUnread is how much of a request's body is read for nobody, so that the connection can go on.
const maxUnread = 256 << 10

// end makes the connection ready for the next request and reports whether there may be one.
func (c *conn) end(w *response) bool {
	if w.close || c.gone || c.l.closing.Load() {
		return false
	}
	if w.body != nil && !w.body.discard(maxUnread, w.timed) {
		return false
	}
	if cap(c.out) > 2*outSpace {
		c.out = nil // a large head was in it
	}
	if c.extra {
		c.buf[0], c.from, c.to, c.extra = c.extraBuf[0], 0, 1, false
	}
	return !w.timed || c.rwc.SetDeadline(time.Time{}) == nil
}

// lost notes that the connection is broken: whoever works for the client can stop.
func (c *conn) lost(err error) {
	if !isDeadline(err) {
		c.cancel()
	}
}

// isDeadline reports whether a deadline has passed. The time-outs of TCP itself are not among them: they end a connection.
func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
