package fastpath

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// served is a fast path with net/http behind it.
type served struct {
	*Listener
	t      *testing.T
	server *http.Server
	others atomic.Int64 // connections that net/http was given
	log    bytes.Buffer // read when all is over
}

// Accept counts.
func (s *served) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		s.others.Add(1)
	}
	return c, err
}

func start(t *testing.T, handler http.HandlerFunc, change ...func(*Config)) *served {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &served{t: t}
	cfg := Config{Handler: handler, HeaderTimeout: patience, IdleTimeout: patience, WatchAfter: time.Millisecond, ErrorLog: log.New(&s.log, "", 0)}
	for _, c := range change {
		c(&cfg)
	}
	s.Listener = Listen(inner, cfg)
	s.server = &http.Server{Handler: handler, ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(s) }()
	t.Cleanup(func() {
		s.Abort()
		_ = s.server.Close()
		<-done
	})
	return s
}

// dial connects; the connection is closed at the end.
func dial(t *testing.T, addr net.Addr) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &client{t, conn, bufio.NewReader(conn)}
}

// client is the other end of a connection.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	_, err := fmt.Fprintf(c.Conn, format, args...)
	require.NoError(c.t, err)
}

// answer reads an answer with its body; the error is that of reading the body.
func (c *client) answer(method string) (*http.Response, string, error) {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	require.NoError(c.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// ends reports whether the server has closed the connection behind what was read.
func (c *client) ends() bool {
	_, err := c.r.ReadByte()
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s %d %v %q", r.Method, r.RequestURI, r.Host, r.ContentLength, err, body)
}

func TestPlainRequestsFollowOneAnotherOnAConnection(t *testing.T) {
	s := start(t, echo)
	c := dial(t, s.Addr())
	for i := range 3 {
		c.send("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", i)
		res, body, err := c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf(`POST /%d x 3 <nil> "abc"`, i), body)
		require.NotEmpty(t, res.Header.Get("Date"))
		c.send("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		_, body, err = c.answer("GET")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf(`GET /%d x 0 <nil> ""`, i), body)
	}
	require.Zero(t, s.others.Load())
}

func TestARequestMayComeInPieces(t *testing.T) {
	s := start(t, echo)
	c := dial(t, s.Addr())
	whole := "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789"
	for range 2 {
		for i := range len(whole) {
			c.send("%s", whole[i:i+1])
		}
		_, body, err := c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, `POST /a x 10 <nil> "0123456789"`, body)
	}
	require.Zero(t, s.others.Load())
}

func TestRequestsMayComeTogether(t *testing.T) {
	s := start(t, echo)
	c := dial(t, s.Addr())
	c.send("%s", strings.Repeat("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: x\r\n\r\n", 200))
	for range 200 {
		_, body, _ := c.answer("POST")
		require.Equal(t, `POST /a x 3 <nil> "abc"`, body)
		_, body, _ = c.answer("GET")
		require.Equal(t, `GET /b x 0 <nil> ""`, body)
	}
	require.Zero(t, s.others.Load())
}

func TestTheNextRequestMayComeDuringAnAnswer(t *testing.T) {
	next := make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		if r.RequestURI == "/slow" {
			_, _ = io.WriteString(w, "slow")
			w.(http.Flusher).Flush()
			<-next
			time.Sleep(20 * time.Millisecond) // for it to be seen by what watches the connection
			if r.Context().Err() != nil {
				panic("the client has not left")
			}
		}
	})
	c := dial(t, s.Addr())
	for range 3 {
		c.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		c.send("GET /fast HTTP/1.1\r\nHost: x\r\n\r\n")
		next <- struct{}{}
		_, body, err := c.answer("GET")
		require.NoError(t, err)
		require.Equal(t, "slow", body)
		res, body, err := c.answer("GET")
		require.NoError(t, err)
		require.Empty(t, body)
		require.Equal(t, "0", res.Header.Get("Content-Length"))
	}
	require.Zero(t, s.others.Load())
}

