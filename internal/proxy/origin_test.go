package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// origin is an upstream that reads and writes bytes by hand: it knows each request as it came off the socket, and can answer what no
// server would.
type origin struct {
	URL   string
	conns atomic.Int64 // accepted

	mu   sync.Mutex
	seen []*received
	open map[net.Conn]bool
	bad  []error // requests that could not be read
}

// received is one request as it came. Its body is complete once ended is set.
type received struct {
	Line    string       // request line
	Fields  []headerLine // in their order on the wire
	Chunked bool
	Length  int64 // -1 without Content-Length
	Body    []byte
	Size    int64
	Sum     [32]byte // SHA-256 of the body
	ended   bool
}

type headerLine struct{ Name, Value string }

// call is a request that the origin is about to answer.
type call struct {
	*received
	Conn   net.Conn
	r      *bufio.Reader
	origin *origin
	broken bool // the connection is not used further
}

// serveOrigin starts an origin that answers each request with answer. The body is read before, unless lazy is asked for.
func serveOrigin(t testing.TB, answer func(c *call)) *origin { return startOrigin(t, answer, false) }

// serveLazyOrigin starts an origin whose answer reads the request's body itself.
func serveLazyOrigin(t testing.TB, answer func(c *call)) *origin { return startOrigin(t, answer, true) }

func startOrigin(t testing.TB, answer func(c *call), lazy bool) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := &origin{URL: "http://" + l.Addr().String(), open: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		o.closeAll()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			o.conns.Add(1)
			o.mu.Lock()
			o.open[conn] = true
			o.mu.Unlock()
			wg.Go(func() {
				defer func() {
					conn.Close()
					o.mu.Lock()
					delete(o.open, conn)
					o.mu.Unlock()
				}()
				o.serve(conn, answer, lazy)
			})
		}
	})
	return o
}

func (o *origin) serve(conn net.Conn, answer func(c *call), lazy bool) {
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		req, err := readHead(r)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				o.mu.Lock()
				o.bad = append(o.bad, err)
				o.mu.Unlock()
			}
			return
		}
		o.mu.Lock()
		o.seen = append(o.seen, req)
		o.mu.Unlock()
		c := &call{received: req, Conn: conn, r: r, origin: o}
		if !lazy && c.readBody() != nil {
			return
		}
		answer(c)
		if c.broken || c.readBody() != nil {
			return
		}
	}
}

// closeAll closes the connections that are open.
func (o *origin) closeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for conn := range o.open {
		conn.Close()
	}
}

// requests are those whose head has come.
func (o *origin) requests() []*received {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*received(nil), o.seen...)
}

// whole are the requests that came to their end.
func (o *origin) whole() (all []*received) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.seen {
		if r.ended {
			all = append(all, r)
		}
	}
	return all
}

// last is the request that came last.
func (o *origin) last(t testing.TB) *received {
	t.Helper()
	all := o.requests()
	require.NotEmpty(t, all)
	return all[len(all)-1]
}

func readHead(r *bufio.Reader) (*received, error) {
	req := &received{Length: -1}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			if line == "" && req.Line == "" {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("head ends after %q: %w", line, err)
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		switch {
		case !ok || strings.ContainsAny(text, "\r\n\x00"):
			return nil, fmt.Errorf("line %q", line)
		case text == "" && req.Line != "":
			return req, nil
		case req.Line == "":
			req.Line = text
			continue
		}
		name, value, ok := strings.Cut(text, ": ")
		if !ok {
			return nil, fmt.Errorf("header line %q", text)
		}
		req.Fields = append(req.Fields, headerLine{name, value})
		switch name {
		case "Content-Length":
			if req.Length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return nil, err
			}
		case "Transfer-Encoding":
			req.Chunked = true
		}
	}
}

// keptBody is up to what size a received body is kept, beside its sum.
const keptBody = 1 << 20

// readBody reads the request's body, if it was not read yet.
func (c *call) readBody() error {
	if c.ended {
		return nil
	}
	sum := sha256.New()
	var kept bytes.Buffer
	take := func(n int64) error {
		buf := make([]byte, 32<<10)
		for n > 0 {
			m, err := c.r.Read(buf[:min(n, int64(len(buf)))])
			sum.Write(buf[:m])
			if room := keptBody - kept.Len(); room > 0 {
				kept.Write(buf[:min(m, room)])
			}
			n -= int64(m)
			c.origin.mu.Lock()
			c.Size += int64(m)
			c.origin.mu.Unlock()
			if err != nil {
				return err
			}
		}
		return nil
	}
	if c.Length > 0 {
		if err := take(c.Length); err != nil {
			return err
		}
	}
	for c.Chunked {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(line, "\r\n"), 16, 64)
		if err != nil {
			return err
		}
		if err := take(n); err != nil {
			return err
		}
		if end, err := c.r.ReadString('\n'); err != nil || end != "\r\n" {
			return fmt.Errorf("chunk ends with %q: %w", end, err)
		}
		if n == 0 {
			break
		}
	}
	c.origin.mu.Lock()
	defer c.origin.mu.Unlock()
	c.Body, c.Sum, c.ended = kept.Bytes(), [32]byte(sum.Sum(nil)), true
	return nil
}

// write sends bytes as they are.
func (c *call) write(parts ...string) {
	for _, s := range parts {
		if _, err := io.WriteString(c.Conn, s); err != nil {
			c.broken = true
			return
		}
	}
}

// chunk sends one chunk of a body in chunks.
func (c *call) chunk(s string) { c.write(fmt.Sprintf("%x\r\n%s\r\n", len(s), s)) }

// hangUp closes the connection as a process does that ends well.
func (c *call) hangUp() {
	c.broken = true
	c.Conn.Close()
}

// reset closes the connection with a RST.
func (c *call) reset() {
	c.broken = true
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	c.Conn.Close()
}

// untilGone waits until the other side has closed the connection.
func (c *call) untilGone() {
	c.broken = true
	_, _ = io.Copy(io.Discard, c.r)
}

// values are the values of a header, in their order.
func (r *received) values(name string) (values []string) {
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

const (
	okAnswer   = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// answerOK answers every request with an empty object.
func answerOK(c *call) { c.write(okAnswer) }

// answerWith answers every request with the same bytes.
func answerWith(parts ...string) func(*call) { return func(c *call) { c.write(parts...) } }

// withLength is a whole answer with this status line, further header lines and a body of known length.
func withLength(status, headers, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, headers, len(body), body)
}
