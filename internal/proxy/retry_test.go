package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// repeatable are headers that make some transports send a request again.
var repeatable = []string{"Idempotency-Key", "k1", "X-Idempotency-Key", "k2", "X-Stainless-Retry-Count", "3"}

// TestAPostIsNeverSentTwice: whatever becomes of it upstream, and whatever the caller says of its nature.
func TestAPostIsNeverSentTwice(t *testing.T) {
	for name, misbehave := range map[string]func(c *call){
		"502":                 answerWith(withLength("502 Bad Gateway", "", "x")),
		"503":                 answerWith(withLength("503 Busy", "Retry-After: 0\r\n", "x")),
		"504":                 answerWith(withLength("504 Late", "", "x")),
		"408":                 answerWith(withLength("408 Timeout", "Connection: close\r\n", "")),
		"closed":              func(c *call) { c.hangUp() },
		"reset":               func(c *call) { c.reset() },
		"closed after a byte": func(c *call) { c.write("H"); c.hangUp() },
		"garbage":             func(c *call) { c.write("??\r\n\r\n"); c.hangUp() },
		"closed mid-body":     func(c *call) { c.write(streamHead, "2\r\n{}\r\n"); c.hangUp() },
		"silence":             func(c *call) { c.untilGone() },
		"closed after a 103":  func(c *call) { c.write("HTTP/1.1 103 Early Hints\r\n\r\n"); c.hangUp() },
		"a redirect":          func(c *call) { c.write(withLength("307 Again", "Location: "+c.origin.URL+"/v1/completions\r\n", "")) },
		"401":                 answerWith(withLength("401 No", "", "{}")),
		"429":                 answerWith(withLength("429 Slow", "Retry-After: 0\r\n", "{}")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var posts atomic.Int64
			o := serveOrigin(t, func(c *call) {
				if strings.HasPrefix(c.Line, "GET") {
					answerOK(c)
					return
				}
				posts.Add(1)
				misbehave(c)
			})
			p := newProxy(t, o.URL, stanza(short))
			token := p.mint(t)
			sent, events := 0, 0
			for _, warm := range []bool{false, true} { // over a fresh connection and over one that has served
				for _, size := range []int{2, 20 << 10, 100 << 10, -1} {
					if warm {
						require.Equal(t, 200, p.ask(t, token, "GET", "/v1/models", "").StatusCode)
						events++
					}
					body := strings.NewReader(strings.Repeat("x", max(size, 10)))
					r := p.request(t, token, "POST", "/v1/embeddings", body, repeatable...)
					if size < 0 {
						r.ContentLength = -1
					}
					r.GetBody = nil // the test's own transport must not send it again
					sent, events = sent+1, events+1
					if res, err := p.Client.Do(r); err == nil {
						res.Body.Close()
					}
					p.lastEvent(t, events)
					require.LessOrEqual(t, posts.Load(), int64(sent), "size %d", size)
				}
			}
		})
	}
}

func TestAGetIsAskedAgainOnce(t *testing.T) {
	for name, c := range map[string]struct {
		first  func(*call)
		warm   bool
		status int
		asked  int64
	}{
		"502":                            {first: answerWith(withLength("502 Bad", "", "x")), status: 200, asked: 2},
		"503":                            {first: answerWith(withLength("503 Bad", "", "x")), status: 200, asked: 2},
		"504":                            {first: answerWith(withLength("504 Bad", "", "x")), status: 200, asked: 2},
		"500":                            {first: answerWith(withLength("500 Bad", "", "x")), status: 500, asked: 1},
		"429":                            {first: answerWith(withLength("429 Bad", "", "x")), status: 429, asked: 1},
		"closed":                         {first: func(c *call) { c.hangUp() }, status: 502, asked: 1},
		"closed, over a kept connection": {first: func(c *call) { c.hangUp() }, warm: true, status: 200, asked: 2},
		"a byte, over a kept connection": {first: func(c *call) { c.write("H"); c.hangUp() }, warm: true, status: 502, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			o := serveOrigin(t, func(up *call) {
				if strings.HasPrefix(up.Line, "GET /v1/models/") {
					if asked.Add(1) == 1 {
						c.first(up)
						return
					}
				}
				answerOK(up)
			})
			p := newProxy(t, o.URL)
			if c.warm {
				require.Equal(t, 200, p.ask(t, p.mint(t), "GET", "/v1/models", "").StatusCode)
			}
			require.Equal(t, c.status, p.ask(t, p.mint(t), "GET", "/v1/models/m", "").StatusCode)
			require.Equal(t, c.asked, asked.Load())
		})
	}
	t.Run("once only", func(t *testing.T) {
		o := serveOrigin(t, answerWith(withLength("503 Bad", "", "theirs")))
		p := newProxy(t, o.URL)
		res := p.ask(t, p.mint(t), "GET", "/v1/models", "")
		require.Equal(t, 503, res.StatusCode)
		require.Equal(t, "theirs", res.Body)
		require.Len(t, o.requests(), 2)
		require.Len(t, p.Events.begins, 1, "one request, one event")
		p.lastEvent(t, 1)
	})
	t.Run("not if it is turned off", func(t *testing.T) {
		o := serveOrigin(t, answerWith(withLength("503 Bad", "", "theirs")))
		p := newProxy(t, o.URL, stanza("retry: {attempts: 0}"))
		require.Equal(t, 503, p.ask(t, p.mint(t), "GET", "/v1/models", "").StatusCode)
		require.Len(t, o.requests(), 1)
	})
}