func TestWhatIsNotPlainReachesNetHTTPWhole(t *testing.T) {
	s := start(t, echo, func(c *Config) { c.Takes = func(target string) bool { return target != "/theirs" } })
	for name, request := range map[string]string{
		"chunked":              "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"another's":            "POST /theirs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"a long head":          "POST /a HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 2*headSpace) + "\r\nContent-Length: 3\r\n\r\nabc",
		"closed with it":       "POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
		"an older HTTP":        "POST /a HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"behind a plain one":   "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPOST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"before a plain one":   "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"a head that ends":     "POST /a HTTP/1.1\r\nHost:",
		"nothing that is HTTP": "hello\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := s.others.Load()
			plain := &http.Server{Handler: http.HandlerFunc(echo), ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0)}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			done := make(chan struct{})
			go func() { _ = plain.Serve(listener); close(done) }()
			defer func() { _ = plain.Close(); <-done }()
			theirs, ours := talk(t, listener.Addr(), request), talk(t, s.Addr(), request)
			require.Equal(t, theirs, ours)
			require.Equal(t, before+1, s.others.Load())
		})
	}
}

// talk sends bytes, ends its side, and returns what comes back, without the time and in the order of names.
func talk(t *testing.T, addr net.Addr, request string) string {
	t.Helper()
	c := dial(t, addr)
	c.send("%s", request)
	require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
	var all strings.Builder
	for {
		res, err := http.ReadResponse(c.r, nil)
		if err != nil {
			return all.String()
		}
		res.Header.Del("Date")
		body, err := io.ReadAll(res.Body)
		fmt.Fprintf(&all, "%s %v %s %v\n", res.Status, res.Header, body, err)
	}
}

