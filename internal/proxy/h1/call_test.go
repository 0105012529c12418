package h1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// origin is a server that answers each connection by hand.
type origin struct {
	net.Listener
	conns atomic.Int64
}

// serveRaw answers every connection with serve, which reads requests from r.
func serveRaw(t *testing.T, serve func(conn net.Conn, r *bufio.Reader)) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := &origin{Listener: l}
	var wg sync.WaitGroup
	var open sync.Map
	t.Cleanup(func() {
		l.Close()
		open.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			o.conns.Add(1)
			open.Store(conn, nil)
			wg.Go(func() {
				defer conn.Close()
				serve(conn, bufio.NewReader(conn))
			})
		}
	})
	return o
}

// answering serves each request by writing answer.
func answering(answer string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
}

func clientOf(t *testing.T, addr string, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{Addr: addr, Host: "upstream.example", Dialer: &net.Dialer{}, IdleTimeout: time.Minute}
	if change != nil {
		change(&cfg)
	}
	c := New(cfg)
	t.Cleanup(c.CloseIdle)
	return c
}

// get makes one call and returns the whole answer.
func get(c *Client, req *Request) (status int, body string, err error) {
	var call Call
	defer call.Close()
	if err := call.Do(context.Background(), c, req); err != nil {
		return 0, "", err
	}
	status = call.Status
	data, err := io.ReadAll(&call)
	return status, string(data), err
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestConnectionsAreKept(t *testing.T) {
	o := serveRaw(t, answering(ok))
	c := clientOf(t, o.Addr().String(), nil)
	for range 5 {
		status, body, err := get(c, &Request{Method: "POST", Target: "/v1/x", Body: []byte("{}")})
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, "ok", body)
	}
	require.EqualValues(t, 1, o.conns.Load())
}

func TestRequestIsWrittenAsItIs(t *testing.T) {
	var got bytes.Buffer
	done := make(chan struct{})
	o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) {
		defer close(done)
		_, _ = io.CopyN(&got, r, int64(len("POST /v1/x?a=%20b& HTTP/1.1\r\nHost: upstream.example\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 4\r\n\r\nbody")))
		_, _ = io.WriteString(conn, ok)
	})
	c := clientOf(t, o.Addr().String(), nil)
	_, _, err := get(c, &Request{Method: "POST", Target: "/v1/x?a=%20b&", Header: http.Header{"X-Two": {"1", "2"}, "User-Agent": nil}, Body: []byte("body")})
	require.NoError(t, err)
	<-done
	require.Equal(t, "POST /v1/x?a=%20b& HTTP/1.1\r\nHost: upstream.example\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 4\r\n\r\nbody", got.String())
}

func TestRequestsThatWouldChangeTheirMeaningAreNotSent(t *testing.T) {
	o := serveRaw(t, answering(ok))
	c := clientOf(t, o.Addr().String(), nil)
	for _, req := range []*Request{
		{Method: "GET", Target: "/x HTTP/1.1\r\nX: y"},
		{Method: "GET", Target: "http://other/"},
		{Method: "GET", Target: ""},
		{Method: "GET", Target: "/\x7f"},
		{Method: "GET", Target: "/", Header: http.Header{"X": {"a\r\nY: b"}}},
		{Method: "GET", Target: "/", Header: http.Header{"X": {"a\x00"}}},
		{Method: "GET", Target: "/", Header: http.Header{"X Y": {"a"}}},
		{Method: "GET", Target: "/", Header: http.Header{"": {"a"}}},
	} {
		var call Call
		err := call.Do(context.Background(), c, req)
		require.ErrorIs(t, err, ErrInvalidRequest)
		require.False(t, call.Sent())
		call.Close()
	}
}

