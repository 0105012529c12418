package rawio_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/rawio"
)

// pair is a connection and its other end, which is one of package net.
func pair(t *testing.T) (c net.Conn, other *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	accepted, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = dialled.Close(); _ = accepted.Close() })
	return rawio.Wrap(dialled), accepted.(*net.TCPConn)
}

func TestWhatIsWrittenComesAndWhatComesIsRead(t *testing.T) {
	c, other := pair(t)
	sent := make([]byte, 20<<20) // more than the kernel takes at once
	_, _ = rand.Read(sent)
	var wg sync.WaitGroup
	wg.Go(func() {
		n, err := c.Write(sent)
		require.NoError(t, err)
		require.Equal(t, len(sent), n)
		require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
	})
	wg.Go(func() { // and back, while more comes
		_, err := io.Copy(other, other)
		require.NoError(t, err)
		require.NoError(t, other.CloseWrite())
	})
	back, err := io.ReadAll(c)
	require.NoError(t, err)
	wg.Wait()
	require.True(t, bytes.Equal(sent, back))

	n, err := c.Read(nil)
	require.NoError(t, err, "nothing is read into nothing, at the end too")
	require.Zero(t, n)
	n, err = c.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.Zero(t, n)
}

func TestDeadlinesEndWhatWaits(t *testing.T) {
	c, other := pair(t)
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.ErrorContains(t, err, "read tcp ")

	n, err := c.Write(make([]byte, 20<<20))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "nobody reads")
	require.ErrorContains(t, err, "write tcp ")

	require.NoError(t, c.SetDeadline(time.Time{}))
	came := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, other, int64(n)+1)
		came <- err
	}()
	_, err = c.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, <-came, "a write that was broken off tells how much of it went out")

	time.AfterFunc(20*time.Millisecond, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "one that is set meanwhile")
}

func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	c, _ := pair(t)
	time.AfterFunc(20*time.Millisecond, func() { _ = c.Close() })
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed, "closed meanwhile")
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = c.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)

	c, other := pair(t)
	require.NoError(t, other.SetLinger(0))
	require.NoError(t, other.Close())
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.ErrorContains(t, err, ": read: connection reset by peer")
	_, err = c.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "write", op.Op)
}

func TestReadersOfOneConnectionTakeTurns(t *testing.T) {
	c, other := pair(t)
	const bytesInAll = 4096
	var mu sync.Mutex
	seen := map[byte]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var one [1]byte
			for {
				if _, err := c.Read(one[:]); errors.Is(err, io.EOF) {
					return
				} else if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[one[0]]++
				mu.Unlock()
			}
		})
	}
	for i := range bytesInAll {
		_, err := other.Write([]byte{byte(i)})
		require.NoError(t, err)
	}
	require.NoError(t, other.CloseWrite())
	wg.Wait()
	require.Len(t, seen, 256)
	for _, n := range seen {
		require.Equal(t, bytesInAll/256, n)
	}
}

func TestOtherConnectionsStayAsTheyAre(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	require.Same(t, a, rawio.Wrap(a))

	c, _ := pair(t)
	require.Implements(t, (*syscall.Conn)(nil), c)
	require.NotNil(t, c.RemoteAddr())
}
