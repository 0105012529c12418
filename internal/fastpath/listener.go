package fastpath

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what is served here and how.
type Config struct {
	// Handler serves plain requests; required. Its answers must say their Content-Type or that they have none: none is guessed.
	Handler http.Handler
	// Takes reports whether a request for this target (path and query, as they came) is the handler's. Nil takes all.
	Takes func(target string) bool
	// BaseContext is the parent of each request's context, which adds [http.LocalAddrContextKey] alone; nil is [context.Background].
	BaseContext context.Context
	// HeaderTimeout is how long a head may take to come, and the rest of a body that the handler has not read; IdleTimeout is how long a
	// connection waits for its next request. 0 is no limit.
	HeaderTimeout, IdleTimeout time.Duration
	// WatchAfter is how long a request takes before its connection is watched, so that its context ends when the client leaves. 0 is 100 ms.
	WatchAfter time.Duration
	// ErrorLog takes panics of the handler and errors of accepting; nil is the standard logger.
	ErrorLog *log.Logger
}

// Listener serves plain requests over the connections of another listener. It is itself a listener, for an [http.Server], of those
// connections on which something else came: they begin with the bytes of the first request that is not served here.
type Listener struct {
	cfg     Config
	inner   net.Listener
	others  chan net.Conn
	closed  chan struct{}
	failed  chan error // why accepting has ended
	closing atomic.Bool

	mu    sync.Mutex
	conns map[*conn]struct{}
	empty chan struct{} // closed when there are none any more; nil while nobody waits for that
}

// Listen begins to serve what comes over inner, which is the listener's from now on.
func Listen(inner net.Listener, cfg Config) *Listener {
	if cfg.BaseContext == nil {
		cfg.BaseContext = context.Background()
	}
	if cfg.Takes == nil {
		cfg.Takes = func(string) bool { return true }
	}
	if cfg.WatchAfter == 0 {
		cfg.WatchAfter = 100 * time.Millisecond
	}
	if cfg.ErrorLog == nil {
		cfg.ErrorLog = log.Default()
	}
	l := &Listener{cfg: cfg, inner: inner, others: make(chan net.Conn), closed: make(chan struct{}), failed: make(chan error, 1), conns: map[*conn]struct{}{}}
	go l.accept()
	return l
}

// Waits between tries of accepting, where the process is short of file descriptors.
const (
	minAcceptWait = 5 * time.Millisecond
	maxAcceptWait = time.Second
)

func (l *Listener) accept() {
	for wait := time.Duration(0); ; {
		c, err := l.inner.Accept()
		switch {
		case err == nil:
			wait = 0
			l.begin(c)
		case l.closing.Load():
			return
		case isTemporary(err):
			wait = min(max(2*wait, minAcceptWait), maxAcceptWait)
			l.cfg.ErrorLog.Printf("accept: %v; trying again in %v", err, wait)
			time.Sleep(wait)
		default:
			l.failed <- err
			return
		}
	}
}

func isTemporary(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}

// begin serves a connection.
func (l *Listener) begin(rwc net.Conn) {
	c := newConn(l, rwc)
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	go c.serve()
}

// end forgets a connection.
func (l *Listener) end(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if len(l.conns) == 0 && l.empty != nil {
		close(l.empty)
		l.empty = nil
	}
}

// handOver gives a connection to whoever accepts from this listener, with what was read of it.
func (l *Listener) handOver(rwc net.Conn, unread []byte) {
	select {
	case l.others <- &handedOver{Conn: rwc, unread: unread}:
	case <-l.closed:
		_ = rwc.Close() // no new requests are taken
	}
}

// Accept implements [net.Listener]: it returns connections on which something came that is not plain.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.others:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case err := <-l.failed:
		l.failed <- err // for whoever asks again
		return nil, err
	}
}

// Addr implements [net.Listener].
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close implements [net.Listener]: no connection and no request is taken any more. Requests under way go on.
func (l *Listener) Close() error {
	if l.closing.Swap(true) {
		return nil
	}
	close(l.closed)
	err := l.inner.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.closeIfIdle()
	}
	return err
}

// Shutdown closes the listener and waits until no request is under way here, or for ctx, whose error it then returns.
func (l *Listener) Shutdown(ctx context.Context) error {
	if err := l.Close(); err != nil {
		return err
	}
	l.mu.Lock()
	if len(l.conns) == 0 {
		l.mu.Unlock()
		return nil
	}
	if l.empty == nil {
		l.empty = make(chan struct{})
	}
	empty := l.empty
	l.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Abort closes the listener and every connection that is still served here.
func (l *Listener) Abort() {
	_ = l.Close() // the connections end whether or not the listener could be closed
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.rwc.Close()
	}
}

// handedOver is a connection of which something was read.
type handedOver struct {
	net.Conn
	unread []byte
}

func (c *handedOver) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) == 0 {
		c.unread = nil
	}
	return n, nil
}

// CloseWrite ends our direction, as net/http does before it closes a connection on which the client may still be sending.
func (c *handedOver) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
