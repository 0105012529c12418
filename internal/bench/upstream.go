package bench

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
	"time"
)

// Workload is one kind of request, its answer, and what both look like on the wire.
type Workload struct {
	Path       string
	Body       []byte        // of the request
	Answer     []byte        // of a plain answer
	Events     int           // of an event stream; 0 is a plain answer
	EventEvery time.Duration // between two events
	Hold       bool          // after its events the stream stays open until its caller leaves
}

// Upstream is a provider that answers workloads by hand. It counts what reached it and what reached it changed.
type Upstream struct {
	Requests atomic.Int64
	Changed  atomic.Int64 // requests whose body is not the workload's

	listener  net.Listener
	workloads map[string]*served
	conns     sync.Map
}

// served is a workload with what can be prepared of it.
type served struct {
	Workload
	sum   [sha256.Size]byte
	plain []byte
}

// streamHead is the head of an event stream.
const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\nX-Request-Id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n"

// ServeUpstream answers the workloads on a loopback port until Close.
func ServeUpstream(workloads ...Workload) (*Upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the upstream: %w", err)
	}
	u := &Upstream{listener: listener, workloads: map[string]*served{}}
	for _, w := range workloads {
		s := &served{Workload: w, sum: sha256.Sum256(w.Body)}
		s.plain = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\nX-Request-Id: req_bench\r\nContent-Length: %d\r\n\r\n%s", len(w.Answer), w.Answer)
		u.workloads[w.Path] = s
	}
	go u.accept()
	return u, nil
}

// Addr is where it listens, as host:port.
func (u *Upstream) Addr() string { return u.listener.Addr().String() }

// Close ends it and its connections.
func (u *Upstream) Close() {
	_ = u.listener.Close()
	u.conns.Range(func(conn, _ any) bool { _ = conn.(net.Conn).Close(); return true })
}

func (u *Upstream) accept() {
	for {
		conn, err := u.listener.Accept()
		if err != nil {
			return // closed
		}
		u.conns.Store(conn, nil)
		go func() {
			defer u.conns.Delete(conn)
			defer conn.Close()
			_ = u.serve(conn) // a caller that leaves is no fault of ours
		}()
	}
}

// serve answers the requests of one connection.
func (u *Upstream) serve(conn net.Conn) error {
	r := bufio.NewReaderSize(conn, 16<<10)
	var body []byte
	for {
		path, length, err := readHead(r)
		if err != nil {
			return err
		}
		w := u.workloads[path]
		if w == nil {
			_, err := io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return err
		}
		if body, err = readBody(r, length, body[:0]); err != nil {
			return err
		}
		u.Requests.Add(1)
		if len(body) != len(w.Body) || len(body) < 4096 && !bytes.Equal(body, w.Body) || len(body) >= 4096 && sha256.Sum256(body) != w.sum {
			u.Changed.Add(1)
		}
		if w.Events == 0 {
			if _, err := conn.Write(w.plain); err != nil {
				return err
			}
			continue
		}
		if err := stream(conn, &w.Workload); err != nil {
			return err
		}
	}
}

// stampMember is the member of an event that has the moment of its writing, in 19 digits. OpenAI's hides the length of the content.
const stampMember = `"obfuscation":"`

// stream writes the events, each with the moment of its writing inside.
func stream(conn net.Conn, w *Workload) error {
	if _, err := io.WriteString(conn, streamHead); err != nil {
		return err
	}
	event := make([]byte, 0, 256)
	for i := range w.Events {
		if i > 0 {
			time.Sleep(w.EventEvery)
		}
		event = appendChunk(event[:0], fmt.Sprintf(`data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1795350914,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":"word "}}],%s%019d"}`+"\n\n", stampMember, sinceStart()))
		if _, err := conn.Write(event); err != nil {
			return err
		}
	}
	if w.Hold {
		_, err := io.Copy(io.Discard, conn) // until the caller leaves
		return errors.Join(io.EOF, err)
	}
	_, err := io.WriteString(conn, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
	return err
}

func appendChunk(dst []byte, data string) []byte {
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(append(append(dst, "\r\n"...), data...), "\r\n"...)
	return dst
}

// start is what moments inside events count from: client and upstream are one process.
var start = time.Now()

func sinceStart() int64 { return int64(time.Since(start)) }

// chunked is the length of a body that says its length as it goes.
const chunked = -1

// readHead reads a head up to its empty line and returns the second word of its first line and the body's length.
func readHead(r *bufio.Reader) (second string, length int, err error) {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return second, length, nil
		}
		if first {
			words := strings.SplitN(string(line), " ", 3)
			if len(words) < 2 {
				return "", 0, fmt.Errorf("no HTTP: %q", line)
			}
			second = words[1]
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return "", 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			length = chunked
		}
	}
}

// readBody appends a whole body to dst.
func readBody(r *bufio.Reader, length int, dst []byte) ([]byte, error) {
	if length != chunked {
		return readFull(r, length, dst)
	}
	for {
		n, err := readChunkSize(r)
		if err != nil {
			return dst, err
		}
		if dst, err = readFull(r, n, dst); err != nil {
			return dst, err
		}
		if _, err = r.Discard(2); err != nil || n == 0 {
			return dst, err
		}
	}
}

func readChunkSize(r *bufio.Reader) (int, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
	return int(n), err
}

func readFull(r *bufio.Reader, n int, dst []byte) ([]byte, error) {
	at := len(dst)
	for cap(dst)-at < n {
		dst = append(dst[:cap(dst)], 0)
	}
	dst = dst[:at+n]
	_, err := io.ReadFull(r, dst[at:])
	return dst, err
}
