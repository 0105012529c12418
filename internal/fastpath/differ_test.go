package fastpath

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzSameAsNetHTTP lets a client's bytes reach a fast path with net/http behind it, and net/http alone: handlers must see the same
// requests, and the client the same answers. The bytes come a few at a time, and then the client's end of the connection.
func FuzzSameAsNetHTTP(f *testing.F) {
	const (
		get   = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
		post  = "POST /all HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
		skip  = "POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
		part  = "PUT /part?a=/b HTTP/1.1\r\nHost: x\r\ncontent-length: 0028\r\n\r\n" + get
		chunk = "POST /all HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	)
	for _, head := range notPlain {
		f.Add([]byte(head+get), uint8(255))
		f.Add([]byte(post+head+get), uint8(40))
	}
	for _, bytes := range []string{
		plainHead, plainHead + "0123456789ab" + get, get + post + skip + part + get, get + post + chunk + get, part + skip + "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + get,
		"GET //evil/a HTTP/1.1\r\nHost: x\r\n\r\n" + get, "GET /a HTTP/1.1\nHost: x\n\n" + get, "GET /a HTTP/1.1\r\nHost: x\r\n\n" + get, "GET /a HTTP/1.1\r\nHost: x\n\r\n" + get,
		"\r\n" + get, post + "\r\n" + get, post + "\r\n\r\n" + get, post + "\r\n\r\n\r\n" + get, post + "\n" + post + "\r\n" + chunk + "\r\n" + get, get + "\r\n" + get, post + "\r\n", post + "\r\n" + get[:20],
		strings.Replace(post, "Content-Length", "Content_Length", 1) + get, strings.Replace(post, "3\r\n\r\nabc", "30\r\n\r\nabc", 1), strings.Replace(skip, "3\r\n\r\nabc", "30\r\n\r\nabc", 1),
		"POST /all HTTP/1.1\r\nHost: x\r\nconnection: keep-alive\r\nte: trailers\r\ncontent-length: 3\r\n\r\nabc" + get, "HEAD /all HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + get,
		"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabc" + get, "GET /a HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", headSpace) + "\r\n\r\n" + get,
		"POST /204 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + get, "GET /304 HTTP/1.1\r\nHost: x\r\n\r\n" + get, "GET /flush HTTP/1.1\r\nHost: x\r\n\r\nHEAD /flush HTTP/1.1\r\nHost: x\r\n\r\n" + get,
	} {
		f.Add([]byte(bytes), uint8(255))
		f.Add([]byte(bytes), uint8(0))
	}
	b := newBoth(f)
	f.Fuzz(func(t *testing.T, sent []byte, step uint8) {
		if len(sent) > 3*headSpace {
			return // net/http waits half a second where much of a body was not read
		}
		theirSight, theirAnswers := b.ask(t, b.net, sent, step)
		ourSight, ourAnswers := b.ask(t, b.fast, sent, step)
		require.Equal(t, theirSight, ourSight, "what handlers saw of %q", sent)
		if n := len(theirAnswers); len(ourAnswers) == n+1 && strings.HasPrefix(ourAnswers[n], "HTTP/1.1 400") {
			ourAnswers = ourAnswers[:n] // net/http says nothing to fewer than four bytes behind a request
		}
		require.Equal(t, theirAnswers, ourAnswers, "answers to %q", sent)
	})
}

// both are net/http alone and a fast path with net/http behind it. Their connections are told apart by the client's address.
type both struct {
	net, fast *queue
	last      atomic.Int64
	seen      sync.Map // by address: *sight
}

// sight is what the handler saw of the requests on a connection.
type sight struct {
	mu       sync.Mutex
	methods  []string
	requests []string
}

func newBoth(t testing.TB) *both {
	b := &both{net: newQueue(), fast: newQueue()}
	handler := http.HandlerFunc(b.see)
	plain := Listen(b.fast, Config{Handler: handler, HeaderTimeout: patience, IdleTimeout: patience, WatchAfter: time.Hour})
	var servers []*http.Server
	var serving sync.WaitGroup
	for _, l := range []net.Listener{b.net, plain} {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: patience, IdleTimeout: patience, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0)}
		servers = append(servers, server)
		serving.Go(func() { _ = server.Serve(l) })
	}
	t.Cleanup(func() {
		plain.Abort()
		for _, s := range servers {
			_ = s.Close()
		}
		serving.Wait()
	})
	return b
}