func TestAnswersOfEveryForm(t *testing.T) {
	cases := []struct {
		name, method, answer, body string
		status                     int
		length                     int64
		conns                      int64 // that two such calls take
	}{
		{"known length", "GET", ok, "ok", 200, 2, 1},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", 200, -1, 1},
		{"chunked with a trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", "ok", 200, -1, 1},
		{"to the end of the connection", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", "ok", 200, -1, 2},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n", "", 200, 700, 1},
		{"204", "DELETE", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, 0, 1},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 304, 0, 1},
		{"empty", "POST", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200, 0, 1},
		{"more than was announced", "GET", ok + "unasked", "ok", 200, 2, 2},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", 200, 2, 2},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) {
				for {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					_, _ = io.WriteString(conn, test.answer)
					if strings.Contains(test.answer, "close") || strings.Contains(test.answer, "1.0") {
						return
					}
				}
			})
			c := clientOf(t, o.Addr().String(), nil)
			for range 2 {
				var call Call
				require.NoError(t, call.Do(context.Background(), c, &Request{Method: test.method, Target: "/"}))
				require.Equal(t, test.status, call.Status)
				require.Equal(t, test.length, call.Length)
				body, err := io.ReadAll(&call)
				require.NoError(t, err)
				require.Equal(t, test.body, string(body))
				call.Close()
			}
			require.Equal(t, test.conns, o.conns.Load())
		})
	}
}

// TestWhetherABodyWaitsIsKnown: a head is sent on at once where its body is not there yet, and together with what is there of it otherwise.
func TestWhetherABodyWaitsIsKnown(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for answer, waits := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n":  true,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no": false,
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":  false,
		"HTTP/1.1 204 No Content\r\n\r\n":               false,
		"HTTP/1.1 200 OK\r\n\r\n":                       true,
		"HTTP/1.1 200 OK\r\n\r\no":                      false,
		chunked:                                         true,
		chunked + "2":                                   true,
		chunked + "2\r\n":                               true,
		chunked + "2\r\no":                              false,
		chunked + "10;a=b\r\no":                         false,
		chunked + "0\r\n":                               true,
		chunked + "0\r\n\r\n":                           false,
		chunked + "00\r\nX: y\r\n":                      true,
		chunked + "0\r\nX: y\r\n\r\n":                   false,
		chunked + "no size at all\r\nx":                 false,
	} {
		t.Run(answer, func(t *testing.T) {
			o := serveRaw(t, answering(answer))
			c := clientOf(t, o.Addr().String(), nil)
			var call Call
			defer call.Close()
			require.NoError(t, call.Do(t.Context(), c, &Request{Method: "POST", Target: "/v1/x", Body: []byte("{}")}))
			require.Equal(t, waits, call.Waits())
		})
	}
}

func TestBrokenAnswersAreErrors(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":                 "",
		"no HTTP":                 "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"binary":                  "\x16\x03\x01\x02\x00\x01",
		"half a head":             "HTTP/1.1 200 OK\r\nContent-",
		"bad status":              "HTTP/1.1 2oo OK\r\n\r\n",
		"status below 100":        "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
		"two lengths":             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"negative length":         "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
		"unknown coding":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"megabyte of head":        "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"endless interim answers": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 20_000),
		"shorter than announced":  "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
		"chunk cut off":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
		"no last chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"bad chunk size":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nok\r\n0\r\n\r\n",
		"bad end of chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				_, _ = io.WriteString(conn, answer)
			})
			c := clientOf(t, o.Addr().String(), nil)
			_, _, err := get(c, &Request{Method: "POST", Target: "/", Body: []byte("x")})
			require.Error(t, err)
			require.Nil(t, c.takeKept(), "such a connection serves no other call")
		})
	}
}