// TestConnectionsThatTheUpstreamClosedAreNotUsed: between two requests of any kind.
func TestConnectionsThatTheUpstreamClosedAreNotUsed(t *testing.T) {
	o := serveOrigin(t, func(c *call) {
		c.write(okAnswer)
		if strings.Contains(c.Line, "completions") {
			c.hangUp()
		}
	})
	p := newProxy(t, o.URL)
	token := p.mint(t)
	for i := range 40 {
		res := p.chat(t, token)
		require.Equal(t, 200, res.StatusCode, "%d: %s", i, res.Body)
		eventually(t, "the upstream's side is closed", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.open) == 0 })
	}
	require.Len(t, o.requests(), 40)
}

// TestConnectionsAreKept: one caller at a time needs one connection.
func TestConnectionsAreKept(t *testing.T) {
	o := serveOrigin(t, func(c *call) {
		if strings.Contains(c.Line, "speech") {
			c.write(streamHead, inChunks("data: x\n\n", 4))
			return
		}
		c.write(okAnswer)
	})
	p := newProxy(t, o.URL)
	token := p.mint(t)
	for i := range 10 {
		for _, path := range []string{"/v1/embeddings", "/v1/audio/speech"} {
			require.NoError(t, p.ask(t, token, "POST", path, strings.Repeat("x", 1+i*6_000)).Err)
		}
		p.lastEvent(t, 2*i+2) // the connection is given back before
	}
	require.EqualValues(t, 1, o.conns.Load())
}

// TestACallerWhoLeavesEndsTheUpstreamCall wherever it is: before the head, after a chunk, while the body goes up.
func TestACallerWhoLeavesEndsTheUpstreamCall(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		method string
		length int64 // of the body; what is more than 5 bytes of it never comes
	}{
		"before the head":            {"", "POST", 2},
		"before the head, without":   {"", "GET", 0},
		"after the head":             {streamHead, "POST", 2},
		"after a chunk":              {streamHead + inChunks("data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n", 1000)[:92], "POST", 2},
		"amid a known length":        {"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc", "POST", 2},
		"amid an error":              {"HTTP/1.1 500 OK\r\nContent-Length: 1000000\r\n\r\nabc", "POST", 2},
		"during a small upload":      {"", "POST", 1000},
		"during an upload":           {"", "POST", 1_000_000},
		"during an upload in chunks": {"", "POST", -1},
		"during an upload, answered": {streamHead + "1\r\nx\r\n", "POST", 1_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, gone := make(chan struct{}, 1), make(chan struct{}, 1)
			o := serveLazyOrigin(t, func(up *call) {
				up.write(c.answer)
				arrived <- struct{}{}
				up.untilGone()
				gone <- struct{}{}
			})
			p := newProxy(t, o.URL)
			conn := p.dial(t)
			path := "/v1/chat/completions"
			if c.method == "GET" {
				path = "/v1/models"
			}
			framing := fmt.Sprintf("Content-Length: %d", c.length)
			body := strings.Repeat("x", int(min(5, max(c.length, 0))))
			if c.length < 0 {
				framing, body = "Transfer-Encoding: chunked", "1\r\nx\r\n"
			}
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n%s", c.method, path, p.mint(t), framing, body)
			upstreamSeesIt := name != "during a small upload"
			if upstreamSeesIt {
				await(t, arrived)
			} else {
				eventually(t, "the spend", func() bool { return p.Store.calls() == 1 })
			}
			if strings.Contains(c.answer, "200") {
				_, err := conn.Read(make([]byte, 1)) // it has got something
				require.NoError(t, err)
			}
			conn.Close()
			left := time.Now()
			if upstreamSeesIt {
				await(t, gone)
			}
			e := p.lastEvent(t, 1)
			require.Less(t, time.Since(left), patient/2)
			require.Equal(t, llmproxy.ClientGone, e.Outcome)
			require.Less(t, len(o.requests()), 2)
		})
	}
}

// TestACallerWhoLeavesDuringTheSpendCostsNoUpstreamCall also shows that the store is told. Where a body was sent net/http cannot know
// before it is read, and the store bounds itself.
func TestACallerWhoLeavesDuringTheSpendCostsNoUpstreamCall(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	p.Store.holdUntil = make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	entered := make(chan struct{})
	p.Store.onSpend = func() { close(entered) }
	r := p.request(t, p.mint(t), "GET", "/v1/models", nil).WithContext(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		res, err := p.Client.Do(r)
		if err == nil {
			res.Body.Close()
		}
	})
	await(t, entered)
	leave()
	wg.Wait()
	eventually(t, "the end of the request", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.observed) == 1 })
	require.Empty(t, o.requests())
}

// TestACallerWhoStopsReadingIsGivenUp: with little memory, and its upstream is not kept waiting.
func TestACallerWhoStopsReadingIsGivenUp(t *testing.T) {
	gone := make(chan struct{})
	o := serveOrigin(t, func(c *call) {
		c.write(streamHead)
		event := "data: " + strings.Repeat("x", 60<<10) + "\n\n"
		for !c.broken {
			c.chunk(event)
		}
		close(gone)
	})
	p := newProxy(t, o.URL, impatient(300*time.Millisecond))
	conn := p.dial(t)
	fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", p.mint(t))
	await(t, gone)
	e := p.lastEvent(t, 1)
	require.Equal(t, llmproxy.ClientGone, e.Outcome)
	require.LessOrEqual(t, len(e.Response.Body.Head)+len(e.Response.Body.Tail), responseHead+responseTail)
	require.Equal(t, http.StatusOK, e.Status)
}