// see notes a request, and answers in the way that its path names.
func (b *both) see(w http.ResponseWriter, r *http.Request) {
	body, err := []byte("unread"), error(nil)
	switch r.URL.Path {
	case "/none":
	case "/part":
		_, err = io.ReadFull(r.Body, body[:1])
	default:
		body, err = io.ReadAll(r.Body)
	}
	noted, _ := b.seen.Load(r.RemoteAddr)
	s := noted.(*sight)
	s.mu.Lock()
	s.methods = append(s.methods, r.Method)
	s.requests = append(s.requests, fmt.Sprintf("%s %s %#v %s host %q header %q length %d te %q close %v trailer %v no body %v: %q %v",
		r.Method, r.RequestURI, r.URL, r.Proto, r.Host, r.Header, r.ContentLength, r.TransferEncoding, r.Close, r.Trailer, r.Body == http.NoBody, body, err))
	n := len(s.requests)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain")
	switch r.URL.Path {
	case "/204":
		w.WriteHeader(http.StatusNoContent)
	case "/304":
		w.WriteHeader(http.StatusNotModified)
	case "/flush":
		w.WriteHeader(http.StatusAccepted)
		w.(http.Flusher).Flush()
	}
	_, _ = fmt.Fprintf(w, "answer %d", n) // some have no body
}

// ask sends bytes over a connection of its own, and returns what the handler saw and what the client reads.
func (b *both) ask(t *testing.T, to *queue, sent []byte, step uint8) (requests, answers []string) {
	t.Helper()
	address := strconv.FormatInt(b.last.Add(1), 10)
	s := &sight{}
	b.seen.Store(address, s)
	defer b.seen.Delete(address)
	c := &scripted{address: address, unread: sent, step: int(step) + 1, closed: make(chan struct{})}
	to.conns <- c
	select {
	case <-c.closed:
	case <-time.After(patience):
		require.Fail(t, "the connection stays open", "%q", sent)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, readAnswers(c.written.Bytes(), s.methods)
}

// readAnswers tells of answers all but their dates, and whether they announce the end of the connection.
func readAnswers(from []byte, methods []string) (answers []string) {
	r := bufio.NewReader(bytes.NewReader(from))
	for {
		if _, err := r.Peek(1); err != nil {
			return answers
		}
		method := http.MethodGet
		if len(methods) > 0 {
			method = methods[0]
		}
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return append(answers, err.Error())
		}
		body, err := io.ReadAll(res.Body)
		header := new(strings.Builder)
		for _, name := range slices.Sorted(maps.Keys(res.Header)) {
			if name != "Date" && name != "Connection" {
				fmt.Fprintf(header, "%s: %q ", name, res.Header[name])
			}
		}
		answers = append(answers, fmt.Sprintf("%s %s %s %d %v %q %v", res.Proto, res.Status, header, res.ContentLength, res.TransferEncoding, body, err))
		if res.StatusCode >= 200 && len(methods) > 0 {
			methods = methods[1:]
		}
	}
}

// queue is a listener for connections of a test's making.
type queue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newQueue() *queue { return &queue{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}
func (q *queue) Close() error   { q.once.Do(func() { close(q.closed) }); return nil }
func (q *queue) Addr() net.Addr { return address("queue") }

// address is that of a connection which has none.
type address string

func (a address) Network() string { return "test" }
func (a address) String() string  { return string(a) }

// scripted is a connection whose client has sent all it will, and reads all it is sent.
type scripted struct {
	address string
	step    int // how much can be read at once

	mu      sync.Mutex
	unread  []byte
	written bytes.Buffer
	over    bool
	closed  chan struct{} // that nothing more is written
}

func (c *scripted) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.step)], c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *scripted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return 0, net.ErrClosed
	}
	return c.written.Write(p)
}

// CloseWrite ends the test's wait, since net/http sleeps between this and closing.
func (c *scripted) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over = true
		close(c.closed)
	}
	return nil
}
func (c *scripted) Close() error                     { return c.CloseWrite() }
func (c *scripted) LocalAddr() net.Addr              { return address("server") }
func (c *scripted) RemoteAddr() net.Addr             { return address(c.address) }
func (c *scripted) SetDeadline(time.Time) error      { return nil }
func (c *scripted) SetReadDeadline(time.Time) error  { return nil }
func (c *scripted) SetWriteDeadline(time.Time) error { return nil }