func TestInterimAnswersComeFirst(t *testing.T) {
	o := serveRaw(t, answering("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+ok))
	c := clientOf(t, o.Addr().String(), nil)
	var seen []string
	_, body, err := get(c, &Request{Method: "GET", Target: "/", Interim: func(status int, h http.Header) { seen = append(seen, fmt.Sprint(status, h.Get("Link"))) }})
	require.NoError(t, err)
	require.Equal(t, "ok", body)
	require.Equal(t, []string{"100", "103</a>"}, seen)
}

func TestNothingIsUpgraded(t *testing.T) {
	o := serveRaw(t, answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
	c := clientOf(t, o.Addr().String(), nil)
	status, _, _ := get(c, &Request{Method: "GET", Target: "/"})
	require.Equal(t, 101, status)
	require.Nil(t, c.takeKept())
}

func TestAConnectionThatTheOriginClosedIsNotUsed(t *testing.T) {
	for name, ending := range map[string]func(net.Conn){
		"FIN":                 func(c net.Conn) { c.Close() },
		"RST":                 func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); c.Close() },
		"bytes nobody wanted": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") },
	} {
		t.Run(name, func(t *testing.T) {
			answered, ended := make(chan struct{}), make(chan struct{})
			var once sync.Once
			o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) {
				for {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					_, _ = io.WriteString(conn, ok)
					once.Do(func() {
						<-answered // a reset would take with it what has not been read
						ending(conn)
						time.Sleep(50 * time.Millisecond) // for it to arrive
						close(ended)
					})
				}
			})
			c := clientOf(t, o.Addr().String(), nil)
			_, _, err := get(c, &Request{Method: "POST", Target: "/"})
			require.NoError(t, err)
			close(answered)
			<-ended
			_, body, err := get(c, &Request{Method: "POST", Target: "/"})
			require.NoError(t, err, "the dead connection is found before a byte is sent")
			require.Equal(t, "ok", body)
			require.EqualValues(t, 2, o.conns.Load())
		})
	}
}

func TestWhetherAByteWasSentIsKnown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	l.Close()
	var call Call
	require.Error(t, call.Do(context.Background(), clientOf(t, addr, nil), &Request{Method: "GET", Target: "/"}))
	require.False(t, call.Sent(), "nobody listens")
	call.Close()

	o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) { _, _ = http.ReadRequest(r) })
	require.Error(t, call.Do(context.Background(), clientOf(t, o.Addr().String(), nil), &Request{Method: "GET", Target: "/"}))
	require.True(t, call.Sent())
	require.False(t, call.Stale(), "the connection was new")
	call.Close()
}

func TestInterruptEndsACallWhereverItWaits(t *testing.T) {
	hang := func(before string) func(net.Conn, *bufio.Reader) {
		return func(conn net.Conn, r *bufio.Reader) {
			_, _ = http.ReadRequest(r)
			_, _ = io.WriteString(conn, before)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	for name, before := range map[string]string{
		"for the head": "", "within the head": "HTTP/1.1 200 OK\r\n", "for the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			o := serveRaw(t, hang(before))
			c := clientOf(t, o.Addr().String(), nil)
			var call Call
			time.AfterFunc(30*time.Millisecond, call.Interrupt)
			err := call.Do(context.Background(), c, &Request{Method: "GET", Target: "/"})
			if err == nil {
				_, err = io.ReadAll(&call)
			}
			require.ErrorIs(t, err, ErrInterrupted)
			call.Close()
			require.Nil(t, c.takeKept())
		})
	}
	t.Run("for a free connection", func(t *testing.T) {
		o := serveRaw(t, hang("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"))
		c := clientOf(t, o.Addr().String(), func(cfg *Config) { cfg.MaxConns = 1 })
		var holder, call Call
		require.NoError(t, holder.Do(context.Background(), c, &Request{Method: "GET", Target: "/"}))
		time.AfterFunc(30*time.Millisecond, call.Interrupt)
		require.ErrorIs(t, call.Do(context.Background(), c, &Request{Method: "GET", Target: "/"}), ErrInterrupted)
		require.False(t, call.Sent())
		call.Close()
		holder.Close()
	})
	t.Run("before it began", func(t *testing.T) {
		o := serveRaw(t, hang(""))
		var call Call
		call.Interrupt()
		require.ErrorIs(t, call.Do(context.Background(), clientOf(t, o.Addr().String(), nil), &Request{Method: "GET", Target: "/"}), ErrInterrupted)
		call.Close()
	})
	t.Run("or its context ends while it waits for a connection", func(t *testing.T) {
		o := serveRaw(t, hang("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"))
		c := clientOf(t, o.Addr().String(), func(cfg *Config) { cfg.MaxConns = 1 })
		var holder, call Call
		require.NoError(t, holder.Do(context.Background(), c, &Request{Method: "GET", Target: "/"}))
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, call.Do(ctx, c, &Request{Method: "GET", Target: "/"}), context.DeadlineExceeded)
		call.Close()
		holder.Close()
	})
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %d %x %v", r.ContentLength, n, h.Sum(nil), err)
	}))
	defer server.Close()
	c := clientOf(t, server.Listener.Addr().String(), nil)
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 5 << 20} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rand.Uint32())
		}
		for _, length := range []int64{int64(size), -1} {
			status, got, err := get(c, &Request{Method: "POST", Target: "/", Stream: bytes.NewReader(body), Length: length})
			require.NoError(t, err)
			require.Equal(t, 200, status)
			require.Equal(t, fmt.Sprintf("%d %d %x <nil>", length, size, sha256.Sum256(body)), got)
		}
		_, got, err := get(c, &Request{Method: "POST", Target: "/", Body: body})
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%d %d %x <nil>", size, size, sha256.Sum256(body)), got)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(t, c.idle, 1, "one connection served all")
}

