package main

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// relay passes connections on to a server, and cuts them off as servers and gateways do with those that are not used.
type relay struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// through returns a relay and the address of a server behind it.
func through(t *testing.T, address string) (*relay, string) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{listener: listener, target: u.Host, conns: map[net.Conn]bool{}}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() { r.pass(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		r.cut(false)
		work.Wait()
	})
	u.Host = listener.Addr().String()
	return r, u.String()
}

func (r *relay) pass(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer to.Close()
	r.mu.Lock()
	r.conns[from] = true
	r.mu.Unlock()
	go func() {
		_, _ = io.Copy(from, to)
		from.Close()
	}()
	_, _ = io.Copy(to, from)
	r.mu.Lock()
	delete(r.conns, from)
	r.mu.Unlock()
}

// cut ends all connections, politely or with a reset, and returns how many there were.
func (r *relay) cut(reset bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0)
		}
		conn.Close()
		delete(r.conns, conn)
		n++
	}
	return n
}

// While a function is frozen nothing in it notices that the other side has closed a connection it kept. The next request must not fail of
// it, and must not be counted, sent or published twice.
func TestConnectionsThatWereCutWhileFrozenFailNoRequest(t *testing.T) {
	var relays []*relay
	s := setup{behind: func(address string) string {
		r, address := through(t, address)
		relays = append(relays, r)
		return address
	}}.start(t)
	token, secret := s.mint()
	const cycles = 30
	cut := make([]int, len(relays))
	slow := 0 // spends that the tables did not answer in time, on a machine that is busy with more: those may have counted
	for i := range cycles {
		began := time.Now()
		a := s.askOnce(s.url, "POST", "/v1/chat/completions", question, bearer(secret))
		for ; a.status == 503 && time.Since(began) > 700*time.Millisecond && slow < cycles; slow++ { // a dead connection is found out at once
			began = time.Now()
			a = s.askOnce(s.url, "POST", "/v1/chat/completions", question, bearer(secret))
		}
		require.Equal(t, 200, a.status, "cycle %d: %s", i, a.body)
		s.log.await(t, `{"end":"`+a.id)
		require.Eventually(t, func() bool {
			pids := s.host.Processes()
			return len(pids) == 1 && frozen(t, pids[0])
		}, time.Minute, time.Millisecond)
		for k, r := range relays {
			cut[k] += r.cut(i%2 == 1)
		}
	}
	for k, n := range cut {
		require.Greater(t, n, cycles/2, "connections are kept, and so there is something to cut: %d", k)
	}
	require.Len(t, s.upstream.Requests(), cycles)
	stored, err := s.service.Token(t.Context(), token.ID)
	require.NoError(t, err)
	require.GreaterOrEqual(t, stored.RequestCount, int64(cycles))
	require.LessOrEqual(t, stored.RequestCount, int64(cycles+slow))
	s.cloud.mu.Lock()
	defer s.cloud.mu.Unlock()
	require.Len(t, s.cloud.onBus, cycles)
	require.Empty(t, s.cloud.inQueue)
}
