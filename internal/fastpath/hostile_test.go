package fastpath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnEmptyLineBehindAPostIsPassedOver(t *testing.T) {
	s := start(t, echo)
	c := dial(t, s.Addr())
	for range 3 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\r\n")
		_, body, err := c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, `POST / x 3 <nil> "abc"`, body)
	}
	require.Zero(t, s.others.Load())
}

func TestAHeadThatEndsInLineFeedsIsAnsweredAtOnce(t *testing.T) {
	s := start(t, echo)
	for _, head := range []string{"GET /a HTTP/1.1\nHost: x\n\n", "GET /a HTTP/1.1\r\nHost: x\r\n\n", "GET /a HTTP/1.1\r\nHost: x\n\r\n"} {
		c := dial(t, s.Addr())
		require.NoError(t, c.SetDeadline(time.Now().Add(patience/2))) // a head may take as long as patience
		c.send("%s", head)
		_, body, err := c.answer("GET")
		require.NoError(t, err)
		require.Equal(t, `GET /a x 0 <nil> ""`, body)
	}
	require.EqualValues(t, 3, s.others.Load())
}

// TestABodyThatAGoroutineStillReads must not lead to a wrong idea of where the next request begins.
func TestABodyThatAGoroutineStillReads(t *testing.T) {
	const length = 20_000
	read := make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, r.RequestURI)
			return
		}
		_, _ = r.Body.Read(make([]byte, 1))
		reads := make(chan struct{})
		go func() {
			close(reads)
			_, _ = io.Copy(io.Discard, struct{ io.Reader }{r.Body})
			read <- struct{}{}
		}()
		<-reads
		runtime.Gosched()
	})
	c := dial(t, s.Addr())
	for i := range 50 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\na", length)
		for range 20 {
			c.send("%s", strings.Repeat("GET /smuggled HTTP/1.1\r\n", 100)[:(length-1)/20])
		}
		c.send("%s", strings.Repeat("a", (length-1)%20))
		res, _, err := c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, 200, res.StatusCode)
		<-read
		c.send("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		_, body, err := c.answer("GET")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("/%d", i), body)
	}
	require.Zero(t, s.others.Load())
}

func TestABodyThatNobodyReadsAndThatDoesNotCome(t *testing.T) {
	reading := false
	read := make(chan error, 1)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		if reading {
			begun := make(chan struct{})
			go func() {
				_, _ = r.Body.Read(make([]byte, 1))
				close(begun)
				_, err := io.ReadAll(r.Body)
				read <- err
			}()
			<-begun
		}
	}, func(c *Config) { c.HeaderTimeout = 50 * time.Millisecond })
	for range 2 {
		c := dial(t, s.Addr())
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab")
		_, _, err := c.answer("POST")
		require.NoError(t, err)
		require.True(t, c.ends())
		if reading {
			require.Error(t, <-read)
		}
		require.NoError(t, c.Close())
		require.NoError(t, s.waitForNone(t), "the connection is over")
		reading = true
	}
}

// waitForNone waits until no connection is served.
func (s *served) waitForNone(t *testing.T) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		s.mu.Lock()
		n := len(s.conns)
		s.mu.Unlock()
		if n == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
}

// TestAReadDeadlineForTheBody says nothing about the client once the body has come.
func TestAReadDeadlineForTheBody(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		_, _ = io.ReadAll(r.Body)
		w.Header()["Content-Type"] = nil
		select {
		case <-r.Context().Done():
			_, _ = io.WriteString(w, "gone")
		case <-time.After(100 * time.Millisecond):
			_, _ = io.WriteString(w, "there")
		}
	})
	c := dial(t, s.Addr())
	for range 3 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		_, body, err := c.answer("POST")
		require.NoError(t, err)
		require.Equal(t, "there", body)
	}
}

func TestAHandlerThatEndsItsGoroutineEndsTheConnection(t *testing.T) {
	s := start(t, func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
	c := dial(t, s.Addr())
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.True(t, c.ends())
	require.NoError(t, s.waitForNone(t))
}

func TestAHeadThatIsLateIsNotHandedOver(t *testing.T) {
	s := start(t, echo, func(c *Config) { c.HeaderTimeout = 30 * time.Millisecond })
	c := dial(t, s.Addr())
	c.send("GET / HTTP/1.1\r\n")
	require.True(t, c.ends())
	require.Zero(t, s.others.Load(), "it would get the same time again")
}

func TestATimeOutOfTCPIsNoDeadline(t *testing.T) {
	require.False(t, isDeadline(fmt.Errorf("read tcp: %w", syscall.ETIMEDOUT)), "the connection is broken, its client gone")
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		_ = http.NewResponseController(w).SetReadDeadline(past)
		_, err := r.Body.Read(make([]byte, 1))
		_, _ = fmt.Fprint(w, isDeadline(err), r.Context().Err())
	})
	c := dial(t, s.Addr())
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
	_, body, err := c.answer("POST")
	require.NoError(t, err)
	require.Equal(t, "true <nil>", body)
}

// TestALongHeadOfAnAnswerIsNotKept between requests.
func TestALongHeadOfAnAnswerIsNotKept(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("X-Long", strings.Repeat("a", 100_000))
	})
	c := dial(t, s.Addr())
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		res, _, err := c.answer("GET")
		require.NoError(t, err)
		require.Len(t, res.Header.Get("X-Long"), 100_000)
		require.Eventually(t, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			for conn := range s.conns {
				conn.mu.Lock()
				defer conn.mu.Unlock()
				return conn.idle && cap(conn.out) <= 2*outSpace
			}
			return false
		}, patience, time.Millisecond)
	}
}

func TestALateWriteOfAFailedAnswerFails(t *testing.T) {
	written := make(chan error, 1)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				_, again := w.Write([]byte("more"))
				<-r.Context().Done()
				written <- errors.Join(err, again)
				return
			}
		}
	})
	c := dial(t, s.Addr())
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, c.Close())
	require.Error(t, <-written)
}