type faultyStream struct{ err error }

func (s faultyStream) Read([]byte) (int, error) { return 0, s.err }

func TestAFaultOfTheBodyEndsTheCall(t *testing.T) {
	o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	c := clientOf(t, o.Addr().String(), nil)
	fault := errors.New("the caller left")
	for _, length := range []int64{10, -1} {
		_, _, err := get(c, &Request{Method: "POST", Target: "/", Stream: io.MultiReader(strings.NewReader("half"), faultyStream{fault}), Length: length})
		require.ErrorIs(t, err, fault)
	}
	_, _, err := get(c, &Request{Method: "POST", Target: "/", Stream: strings.NewReader("half"), Length: 10})
	require.ErrorIs(t, err, errShortStream)
	require.Nil(t, c.takeKept())
}

// TestAnOriginThatReadsNoBodyIsHeardAllTheSame: its answer does not wait for a body that the connection has no room for.
func TestAnOriginThatReadsNoBodyIsHeardAllTheSame(t *testing.T) {
	heard := make(chan struct{})
	o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) {
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
		<-heard
	})
	defer close(heard)
	c := clientOf(t, o.Addr().String(), nil)
	body := make([]byte, 32<<20)
	for _, req := range []*Request{{Body: body}, {Stream: bytes.NewReader(body), Length: int64(len(body))}} {
		req.Method, req.Target = "POST", "/"
		status, text, err := get(c, req)
		require.NoError(t, err)
		require.Equal(t, "413 no", fmt.Sprint(status, " ", text))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Empty(t, c.idle, "a connection with half a body on it serves nobody")
}

func TestAnAnswerBeforeTheBodyIsReadCounts(t *testing.T) {
	o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	})
	c := clientOf(t, o.Addr().String(), nil)
	blocked, unblock := io.Pipe()
	status, body, err := get(c, &Request{Method: "POST", Target: "/", Stream: blocked, Length: -1})
	require.NoError(t, err)
	require.Equal(t, 413, status)
	require.Equal(t, "no", body)
	require.Nil(t, c.takeKept(), "the request was not sent to its end")
	unblock.Close()
}

func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	closed := make(chan struct{}, 8)
	o := serveRaw(t, func(conn net.Conn, r *bufio.Reader) { answering(ok)(conn, r); closed <- struct{}{} })
	c := clientOf(t, o.Addr().String(), func(cfg *Config) { cfg.IdleTimeout = 50 * time.Millisecond })
	var first, second Call
	require.NoError(t, first.Do(context.Background(), c, &Request{Method: "GET", Target: "/"}))
	require.NoError(t, second.Do(context.Background(), c, &Request{Method: "GET", Target: "/"}))
	_, _ = io.ReadAll(&first)
	first.Close()
	time.Sleep(30 * time.Millisecond)
	_, _ = io.ReadAll(&second)
	second.Close()
	for range 2 {
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Fatal("an idle connection stayed open")
		}
	}
	none := clientOf(t, o.Addr().String(), func(cfg *Config) { cfg.IdleTimeout = 0 })
	_, _, err := get(none, &Request{Method: "GET", Target: "/"})
	require.NoError(t, err)
	<-closed
}

