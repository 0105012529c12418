package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener whose connections are in memory, so that a test's clock can stand still until something happens.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// serveInMemory serves h over pipes for the rest of the bubble and returns a transport that reaches it.
func serveInMemory(t *testing.T, h http.HandlerFunc) http.RoundTripper {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	var running sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		h(w, r)
	})}
	running.Go(func() { _ = server.Serve(p) })
	t.Cleanup(func() { _ = server.Close(); running.Wait() })
	return &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case p.conns <- server:
			return client, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
}

// do runs a plan inside a bubble, where time passes only when everybody waits.
func do(t *testing.T, p Plan, h http.HandlerFunc) *Result {
	t.Helper()
	var result *Result
	synctest.Test(t, func(t *testing.T) {
		p.Transport = serveInMemory(t, h)
		if p.Method == "" {
			p.Method = http.MethodPost
		}
		if p.URL == "" {
			p.URL = "http://bench/v1/chat/completions"
		}
		run, err := New(p)
		require.NoError(t, err)
		result = run.Do(t.Context())
	})
	return result
}

// near allows for the three digits that histograms keep.
func near(t *testing.T, want time.Duration, got float64, what string) {
	t.Helper()
	require.InEpsilon(t, float64(want)/float64(time.Millisecond), got, 0.002, what)
}

func TestPercentilesAreThoseOfTheServersDelays(t *testing.T) {
	var n atomic.Int64
	r := do(t, Plan{Requests: 1000, Concurrency: 4, Body: []byte(`{}`)}, func(w http.ResponseWriter, _ *http.Request) {
		switch i := n.Add(1); {
		case i%100 == 0: // 1 %
			time.Sleep(2 * time.Second)
		case i%10 == 0: // 9 %
			time.Sleep(300 * time.Millisecond)
		default: // 90 %
			time.Sleep(20 * time.Millisecond)
		}
		_, _ = io.WriteString(w, "{}")
	})
	require.EqualValues(t, 1000, r.Requests)
	require.EqualValues(t, 1000, r.Succeeded)
	require.EqualValues(t, 2000, r.Bytes)
	require.Equal(t, map[int]int64{200: 1000}, r.Statuses)
	near(t, 20*time.Millisecond, r.Latency.Min, "min")
	near(t, 20*time.Millisecond, r.Latency.P50, "p50")
	near(t, 20*time.Millisecond, r.Latency.P90, "p90")
	near(t, 300*time.Millisecond, r.Latency.P95, "p95")
	near(t, 300*time.Millisecond, r.Latency.P99, "p99")
	near(t, 2*time.Second, r.Latency.P999, "p99.9")
	near(t, 2*time.Second, r.Latency.Max, "max")
	near(t, 65*time.Millisecond, r.Latency.Mean, "mean: 0.9*20 + 0.09*300 + 0.01*2000")
	require.Nil(t, r.Service, "without a rate there is nothing to correct")
	var inBuckets, inTimeline int64
	for _, b := range r.Latency.Buckets {
		inBuckets += b.Count
	}
	for _, p := range r.Timeline {
		inTimeline += p.Requests
	}
	require.EqualValues(t, 1000, inBuckets)
	require.EqualValues(t, 1000, inTimeline)
}

func TestARateShowsAStallToAllRequestsThatWereDueMeanwhile(t *testing.T) {
	var n atomic.Int64
	r := do(t, Plan{Requests: 200, Concurrency: 1, Rate: 100}, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 101 {
			time.Sleep(time.Second) // one request of 200, but 100 are due until it ends
		}
	})
	require.EqualValues(t, 200, r.Succeeded)
	near(t, time.Second, r.Latency.Max, "the one that stalled")
	// With it, those due while it stalled took 1000, 990, 980, ... 10 ms: half of the 200.
	near(t, 500*time.Millisecond, r.Latency.P75, "a quarter waited longer than half the stall")
	near(t, 900*time.Millisecond, r.Latency.P95, "p95")
	near(t, time.Second, r.Service.Max, "the server took it once")
	require.Less(t, r.Service.P99, 1.0, "measured from the sending, the stall is one request of 200 and p99 does not see it")
}

func TestRequestsThatNoConnectionWasFreeForCountAsWaited(t *testing.T) {
	r := do(t, Plan{Duration: time.Second, Concurrency: 2, Rate: 100, Timeout: 5 * time.Second}, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // never answers
	})
	require.EqualValues(t, 2, r.Failed)
	require.EqualValues(t, 98, r.NotSent)
	require.EqualValues(t, 100, r.Latency.Count, "100 were due within the second")
	near(t, 5*time.Second, r.Latency.Max, "a time-out counts with the time waited")
	require.Greater(t, r.Latency.P50, 400.0)
	require.Equal(t, []Failure{{Kind: KindTimeout, Count: 2, Message: "no complete answer within 5s"}}, r.Errors)
}

