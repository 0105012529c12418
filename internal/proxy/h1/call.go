package h1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Request is what a call sends. Header is written as it is: no field is added but Host, and Content-Length or Transfer-Encoding.
type Request struct {
	Method string
	Target string // path and query, as they go on the wire
	Header http.Header

	Body   []byte    // sent in one write with the head, where the connection takes it
	Stream io.Reader // instead of Body: read on a goroutine of its own while the answer is waited for
	Length int64     // of Stream; -1 is unknown and sent in chunks

	// Interim is given the answers of status 1xx but 101 that come before the answer. Nil passes over them.
	Interim func(status int, header http.Header)
}

// Call is one request and its answer. The zero value is ready; after Close it can be used again. Its methods are for one goroutine,
// but for Interrupt.
type Call struct {
	Status int
	Header http.Header
	Length int64 // of the answer's body, -1 if it does not say

	client   *Client
	conn     *conn
	body     io.ReadCloser
	sent     bool // a byte of the request may have left
	reused   bool // over a connection that had served before
	answered bool // a byte of an answer has come
	ended    bool // the answer was read to its end
	close    bool // the connection serves no further call
	chunked  bool // the answer's body comes in chunks
	upload   *upload

	mu          sync.Mutex // guards what Interrupt needs
	interrupted bool
	dialling    context.CancelFunc
}

// Errors of a call.
var (
	// ErrInterrupted: Interrupt was called.
	ErrInterrupted = errors.New("call interrupted")
	// ErrInvalidRequest: the request has bytes that would change its meaning on the wire. Nothing was sent.
	ErrInvalidRequest = errors.New("request cannot be written")
	// errStatus: the answer's status is none (RFC 9110, section 15).
	errStatus = errors.New("status of the answer is below 100")
	// errShortStream: the request's body ended before its length.
	errShortStream = errors.New("request body is shorter than its length")
)

// Sent reports whether a byte of the request may have reached the origin.
func (c *Call) Sent() bool { return c.sent }

// Stale reports whether the call failed as it does on a kept connection that the origin was just closing: without a byte of an answer.
func (c *Call) Stale() bool { return c.reused && !c.answered }

// Do sends the request and reads the head of its answer. Whatever it returns, Close must follow.
func (c *Call) Do(ctx context.Context, client *Client, req *Request) error {
	c.client = client
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := c.send(req); err != nil {
		return c.reason(err)
	}
	if err := c.receive(req); err != nil {
		return c.reason(err)
	}
	return nil
}

