package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestAStormMixesNothingUp: requests of every fate at once, over kept connections and pooled memory. Each caller gets its own answer or
// a broken one, and each event is of one request.
func TestAStormMixesNothingUp(t *testing.T) {
	o := serveLazyOrigin(t, func(c *call) {
		path := strings.Fields(c.Line)[1]
		id := strings.TrimSuffix(strings.TrimPrefix(path, "/v1/responses/"), "/cancel")
		mode, _, _ := strings.Cut(id, "-")
		if mode != "early" && c.readBody() != nil {
			c.hangUp()
			return
		}
		switch mode {
		case "cut":
			c.write(streamHead)
			c.chunk(id)
			c.hangUp()
		case "reset":
			c.reset()
		case "garbage":
			c.write("garbage " + id + "\r\n\r\n")
			c.hangUp()
		case "error":
			c.write(withLength("500 Oops", "", id))
		case "key":
			c.write(withLength("401 No", "", id))
		case "excess":
			c.write(withLength("200 OK", "", id) + "more") // in one write: what came later would spoil the next request over the connection
		case "stream", "leave", "early":
			c.write(streamHead)
			for range 5 {
				c.chunk(id + "\n")
			}
			c.write("0\r\n\r\n")
		case "hang":
			c.untilGone()
		default:
			c.write(withLength("200 OK", "X-Echo: "+id+"\r\n", id))
		}
	})
	p := newProxy(t, o.URL, stanza("timeouts: {connect: 5s, response_header: 30s, idle: 30s}", "circuit_breaker: {failures: 1000, window: 1ms, cooldown: 1ms}"))
	tokens := []string{p.mint(t), p.mint(t), "nobody"}
	modes := []string{"plain", "plain", "plain", "stream", "stream", "cut", "reset", "garbage", "error", "key", "excess", "leave", "early", "hang"}
	var sent, admitted atomic.Int64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for i := range 60 {
				mode := modes[random.IntN(len(modes))]
				id := fmt.Sprintf("%s-%d-%d", mode, worker, i)
				token := tokens[random.IntN(len(tokens))]
				size := []int{0, 10, 5000, 100_000}[random.IntN(4)]
				sent.Add(1)
				if token != "nobody" {
					admitted.Add(1)
				}
				p.throw(t, token, mode, id, size)
			}
		})
	}
	wg.Wait()
	eventually(t, "the end of all", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return int64(len(p.observed)) == sent.Load() })
	events := map[llmproxy.EventID]llmproxy.Event{}
	for _, e := range p.Events.all() {
		require.NotContains(t, events, e.ID, "one event each")
		events[e.ID] = e
		if e.Request.Body != nil && len(e.Request.Body.Head) > 0 { // every body begins with the id of its path
			id, _, _ := strings.Cut(string(e.Request.Body.Head), " ")
			require.Equal(t, "/v1/responses/"+id+"/cancel", e.Path)
		}
	}
	require.Len(t, events, int(admitted.Load()))
	for _, begin := range p.Events.begins {
		require.Equal(t, begin.Path, events[begin.ID].Path)
	}
	require.NotContains(t, p.Log.String(), "panic")
}

// throw makes one request and checks that what comes back is its own.
func (p *testProxy) throw(t *testing.T, token, mode, id string, size int) {
	body := id + " " + strings.Repeat("x", size)
	if mode == "leave" || mode == "hang" {
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(conn, "POST /v1/responses/%s/cancel HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", id, token, len(body), body)
		if mode == "leave" || token == "nobody" {
			_ = conn.SetReadDeadline(time.Now().Add(patient))
			_, _ = conn.Read(make([]byte, 50))
		} else {
			time.Sleep(5 * time.Millisecond)
		}
		conn.Close()
		return
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/v1/responses/"+id+"/cancel", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	r.GetBody = nil
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := p.Client.Do(r)
	if err != nil {
		if mode != "early" { // whose answer the test's own transport may miss while it sends
			t.Errorf("%s: %v", id, err)
		}
		return
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	text := string(got)
	wants := map[string]int{"error": 500, "key": 502, "reset": 502, "garbage": 502}[mode]
	if wants == 0 {
		wants = 200
	}
	if token == "nobody" {
		wants = 401
	}
	switch {
	case res.StatusCode != wants:
		t.Errorf("%s: status %d: %s", id, res.StatusCode, text)
	case res.StatusCode > 400 && mode != "error":
	case mode == "cut":
		if text != id || err == nil {
			t.Errorf("%s: %q, %v", id, text, err)
		}
	case mode == "stream" || mode == "early":
		if text != strings.Repeat(id+"\n", 5) || err != nil {
			t.Errorf("%s: %q, %v", id, text, err)
		}
	case wants != 401 && (text != id || err != nil):
		t.Errorf("%s: %q, %v", id, text, err)
	}
}