func TestADurationEndsTheRun(t *testing.T) {
	r := do(t, Plan{Duration: time.Second, Concurrency: 2}, func(http.ResponseWriter, *http.Request) { time.Sleep(100 * time.Millisecond) })
	require.EqualValues(t, 20, r.Succeeded)
	require.InDelta(t, 1, r.Seconds, 0.001)
	require.InDelta(t, 20, r.PerSecond, 0.1)
	paced := do(t, Plan{Duration: time.Second, Concurrency: 4, Rate: 50}, func(http.ResponseWriter, *http.Request) {})
	require.EqualValues(t, 50, paced.Succeeded)
	require.Zero(t, paced.NotSent)
}

func TestWarmUpIsNotCounted(t *testing.T) {
	var n atomic.Int64
	r := do(t, Plan{Requests: 10, Concurrency: 3, Warmup: 7}, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) <= 7 {
			time.Sleep(time.Minute / 2)
		}
	})
	require.EqualValues(t, 17, n.Load())
	require.EqualValues(t, 10, r.Requests)
	require.Less(t, r.Latency.Max, 1.0)
}

func TestStreamsTellTheirFirstByteAndTheGapsBetweenTheirEvents(t *testing.T) {
	r := do(t, Plan{Requests: 5, Concurrency: 1}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		time.Sleep(150 * time.Millisecond)
		for range 10 {
			fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n")
			w.(http.Flusher).Flush()
			time.Sleep(40 * time.Millisecond)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
	require.Empty(t, r.Errors)
	require.EqualValues(t, 55, r.Events)
	near(t, 150*time.Millisecond, r.FirstByte.P50, "first byte")
	near(t, 40*time.Millisecond, r.ChunkGap.P50, "gap")
	require.EqualValues(t, 50, r.ChunkGap.Count)
	near(t, 550*time.Millisecond, r.Latency.P50, "the whole stream")
}

func TestInterruptionEndsTheRunWithWhatRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		run, err := New(Plan{Method: http.MethodPost, URL: "http://bench/", Requests: 1 << 40, Concurrency: 3, Timeout: time.Hour, Transport: serveInMemory(t, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })})
		require.NoError(t, err)
		time.AfterFunc(2500*time.Millisecond, cancel)
		r := run.Do(ctx)
		require.EqualValues(t, 6, r.Requests)
		require.EqualValues(t, 6, r.Succeeded)
		require.EqualValues(t, 3, r.Interrupted, "those under way")
		require.Empty(t, r.Errors, "breaking off is no error of the server")
		require.InDelta(t, 2.5, r.Seconds, 0.001)
	})
}

func TestErrorsAreToldApartByKind(t *testing.T) {
	answers := []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Llm-Proxy-Request-Id", "0199-a")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"message":"This token has expired.","type":"authentication_error","param":null,"code":"token_expired"}}`)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}`)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>\x1b[31mno JSON</html>")
		},
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "only this")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {}\n\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {}\n\n") // ends well, and has no [DONE]
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {\"error\":{\"message\":\"overloaded\",\"code\":\"server_overloaded\"}}\n\n")
		},
	}
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers[int(n.Add(1)-1)%len(answers)](w, r)
	}))
	defer server.Close()
	run, err := New(Plan{Method: http.MethodPost, URL: server.URL + "/v1/chat/completions", Requests: int64(2 * len(answers)), Concurrency: 1})
	require.NoError(t, err)
	r := run.Do(t.Context())
	require.EqualValues(t, 2*len(answers), r.Failed)
	require.Nil(t, r.Latency, "none succeeded")
	counts := map[string]int64{}
	for _, f := range r.Errors {
		counts[f.Name()] += f.Count
	}
	require.Equal(t, map[string]int64{
		"401 token_expired": 2, "429 rate_limit_error": 2, "502": 2, "302": 2, KindReset: 2, KindCut: 6, "error in stream server_overloaded": 2,
	}, counts)
	for _, f := range r.Errors {
		require.NotContains(t, f.Message, "\x1b")
		if f.Status == http.StatusUnauthorized {
			require.Equal(t, "This token has expired.", f.Message)
			require.Equal(t, "0199-a", f.RequestID)
		}
	}
}

