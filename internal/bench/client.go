package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Target is where load goes.
type Target struct {
	Addr  string // host:port
	Token string // sent as Authorization: Bearer
}

// Load is what came of a load.
type Load struct {
	Requests  int64
	Errors    int64
	Changed   int64 // answers that are not the workload's
	LastError error
	Elapsed   time.Duration
	Latency   *hdrhistogram.Histogram // µs from when a request was due to the end of its answer
	FirstByte *hdrhistogram.Histogram // µs from when a request was due to the first event
	Delay     *hdrhistogram.Histogram // µs from an event's writing to its reading
}

func newLoad() *Load {
	return &Load{Latency: newHistogram(), FirstByte: newHistogram(), Delay: newHistogram()}
}

func (l *Load) add(other *Load) {
	l.Requests += other.Requests
	l.Errors += other.Errors
	l.Changed += other.Changed
	if other.LastError != nil {
		l.LastError = other.LastError
	}
	l.Latency.Merge(other.Latency)
	l.FirstByte.Merge(other.FirstByte)
	l.Delay.Merge(other.Delay)
}

// Saturate sends requests over connections, each one after another, for a time.
func Saturate(ctx context.Context, t Target, w Workload, connections int, d time.Duration) *Load {
	end := time.Now().Add(d)
	return run(connections, func(_ int, c *client) {
		for now := time.Now(); now.Before(end) && ctx.Err() == nil; now = time.Now() {
			c.do(now)
		}
	}, t, w)
}

// Pace sends perSecond requests a second for a time, spread over connections. A latency counts from the moment a request was due, so
// one that waited for the answer before it shows the wait too (no coordinated omission).
func Pace(ctx context.Context, t Target, w Workload, connections int, perSecond float64, d time.Duration) *Load {
	s := schedule{time.Now(), perSecond}
	return run(connections, func(connection int, c *client) {
		for i := int64(connection); s.offset(i) < d && ctx.Err() == nil; i += int64(connections) {
			due := s.due(i)
			time.Sleep(time.Until(due))
			c.do(due)
		}
	}, t, w)
}

// Count sends n requests over each of the connections.
func Count(ctx context.Context, t Target, w Workload, connections, n int) *Load {
	return run(connections, func(_ int, c *client) {
		for range n {
			if ctx.Err() == nil {
				c.do(time.Now())
			}
		}
	}, t, w)
}

func run(connections int, work func(i int, c *client), t Target, w Workload) *Load {
	begin := time.Now()
	total := newLoad()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() {
			c := &client{target: t, workload: w, load: newLoad(), request: request(t, w)}
			defer c.close()
			work(i, c)
			mu.Lock()
			defer mu.Unlock()
			total.add(c.load)
		})
	}
	wg.Wait()
	total.Elapsed = time.Since(begin)
	return total
}

// Streams are event streams that are held open.
type Streams struct{ conns []net.Conn }

// OpenStreams opens n event streams of a workload that holds them, and returns when each has had its first event. One that breaks off
// before, as a bare ReverseProxy's may, is opened again, up to n times in all.
func OpenStreams(t Target, w Workload, n int) (*Streams, error) {
	s := &Streams{}
	for broken := 0; len(s.conns) < n; {
		conn, err := openStream(t, w)
		switch {
		case err == nil:
			s.conns = append(s.conns, conn)
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			if broken++; broken <= n {
				continue
			}
			fallthrough
		default:
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// openStream opens one and waits for its first event.
func openStream(t Target, w Workload) (net.Conn, error) {
	c := &client{target: t, workload: w, load: newLoad(), request: request(t, w)}
	err := c.send()
	if err == nil {
		_, err = c.first()
	}
	if err != nil && c.conn != nil {
		_ = c.conn.Close()
	}
	return c.conn, err
}

// Close ends the streams.
func (s *Streams) Close() {
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// request is a whole request on the wire, as an OpenAI client sends it.
func request(t Target, w Workload) []byte {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 3.54.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Runtime: CPython\r\nContent-Length: %d\r\n\r\n", w.Path, t.Addr, t.Token, len(w.Body))
	return append([]byte(head), w.Body...)
}

// client is one connection.
type client struct {
	target   Target
	workload Workload
	request  []byte
	conn     net.Conn
	r        *bufio.Reader
	body     []byte
	load     *Load
}

var errStatus = errors.New("status is not 200")

// patience is how long a request may take before it counts as an error.
const patience = 20 * time.Second

func (c *client) do(due time.Time) {
	c.load.Requests++
	if err := c.exchange(due); err != nil {
		c.load.Errors++
		c.load.LastError = err
		c.close()
	}
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// send writes the request, over a new connection if there is none.
func (c *client) send() error {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.target.Addr, patience)
		if err != nil {
			return err
		}
		c.conn, c.r = conn, bufio.NewReaderSize(conn, 8<<10)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(c.request)
	return err
}

// exchange sends the request and reads its answer.
func (c *client) exchange(due time.Time) error {
	if err := c.send(); err != nil {
		return err
	}
	length, err := c.head()
	if err != nil {
		return err
	}
	if c.workload.Events > 0 {
		return c.events(due, length)
	}
	if c.body, err = readBody(c.r, length, c.body[:0]); err != nil {
		return err
	}
	record(c.load.Latency, time.Since(due))
	if !bytes.Equal(c.body, c.workload.Answer) {
		c.load.Changed++
	}
	return nil
}

func (c *client) head() (length int, err error) {
	status, length, err := readHead(c.r)
	if err != nil {
		return 0, err
	}
	if status != "200" {
		return 0, fmt.Errorf("%w: %s", errStatus, status)
	}
	return length, nil
}

// first reads up to the first event of a stream.
func (c *client) first() ([]byte, error) {
	if _, err := c.head(); err != nil {
		return nil, err
	}
	return c.chunk()
}

// chunk reads one chunk of a chunked body; it is empty at the end.
func (c *client) chunk() ([]byte, error) {
	n, err := readChunkSize(c.r)
	if err != nil {
		return nil, err
	}
	if c.body, err = readFull(c.r, n, c.body[:0]); err != nil {
		return nil, err
	}
	_, err = c.r.Discard(2)
	return c.body, err
}

// events reads a stream to its end. A proxy may put several events into one chunk.
func (c *client) events(due time.Time, length int) error {
	if length != chunked {
		return fmt.Errorf("an event stream of length %d", length)
	}
	seen, done := 0, false
	for {
		chunk, err := c.chunk()
		if err != nil {
			return err
		}
		if len(chunk) == 0 {
			break
		}
		now := sinceStart()
		if seen == 0 {
			record(c.load.FirstByte, time.Since(due))
		}
		for rest := chunk; ; {
			_, after, found := bytes.Cut(rest, []byte(stampMember))
			if !found {
				break
			}
			sent, err := strconv.ParseInt(string(after[:19]), 10, 64)
			if err != nil {
				return err
			}
			record(c.load.Delay, time.Duration(now-sent))
			seen++
			rest = after
		}
		done = bytes.HasSuffix(chunk, []byte("data: [DONE]\n\n"))
	}
	if seen != c.workload.Events || !done {
		c.load.Changed++
	}
	record(c.load.Latency, time.Since(due))
	return nil
}