// connect finds a connection. Interrupt can break off the waiting for one.
func (c *Call) connect(ctx context.Context) error {
	if conn := c.client.takeKept(); conn != nil {
		return c.attach(conn)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.dialling = cancel
	interrupted := c.interrupted
	c.mu.Unlock()
	if interrupted {
		return ErrInterrupted
	}
	conn, err := c.client.take(ctx)
	if err == nil {
		return c.attach(conn)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialling = nil
	if c.interrupted {
		return ErrInterrupted
	}
	return err
}

// attach makes the connection the call's.
func (c *Call) attach(conn *conn) error {
	c.reused = conn.used
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.dialling = conn, nil
	if c.interrupted {
		return ErrInterrupted
	}
	return nil
}

// Interrupt ends the call wherever it waits; it fails with [ErrInterrupted]. It may be called from any goroutine until Close has
// returned.
func (c *Call) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	if c.dialling != nil {
		c.dialling()
	}
	if c.conn != nil {
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // it fails only where the connection is closed
	}
}

// reason is ErrInterrupted where that is why a read or write has failed, or the fault of the request's own stream.
func (c *Call) reason(err error) error {
	c.mu.Lock()
	interrupted := c.interrupted
	c.mu.Unlock()
	if c.upload != nil {
		if fault := c.upload.fault(); fault != nil {
			return fault
		}
	}
	if interrupted {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	return err
}

// heads are buffers for the head of a request and a small body.
var heads = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// send writes the head, with the body if it is in memory.
func (c *Call) send(req *Request) error {
	buf := heads.Get().(*[]byte)
	defer heads.Put(buf)
	head, err := appendHead((*buf)[:0], c.client.cfg.Host, req)
	if err != nil {
		return err
	}
	*buf = head[:0]
	if cap(head) > 64<<10 {
		*buf = nil // one large head must not stay
	}
	if len(req.Body) <= cap(head)-len(head) || len(req.Body) <= 16<<10 {
		head = append(head, req.Body...)
		*buf = head[:0]
		return c.write(head)
	}
	return c.sendLarge(head, req.Body)
}

// sendLarge sends what the connection takes without waiting. The rest of the body is sent while the answer is waited for: the origin may
// answer before it has read all.
func (c *Call) sendLarge(head, body []byte) error {
	n, err := writeNow(c.conn.Conn, head, body)
	c.sent = n > 0
	if err != nil {
		return err
	}
	if n < len(head) {
		if err := c.write(head[n:]); err != nil {
			return err
		}
		n = len(head)
	}
	if rest := body[n-len(head):]; len(rest) > 0 {
		rest = bytes.Clone(rest) // the caller's memory is its own again when the call has ended
		c.upload = startUpload(c, bytes.NewReader(rest), int64(len(rest)))
	}
	return nil
}

func (c *Call) write(p []byte) error {
	n, err := c.conn.Conn.Write(p)
	if n > 0 || err == nil {
		c.sent = true
	}
	return err
}

// appendHead adds the head of a request.
func appendHead(b []byte, host string, req *Request) ([]byte, error) {
	if !validTarget(req.Target) {
		return b, fmt.Errorf("%w: its target has a space or a control character", ErrInvalidRequest)
	}
	b = append(append(append(b, req.Method...), ' '), req.Target...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	b = append(b, "\r\n"...)
	for name, values := range req.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return b, fmt.Errorf("%w: header %q", ErrInvalidRequest, name)
			}
			b = append(append(append(b, name...), ": "...), value...)
			b = append(b, "\r\n"...)
		}
	}
	switch {
	case req.Stream != nil && req.Length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case req.Stream != nil:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), req.Length, 10), "\r\n"...)
	case len(req.Body) > 0 || req.Method != http.MethodGet && req.Method != http.MethodHead && req.Method != http.MethodDelete && req.Method != http.MethodOptions:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(req.Body)), 10), "\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

func validTarget(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// What [http.ReadResponse] asks of a request is its method alone.
var (
	anyRequest  = &http.Request{Method: http.MethodGet}
	headRequest = &http.Request{Method: http.MethodHead}
)

// receive starts sending a stream, and reads the head of the answer.
func (c *Call) receive(req *Request) error {
	if req.Stream != nil {
		c.upload = startUpload(c, req.Stream, req.Length)
	}
	asked := anyRequest
	if req.Method == http.MethodHead {
		asked = headRequest
	}
	c.conn.budget = c.client.cfg.MaxHead
	if _, err := c.conn.r.Peek(1); err != nil {
		return err
	}
	c.answered = true
	for {
		res, err := http.ReadResponse(c.conn.r, asked) //nolint:bodyclose // it ends with the call
		if err != nil {
			return err
		}
		if res.StatusCode < 100 {
			return errStatus
		}
		if res.StatusCode/100 == 1 && res.StatusCode != http.StatusSwitchingProtocols {
			if req.Interim != nil {
				req.Interim(res.StatusCode, res.Header)
			}
			continue
		}
		c.conn.budget = math.MaxInt64
		c.Status, c.Header, c.Length, c.body = res.StatusCode, res.Header, res.ContentLength, res.Body
		c.chunked = len(res.TransferEncoding) > 0
		c.close = res.Close || res.StatusCode == http.StatusSwitchingProtocols
		return nil
	}
}

// Waits reports, before the first Read, whether nothing of the answer's body has come yet, so that a Read would wait for it.
func (c *Call) Waits() bool {
	if c.body == http.NoBody {
		return false
	}
	come, _ := c.conn.r.Peek(c.conn.r.Buffered()) // what is there: it cannot fail
	if !c.chunked {
		return len(come) == 0
	}
	size, data, whole := bytes.Cut(come, []byte("\n"))
	digits := bytes.TrimLeft(size, "0")
	isLast := len(digits) == 0 || digits[0] == '\r' // what is no size at all is a fault, which is not waited for
	return !whole || len(data) == 0 || isLast && !bytes.Contains(come, []byte("\r\n\r\n"))
}

// Read reads the answer's body. At its end it returns [io.EOF]; any other error means that the body is not whole.
func (c *Call) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // the end of a reader is this very error, and one that wraps it is another
		c.ended = true
	case err != nil:
		err = c.reason(err)
	}
	return n, err
}

