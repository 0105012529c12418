package fastpath

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAShutdownWaitsForRequestsAndTakesNone(t *testing.T) {
	come, let := make(chan struct{}), make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		if r.RequestURI == "/slow" {
			close(come)
			<-let
		}
	})
	idle, slow := dial(t, s.Addr()), dial(t, s.Addr())
	idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_, _, err := idle.answer("GET")
	require.NoError(t, err)
	slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-come
	within, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(within), context.DeadlineExceeded)
	require.True(t, idle.ends())
	_, err = net.Dial("tcp", s.Addr().String())
	require.Error(t, err)
	close(let)
	res, _, err := slow.answer("GET")
	require.NoError(t, err)
	require.True(t, res.Close)
	require.True(t, slow.ends())
	require.NoError(t, slow.Close())
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, s.Shutdown(t.Context()))
}

// flaky is a listener that fails as it is told to.
type flaky struct {
	net.Listener
	errs chan error
}

func (f *flaky) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

type passing struct{ error }

func (passing) Temporary() bool { return true }

func TestAcceptingGoesOnAfterAPassingError(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &flaky{inner, make(chan error, 3)}
	f.errs <- passing{errors.New("out of descriptors")}
	f.errs <- passing{errors.New("out of descriptors")}
	var text bytes.Buffer
	l := Listen(f, Config{Handler: http.HandlerFunc(echo), ErrorLog: log.New(&text, "", 0)})
	c := dial(t, l.Addr())
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_, _, err = c.answer("GET")
	require.NoError(t, err)
	broken := errors.New("broken")
	f.errs <- broken
	dial(t, l.Addr()) // the accept that was under way
	_, err = l.Accept()
	require.ErrorIs(t, err, broken)
	require.Equal(t, 2, strings.Count(text.String(), "out of descriptors"))
	l.Abort()
	_, err = (&served{Listener: l}).Accept()
	require.Error(t, err)
}