func TestAServerThatIsNotThereIsToldAsSuch(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	run, err := New(Plan{Method: http.MethodGet, URL: "http://" + addr, Requests: 2, Concurrency: 2})
	require.NoError(t, err)
	r := run.Do(t.Context())
	require.Len(t, r.Errors, 1)
	require.Equal(t, KindRefused, r.Errors[0].Kind)
	require.False(t, r.Errors[0].Answered())

	run, err = New(Plan{Method: http.MethodGet, URL: "http://no-such-host.invalid", Requests: 1, Concurrency: 1, Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Name: "no-such-host.invalid", IsNotFound: true}
		},
	}})
	require.NoError(t, err)
	require.Equal(t, KindName, run.Do(t.Context()).Errors[0].Kind)
	require.Equal(t, KindConnection, kindOf(errors.New("tls: bad certificate"), 0))
}

func TestMemoryDoesNotGrowWithTheNumberOfRequests(t *testing.T) {
	c := newCollector(Plan{Rate: 1})
	begin := time.Now()
	c.start(begin)
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			at := begin.Add(time.Duration(i) * 100 * time.Millisecond)
			c.add(&outcome{due: at, end: at.Add(time.Duration(i%1000) * time.Microsecond), status: 200, failure: &Failure{Kind: KindStatus, Status: 400, Code: fmt.Sprint(i)}})
			c.addGap(time.Millisecond)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fill(0, 20_000)
	before := heap()
	fill(20_000, 300_000)
	after := heap()
	require.Less(t, float64(after), float64(before)+2<<20)
	c.finish(time.Now())
	r := c.result()
	require.EqualValues(t, 300_000, r.Requests)
	require.LessOrEqual(t, len(r.Errors), maxKinds+1)
	require.LessOrEqual(t, len(r.Timeline), maxSlices)
	var total int64
	for _, p := range r.Timeline {
		total += p.Requests
	}
	require.EqualValues(t, 300_000, total, "merging slices loses none")
}

func TestBucketsHoldWhatTheySay(t *testing.T) {
	h := newHistogram()
	for _, d := range []time.Duration{time.Microsecond, 999 * time.Microsecond, time.Millisecond, 1100 * time.Microsecond, 250 * time.Millisecond, 2 * time.Hour} {
		record(h, d)
	}
	d := summarize(h)
	var total int64
	for _, b := range d.Buckets {
		require.Less(t, b.From, b.To)
		require.InEpsilon(t, math.Pow(10, 1.0/perDecade), b.To/b.From, 0.001)
		total += b.Count
	}
	require.EqualValues(t, 6, total)
	require.InEpsilon(t, float64(longest/time.Millisecond), d.Max, 0.001, "longer than the longest counts as the longest")
	require.Nil(t, summarize(newHistogram()))
}

func TestARunThatWouldNotEndIsRefused(t *testing.T) {
	for name, p := range map[string]Plan{
		"no end":         {Method: "GET", URL: "http://x", Concurrency: 1},
		"no URL":         {Method: "GET", Requests: 1, Concurrency: 1},
		"nobody sends":   {Method: "GET", URL: "http://x", Requests: 1},
		"negative rate":  {Method: "GET", URL: "http://x", Requests: 1, Concurrency: 1, Rate: -1},
		"negative count": {Method: "GET", URL: "http://x", Requests: -1, Duration: 1, Concurrency: 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(p)
			require.Error(t, err)
		})
	}
}

func TestResultsHaveNoCredential(t *testing.T) {
	p := Plan{Method: "POST", URL: "http://user:sk-fake-password@127.0.0.1:1/v1?api_key=sk-fake-query", Header: http.Header{"Authorization": {"Bearer sk-fake-header"}}, Body: []byte("sk-fake-body"), Requests: 1, Concurrency: 1}
	run, err := New(p)
	require.NoError(t, err)
	var out bytes.Buffer
	r := run.Do(t.Context())
	require.NoError(t, r.WriteHTML(&out))
	require.NoError(t, r.WriteJSON(&out))
	require.NotContains(t, out.String(), "sk-fake")
	require.Contains(t, out.String(), "http://127.0.0.1:1/v1")
}

// What a request costs whoever sends it: on one machine with the server it is taken from that one.
func BenchmarkRun(b *testing.B) {
	up, err := ServeUpstream(plain)
	require.NoError(b, err)
	defer up.Close()
	run, err := New(Plan{Method: http.MethodPost, URL: "http://" + up.Addr() + plain.Path, Body: plain.Body, Requests: int64(b.N), Concurrency: 32})
	require.NoError(b, err)
	b.ResetTimer()
	r := run.Do(b.Context())
	b.StopTimer()
	require.Empty(b, r.Errors)
}