// TestAnswersAreAsNetHTTPWritesThem, for every way of answering that the fast path promises.
func TestAnswersAreAsNetHTTPWritesThem(t *testing.T) {
	typed := func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/plain") }
	answers := map[string]http.HandlerFunc{
		"/nothing": func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil },
		"/status": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(200)
		},
		"/strange": func(w http.ResponseWriter, _ *http.Request) { typed(w); w.WriteHeader(599) },
		"/length": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "hello")
		},
		"/flushed": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			_, _ = io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "b")
		},
		"/small": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			_, _ = io.WriteString(w, "a")
			_, _ = io.WriteString(w, "b")
		},
		"/middle": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			_, _ = w.Write(make([]byte, 2000))
			_, _ = w.Write(make([]byte, 2000))
		},
		"/none": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			_, _ = io.WriteString(w, "lost")
		},
		"/same": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"a"`)
			w.WriteHeader(http.StatusNotModified)
		},
		"/unknown": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusNotModified)
		},
		"/changed": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(200)
			w.Header().Del("Content-Length")
			w.Header().Set("X-Late", "a")
			_, _ = io.WriteString(w, "hello")
		},
		"/late": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			_, _ = io.WriteString(w, "hello")
			w.Header().Set("Content-Length", "4")
			w.Header().Set("Connection", "close")
			w.Header().Set("X-Late", "a")
		},
		"/early": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			typed(w)
			w.WriteHeader(200)
		},
		"/dateless": func(w http.ResponseWriter, _ *http.Request) { typed(w); w.Header()["Date"] = nil; w.WriteHeader(200) },
		"/injected": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			w.Header()["X-A"] = []string{"a\r\nX-B: c"}
			w.Header()["X C"] = []string{"d"}
		},
		"/large": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			for i := range 40 {
				_, _ = w.Write(bytes.Repeat([]byte{byte('a' + i%26)}, 1<<i%(64<<10)+1))
			}
		},
		"/closed": func(w http.ResponseWriter, _ *http.Request) {
			typed(w)
			w.Header().Set("Connection", "close")
			w.Header().Set("Content-Length", "0")
		},
	}
	handler := func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w, r) }
	s := start(t, handler)
	plain := &http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { _ = plain.Serve(listener); close(done) }()
	defer func() { _ = plain.Close(); <-done }()
	for path := range answers {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			ask := func(addr net.Addr) (*http.Response, string, error, bool) {
				c := dial(t, addr)
				c.send("%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, path)
				var res *http.Response
				var body string
				var err error
				for res, body, err = c.answer(method); res.StatusCode == 103; res, body, err = c.answer(method) {
					require.Equal(t, "</a>", res.Header.Get("Link"))
				}
				if _, ok := res.Header["Date"]; ok {
					res.Header.Set("Date", "now")
				}
				c.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
				return res, body, err, c.ends()
			}
			theirs, theirBody, theirErr, theirEnd := ask(listener.Addr())
			ours, ourBody, ourErr, ourEnd := ask(s.Addr())
			what := method + " " + path
			require.Equal(t, theirs.Status, ours.Status, what)
			require.Equal(t, theirs.Header, ours.Header, what)
			require.Equal(t, theirs.ContentLength, ours.ContentLength, what)
			require.Equal(t, theirs.TransferEncoding, ours.TransferEncoding, what)
			require.Equal(t, theirBody, ourBody, what)
			require.Equal(t, theirErr, ourErr, what)
			require.Equal(t, theirEnd, ourEnd, what)
		}
	}
	require.Zero(t, s.others.Load())
}

func TestAnAnswerThatIsNotAsLongAsItSaysIsBroken(t *testing.T) {
	written := make(chan error, 1)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("Content-Length", "5")
		_, err := io.WriteString(w, strings.TrimPrefix(r.RequestURI, "/"))
		written <- err
	})
	c := dial(t, s.Addr())
	c.send("GET /abc HTTP/1.1\r\nHost: x\r\n\r\n")
	_, body, err := c.answer("GET")
	require.NoError(t, <-written)
	require.Equal(t, "abc", body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	c = dial(t, s.Addr())
	c.send("GET /abcdef HTTP/1.1\r\nHost: x\r\n\r\n")
	require.ErrorIs(t, <-written, http.ErrContentLength)
	_, _, err = c.answer("GET")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestAPanicBreaksTheAnswerAndNothingElse(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		if r.RequestURI == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("poison")
	})
	for _, path := range []string{"/abort", "/panic"} {
		c := dial(t, s.Addr())
		c.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		_, body, err := c.answer("GET")
		require.Equal(t, "part", body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	require.NoError(t, s.Shutdown(t.Context()))
	require.Contains(t, s.log.String(), "poison")
	require.NotContains(t, s.log.String(), "abort Handler")
}

func TestAClientThatLeavesIsNoticed(t *testing.T) {
	for name, request := range map[string]string{"without a body": "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "with one": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"} {
		t.Run(name, func(t *testing.T) {
			come, gone := make(chan struct{}), make(chan error, 1)
			s := start(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				close(come)
				select {
				case <-r.Context().Done():
					gone <- r.Context().Err()
				case <-time.After(patience):
					gone <- nil
				}
			})
			c := dial(t, s.Addr())
			c.send("%s", request)
			<-come
			require.NoError(t, c.Close())
			require.ErrorIs(t, <-gone, context.Canceled)
		})
	}
}

func TestABodyThatBreaksOffIsAnError(t *testing.T) {
	failed := make(chan error, 1)
	s := start(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
		<-r.Context().Done() // nobody is there to be answered
	})
	c := dial(t, s.Addr())
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-failed, io.ErrUnexpectedEOF)
}

// TestAReadOfABodyCanBeGivenUp: it takes what has come, the rest is read later, and the connection serves on.
func TestAReadOfABodyCanBeGivenUp(t *testing.T) {
	type bounded interface {
		ReadFor(p []byte, d time.Duration) (int, error)
	}
	came := make(chan string)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		body := r.Body.(bounded)
		p := make([]byte, 6)
		n, err := body.ReadFor(p, patience)
		came <- fmt.Sprintf("%s%v", p[:n], err)
		n, err = body.ReadFor(p, time.Millisecond)
		came <- fmt.Sprintf("%s%v", p[:n], errors.Is(err, os.ErrDeadlineExceeded))
		rest, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s%v%v", rest, err, r.Context().Err())
	})
	c := dial(t, s.Addr())
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nabcdef")
		require.Equal(t, "abcdef<nil>", <-came)
		require.Equal(t, "true", <-came)
		c.send("ghi")
		c.send("jkl")
		_, body, err := c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, "ghijkl<nil><nil>", body)
	}
}

// TestAReadForATimeIsAsAnyOther: it ends where the body does, and it fails where the client leaves.
func TestAReadForATimeIsAsAnyOther(t *testing.T) {
	outcome := make(chan string, 2)
	s := start(t, func(_ http.ResponseWriter, r *http.Request) {
		body := r.Body.(*body)
		n, err := body.ReadFor(make([]byte, 100), patience)
		outcome <- fmt.Sprintf("%d %v", n, err)
		_ = body.Close()
		_, err = body.ReadFor(make([]byte, 1), patience)
		outcome <- fmt.Sprint(err)
	})
	whole, cut := dial(t, s.Addr()), dial(t, s.Addr())
	whole.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	require.Equal(t, "3 EOF", <-outcome)
	require.Equal(t, http.ErrBodyReadAfterClose.Error(), <-outcome)
	cut.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
	require.NoError(t, cut.Close())
	require.Equal(t, "1 unexpected EOF", <-outcome)
	<-outcome
}

func TestABodyThatNobodyReads(t *testing.T) {
	late, over := make(chan error, 1), make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.WriteHeader(http.StatusForbidden)
		if r.Method != http.MethodPost {
			return
		}
		go func() {
			<-over
			_, err := r.Body.Read(make([]byte, 1))
			select {
			case late <- err:
			default:
			}
		}()
	})
	t.Run("is passed over where it is small", func(t *testing.T) {
		c := dial(t, s.Addr())
		for range 3 {
			c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("a", 100_000))
			res, _, err := c.answer("POST")
			require.NoError(t, err)
			require.Equal(t, 403, res.StatusCode)
			require.False(t, res.Close)
		}
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") // it is taken when the ones before have ended
		_, _, err := c.answer("GET")
		require.NoError(t, err)
		close(over)
		require.ErrorIs(t, <-late, http.ErrBodyReadAfterClose)
	})
	t.Run("ends the connection where it is large, and the answer arrives", func(t *testing.T) {
		c := dial(t, s.Addr())
		go func() {
			_, _ = c.Write(append([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"), make([]byte, 10_000_000)...))
		}()
		res, _, err := c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, 403, res.StatusCode)
		require.True(t, res.Close)
		require.True(t, c.ends())
	})
}

func TestDeadlinesOfAHandlerEndWithItsRequest(t *testing.T) {
	const soon = 500 * time.Millisecond // a busy machine may leave a handler alone for that long and hardly longer
	var deadline time.Time
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		control := http.NewResponseController(w)
		if r.RequestURI == "/timed" {
			deadline = time.Now().Add(soon)
			_ = control.EnableFullDuplex()
			_ = control.SetWriteDeadline(deadline)
			_ = control.SetReadDeadline(deadline)
			_, err := io.ReadAll(r.Body)
			_, _ = fmt.Fprint(w, err)
			return
		}
		time.Sleep(time.Until(deadline) + 10*time.Millisecond)
		_, _ = io.WriteString(w, "fine")
	})
	c := dial(t, s.Addr())
	for range 2 {
		c.send("POST /timed HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		_, body, err := c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, "<nil>", body)
		c.send("POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		_, body, err = c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, "fine", body)
	}
	c.send("POST /timed HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
	_, err := io.Copy(io.Discard, c.r)
	require.NoError(t, err, "a body that does not come ends the connection")
}

func TestAHeadHasItsTime(t *testing.T) {
	idle := start(t, echo, func(c *Config) { c.IdleTimeout = 50 * time.Millisecond })
	c := dial(t, idle.Addr())
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_, _, err := c.answer("GET")
	require.NoError(t, err)
	require.True(t, c.ends(), "no further request comes")

	s := start(t, echo, func(c *Config) { c.HeaderTimeout = 50 * time.Millisecond })
	s.server.ReadHeaderTimeout = 50 * time.Millisecond
	require.True(t, dial(t, s.Addr()).ends(), "nothing comes")
	c = dial(t, s.Addr())
	stop := make(chan struct{})
	var dripping sync.WaitGroup
	dripping.Go(func() {
		for begin := "GET / HTTP/1.1\r\nX-A: "; ; begin = "a" {
			if _, err := io.WriteString(c.Conn, begin); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	require.True(t, c.ends(), "a head that drips")
	close(stop)
	dripping.Wait()
}

func BenchmarkRequest(b *testing.B) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	l := Listen(inner, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = []string{"text/plain"}
	})})
	defer l.Abort()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	defer conn.Close()
	answer := make([]byte, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		if _, err := conn.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}