func TestTLSIsVerifiedAndKept(t *testing.T) {
	var conns atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, r.Host) }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	secure := func(cfg *Config) {
		cfg.TLS = &tls.Config{ServerName: "example.com", RootCAs: pool, MinVersion: tls.VersionTLS12}
		cfg.ConnectTimeout = 5 * time.Second
	}
	c := clientOf(t, server.Listener.Addr().String(), secure)
	for range 3 {
		_, body, err := get(c, &Request{Method: "GET", Target: "/"})
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1upstream.example", body)
	}
	require.EqualValues(t, 1, conns.Load())

	other := clientOf(t, server.Listener.Addr().String(), func(cfg *Config) { secure(cfg); cfg.TLS.ServerName = "other.example" })
	_, _, err := get(other, &Request{Method: "GET", Target: "/"})
	require.ErrorContains(t, err, "TLS handshake")
}

// TestBytesThatNobodyAskedForEndAConnection: also where the TLS layer holds them and the socket is quiet. Otherwise they would be the
// answer to the next call, which is another caller's.
func TestBytesThatNobodyAskedForEndAConnection(t *testing.T) {
	const length = 9000 // read past the buffer, so that nothing of the next answer is in it
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, strings.Repeat("x", length))
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	defer certificates.Close()
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			o := serveRaw(t, func(conn net.Conn, _ *bufio.Reader) {
				if secure {
					conn = tls.Server(conn, &tls.Config{Certificates: certificates.TLS.Certificates, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true})
				}
				answering(answer+ok)(conn, bufio.NewReader(conn))
			})
			c := clientOf(t, o.Addr().String(), func(cfg *Config) {
				if secure {
					pool := certificates.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
					cfg.TLS = &tls.Config{ServerName: "example.com", RootCAs: pool, MinVersion: tls.VersionTLS12}
				}
			})
			for range 3 {
				var call Call
				require.NoError(t, call.Do(t.Context(), c, &Request{Method: "GET", Target: "/"}))
				require.EqualValues(t, length, call.Length, "another call's answer")
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{&call}, make([]byte, 32<<10))
				require.NoError(t, err)
				require.EqualValues(t, length, n)
				call.Close()
			}
			require.EqualValues(t, 3, o.conns.Load())
		})
	}
}

func TestConnectingHasALimitOfTime(t *testing.T) {
	o := serveRaw(t, func(conn net.Conn, _ *bufio.Reader) { _, _ = io.Copy(io.Discard, conn) })
	c := clientOf(t, o.Addr().String(), func(cfg *Config) {
		cfg.TLS = &tls.Config{ServerName: "example.com", MinVersion: tls.VersionTLS12}
		cfg.ConnectTimeout = 50 * time.Millisecond
	})
	var call Call
	require.ErrorIs(t, call.Do(context.Background(), c, &Request{Method: "GET", Target: "/"}), context.DeadlineExceeded)
	require.False(t, call.Sent())
	call.Close()
}

func TestNoMoreConnectionsThanAllowed(t *testing.T) {
	var now, most atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
	}))
	defer server.Close()
	c := clientOf(t, server.Listener.Addr().String(), func(cfg *Config) { cfg.MaxConns = 3 })
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			for range 5 {
				if _, _, err := get(c, &Request{Method: "GET", Target: "/"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int64(3))
	require.Positive(t, most.Load())
}

func BenchmarkCall(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			answering("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req\r\nContent-Length: 2\r\n\r\nok")(conn, bufio.NewReader(conn))
		}
	}()
	c := New(Config{Addr: l.Addr().String(), Host: "x", Dialer: &net.Dialer{}, IdleTimeout: time.Minute})
	defer c.CloseIdle()
	req := &Request{Method: "POST", Target: "/", Header: http.Header{"Authorization": {"Bearer x"}, "Content-Type": {"application/json"}}, Body: make([]byte, 500)}
	var call Call
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if err := call.Do(context.Background(), c, req); err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := call.Read(buf); err != nil {
				break
			}
		}
		call.Close()
	}
}