// Close ends the call and makes it ready for another one. The connection is kept if the answer was read to its end and nothing speaks
// against it.
func (c *Call) Close() {
	c.mu.Lock()
	conn, interrupted := c.conn, c.interrupted
	c.conn = nil
	c.mu.Unlock()
	if conn != nil {
		reusable := c.ended && !c.close && !interrupted && conn.r.Buffered() == 0 && (c.upload == nil || c.upload.sent())
		c.client.give(conn, reusable)
	}
	c.Status, c.Header, c.Length = 0, nil, 0
	c.client, c.body, c.upload = nil, nil, nil
	c.sent, c.reused, c.answered, c.ended, c.close, c.chunked = false, false, false, false, false, false
	c.mu.Lock()
	c.interrupted = false
	c.mu.Unlock()
}

// upload is a request body that is sent while the answer is waited for.
type upload struct {
	ending atomic.Bool   // its last write has begun
	done   atomic.Bool   // all of it was sent
	ended  chan struct{} // nothing of it is sent any more

	mu  sync.Mutex
	err error // of the stream that is read, not of the connection
}

func (u *upload) fault() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// lastWrite is how long the end of a last write is waited for.
const lastWrite = 10 * time.Millisecond

// sent reports whether all of the body was sent. The answer to a body may be there before its last write has returned.
func (u *upload) sent() bool {
	if u.ending.Load() && !u.done.Load() {
		limit := time.NewTimer(lastWrite)
		defer limit.Stop()
		select {
		case <-u.ended:
		case <-limit.C:
		}
	}
	return u.done.Load()
}

// chunkSize is how much of a stream is read and sent at a time.
const chunkSize = 64 << 10

// chunks are buffers with room for a chunk between its size and its line end.
var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize+chunkFrame); return &b }}

// chunkFrame is the room for "10000\r\n" before a chunk and "\r\n" after it.
const (
	chunkLead  = 7
	chunkFrame = chunkLead + 2
)

// startUpload sends the stream. A fault of the stream interrupts the call, since what was sent so far is no whole request; a fault of
// the connection does not: the origin may have answered before.
func startUpload(c *Call, stream io.Reader, length int64) *upload {
	u := &upload{ended: make(chan struct{})}
	conn := c.conn.Conn
	go func() {
		defer close(u.ended)
		buf := chunks.Get().(*[]byte)
		defer chunks.Put(buf)
		var fault error
		if length < 0 {
			fault = sendChunks(conn, stream, *buf, u)
		} else {
			fault = sendLength(conn, stream, length, (*buf)[:chunkSize], u)
		}
		if fault != nil {
			u.mu.Lock()
			u.err = fault
			u.mu.Unlock()
			_ = conn.SetDeadline(time.Unix(1, 0)) // wakes the call, which then finds the fault
		}
	}()
	return u
}

// sendChunks sends a stream of unknown length (RFC 9112, section 7.1).
func sendChunks(w io.Writer, stream io.Reader, buf []byte, u *upload) error {
	for {
		n, err := stream.Read(buf[chunkLead : chunkLead+chunkSize])
		if n > 0 {
			size := strconv.FormatInt(int64(n), 16)
			begin := chunkLead - len(size) - 2
			copy(buf[begin:], size)
			copy(buf[begin+len(size):], "\r\n")
			copy(buf[chunkLead+n:], "\r\n")
			if _, werr := w.Write(buf[begin : chunkLead+n+2]); werr != nil {
				return nil //nolint:nilerr // the connection's fault shows where the answer is read
			}
		}
		switch {
		case err == io.EOF:
			u.ending.Store(true)
			if _, werr := io.WriteString(w, "0\r\n\r\n"); werr == nil {
				u.done.Store(true)
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// sendLength sends a stream of known length.
func sendLength(w io.Writer, stream io.Reader, length int64, buf []byte, u *upload) error {
	for length > 0 {
		n, err := stream.Read(buf[:min(int64(len(buf)), length)])
		if n > 0 {
			length -= int64(n)
			u.ending.Store(length == 0)
			if _, werr := w.Write(buf[:n]); werr != nil {
				return nil //nolint:nilerr // the connection's fault shows where the answer is read
			}
		}
		switch {
		case err == io.EOF && length > 0:
			return errShortStream
		case err != nil && err != io.EOF:
			return err
		}
	}
	u.done.Store(true)
	return nil
}
