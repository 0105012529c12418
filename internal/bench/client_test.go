package bench

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	plain    = Workload{Path: "/plain", Body: []byte(`{"model":"m"}`), Answer: []byte(`{"ok":true}`)}
	big      = Workload{Path: "/big", Body: make([]byte, 100_000), Answer: []byte(`{}`)}
	streamed = Workload{Path: "/streamed", Body: []byte(`{"stream":true}`), Events: 4, EventEvery: time.Millisecond}
	held     = Workload{Path: "/held", Body: []byte(`{}`), Events: 1, Hold: true}
)

// serveWorkloads serves all of them, and a proxy of the standard library in front.
func serveWorkloads(t *testing.T) (up *Upstream, direct, proxied Target) {
	up, err := ServeUpstream(plain, big, streamed, held)
	require.NoError(t, err)
	t.Cleanup(up.Close)
	reverse := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: up.Addr()}) },
		FlushInterval: -1,
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // without it net/http may close the request body too early, and the stream is cut
		reverse.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { proxy.CloseClientConnections(); proxy.Close() })
	return up, Target{Addr: up.Addr(), Token: "direct"}, Target{Addr: proxy.Listener.Addr().String(), Token: "proxied"}
}

func TestLoadsCountWhatTheySentAndWhatCameBackAsItWas(t *testing.T) {
	up, direct, proxied := serveWorkloads(t)
	for _, target := range []Target{direct, proxied} {
		for _, w := range []Workload{plain, big, streamed} {
			before := up.Requests.Load()
			l := Count(t.Context(), target, w, 3, 5)
			require.NoError(t, l.LastError, "%s %s", target.Token, w.Path)
			require.EqualValues(t, 15, l.Requests)
			require.Zero(t, l.Changed, "%s %s", target.Token, w.Path)
			require.EqualValues(t, 15, l.Latency.TotalCount())
			require.EqualValues(t, 15, up.Requests.Load()-before, "every request reached the upstream once")
			require.EqualValues(t, 15*w.Events, l.Delay.TotalCount())
		}
	}
	require.Zero(t, up.Changed.Load(), "the proxy leaves bodies as they are")
}

func TestAChangedBodyIsSeenOnBothSides(t *testing.T) {
	up, direct, _ := serveWorkloads(t)
	other := plain
	other.Body = []byte(`{"model":"x"}`)
	other.Answer = []byte(`{"ok":maybe}`)
	l := Count(t.Context(), direct, other, 1, 2)
	require.EqualValues(t, 2, l.Changed)
	require.EqualValues(t, 2, up.Changed.Load())
	fewer := streamed
	fewer.Events = 3
	require.EqualValues(t, 1, Count(t.Context(), direct, fewer, 1, 1).Changed, "an event too many")
}

func TestSaturateAndPaceEndInTime(t *testing.T) {
	_, direct, _ := serveWorkloads(t)
	l := Saturate(t.Context(), direct, plain, 2, 50*time.Millisecond)
	require.Positive(t, l.Requests)
	require.Zero(t, l.Errors)
	paced := Pace(t.Context(), direct, plain, 3, 100, 200*time.Millisecond)
	require.EqualValues(t, 20, paced.Requests, "100 a second for 200 ms")
	require.Zero(t, paced.Errors)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Zero(t, Saturate(ended, direct, plain, 1, time.Hour).Requests)
	require.Zero(t, Pace(ended, direct, plain, 1, 1, time.Hour).Requests)
	require.Zero(t, Count(ended, direct, plain, 1, 5).Requests)
}

func TestHeldStreamsStayOpenUntilTheyAreClosed(t *testing.T) {
	up, direct, _ := serveWorkloads(t)
	streams, err := OpenStreams(direct, held, 3)
	require.NoError(t, err)
	require.EqualValues(t, 3, up.Requests.Load())
	streams.Close()
	_, err = OpenStreams(direct, Workload{Path: "/unknown"}, 1)
	require.ErrorIs(t, err, errStatus)
	_, err = OpenStreams(Target{Addr: "127.0.0.1:1"}, held, 1)
	require.Error(t, err)
}

func TestALoadOnAServerThatFailsCountsErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/streamed" {
			_, _ = io.WriteString(w, "no stream")
			return
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	target := Target{Addr: server.Listener.Addr().String()}
	l := Count(t.Context(), target, plain, 1, 3)
	require.EqualValues(t, 3, l.Errors)
	require.ErrorIs(t, l.LastError, errStatus)
	require.ErrorContains(t, Count(t.Context(), target, streamed, 1, 1).LastError, "an event stream of length 9")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "nonsense\r\n\r\n")
			_ = conn.Close()
		}
	}()
	require.EqualValues(t, 1, Count(t.Context(), Target{Addr: listener.Addr().String()}, plain, 1, 1).Errors)
}
