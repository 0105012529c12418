package h1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/rawio"
)

// Config says where a [Client] connects and what it keeps.
type Config struct {
	Addr           string        // host:port to dial
	Host           string        // of the Host header
	TLS            *tls.Config   // nil is plain HTTP
	Dialer         *net.Dialer   // required; it may refuse addresses
	ConnectTimeout time.Duration // for TCP and TLS together; 0 is none
	MaxConns       int           // connections at once, beyond which a call waits for one; 0 is no limit
	IdleTimeout    time.Duration // how long an unused connection is kept; 0 keeps none
	MaxHead        int64         // largest head of an answer, 1xx ones included; 0 is 256 KiB
}

// Client keeps connections to one origin. It is safe for concurrent use.
type Client struct {
	cfg   Config
	slots chan struct{} // one for each connection in use; nil without a limit

	mu    sync.Mutex
	idle  []*conn // the longest unused first
	sweep *time.Timer
}

// New returns a client. It connects when it is first used.
func New(cfg Config) *Client {
	if cfg.MaxHead == 0 {
		cfg.MaxHead = 256 << 10
	}
	c := &Client{cfg: cfg}
	if cfg.MaxConns > 0 {
		c.slots = make(chan struct{}, cfg.MaxConns)
	}
	return c
}

// CloseIdle closes the connections that no call uses.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	if c.sweep != nil {
		c.sweep.Stop()
		c.sweep = nil
	}
	c.mu.Unlock()
	for _, conn := range idle {
		conn.close()
	}
}

// conn is one connection, used by one call at a time.
type conn struct {
	net.Conn
	r      *bufio.Reader
	budget int64 // bytes that may still be read of a head
	alive  func() bool
	used   bool      // a call went over it before
	since  time.Time // on the wall: the monotonic clock may stand still while a process is frozen
}

var errHeadTooLarge = errors.New("the head of the answer is too large")

// Read implements [io.Reader] for the connection's buffer.
func (c *conn) Read(p []byte) (int, error) {
	if c.budget <= 0 {
		return 0, errHeadTooLarge
	}
	if int64(len(p)) > c.budget {
		p = p[:c.budget]
	}
	n, err := c.Conn.Read(p)
	c.budget -= int64(n)
	return n, err
}

func (c *conn) close() { _ = c.Conn.Close() } // nothing is waiting in it

// readBuffer is the size of a connection's buffer: a head and the beginning of a body. Larger reads pass it by.
const readBuffer = 4 << 10

// takeKept returns an unused connection that is alive, or nil if there is none or no further one may be used.
func (c *Client) takeKept() *conn {
	if c.slots != nil {
		select {
		case c.slots <- struct{}{}:
		default:
			return nil
		}
	}
	for {
		conn := c.takeIdle()
		if conn == nil {
			c.freeSlot()
			return nil
		}
		if conn.alive() {
			return conn
		}
		conn.close()
	}
}

// take waits until a connection may be used and returns one, dialled where none is kept.
func (c *Client) take(ctx context.Context) (*conn, error) {
	if c.slots != nil {
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	for conn := c.takeIdle(); conn != nil; conn = c.takeIdle() {
		if conn.alive() {
			return conn, nil
		}
		conn.close()
	}
	conn, err := c.dial(ctx)
	if err != nil {
		c.freeSlot()
		return nil, err
	}
	return conn, nil
}

// takeIdle takes the connection that was used last, or nil. Where that one is too old, all are: a process that was frozen has missed the
// moment to close them, and gateways forget a connection without a word.
func (c *Client) takeIdle() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.idle) - 1
	if last < 0 {
		return nil
	}
	conn := c.idle[last]
	if time.Since(conn.since) >= c.cfg.IdleTimeout {
		return nil // the timer that is overdue closes it
	}
	c.idle[last] = nil
	c.idle = c.idle[:last]
	return conn
}

// give returns a connection after a call: to be used again, or closed.
func (c *Client) give(conn *conn, reusable bool) {
	defer c.freeSlot()
	if !reusable || c.cfg.IdleTimeout <= 0 {
		conn.close()
		return
	}
	conn.used, conn.since = true, time.Now().Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, conn)
	if c.sweep == nil {
		c.sweep = time.AfterFunc(c.cfg.IdleTimeout, c.closeExpired)
	}
}

func (c *Client) freeSlot() {
	if c.slots != nil {
		<-c.slots
	}
}

// closeExpired closes the connections that were not used for the idle time, and comes again while there are others.
func (c *Client) closeExpired() {
	c.mu.Lock()
	expired := 0
	for expired < len(c.idle) && time.Since(c.idle[expired].since) >= c.cfg.IdleTimeout {
		expired++
	}
	old := append([]*conn(nil), c.idle[:expired]...)
	c.idle = append(c.idle[:0], c.idle[expired:]...)
	switch {
	case c.sweep == nil: // closed meanwhile
	case len(c.idle) == 0:
		c.sweep = nil
	default:
		c.sweep.Reset(c.cfg.IdleTimeout - time.Since(c.idle[0].since))
	}
	c.mu.Unlock()
	for _, conn := range old {
		conn.close()
	}
}

// dial connects, with TLS where the origin has it.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	if c.cfg.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.ConnectTimeout)
		defer cancel()
	}
	raw, err := c.cfg.Dialer.DialContext(ctx, "tcp", c.cfg.Addr)
	if err != nil {
		return nil, err
	}
	raw = rawio.Wrap(raw)
	conn := &conn{Conn: raw, alive: aliveCheck(raw), budget: math.MaxInt64}
	if c.cfg.TLS != nil {
		secured := tls.Client(raw, c.cfg.TLS)
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		conn.Conn = secured
		rawAlive := conn.alive
		conn.alive = func() bool { return rawAlive() && isQuiet(secured) }
	}
	conn.r = bufio.NewReaderSize(conn, readBuffer)
	return conn, nil
}

// isQuiet reports, without waiting, whether the TLS layer holds nothing that was received and not read. What an origin sends beyond its
// answer would otherwise answer the next call.
func isQuiet(c *tls.Conn) bool {
	if c.SetReadDeadline(time.Unix(1, 0)) != nil { // nothing is read from the socket
		return false
	}
	var one [1]byte
	if _, err := c.Read(one[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	return c.SetReadDeadline(time.Time{}) == nil
}
