package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestSlowCallersDoNotHinderOthers: hundreds of connections that send next to nothing, while others are served.
func TestSlowCallersDoNotHinderOthers(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL, impatient(time.Second), func(s *setup) {
		s.server = func(server *http.Server) { server.ReadHeaderTimeout = time.Second } // the program's is 5 s
	})
	token := p.mint(t)
	stop := make(chan struct{})
	var slow sync.WaitGroup
	var ended sync.Map
	begin := []string{
		"",             // nothing at all
		"POST /v1/emb", // part of a line
		"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nX-A: ",                                                   // part of a head
		"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\nContent-Length: 100\r\n\r\n", // no body, of a stranger
		"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 100\r\n\r\n{",
		"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
	}
	for i := range 300 {
		conn := p.dial(t)
		_, err := io.WriteString(conn, begin[i%len(begin)])
		require.NoError(t, err)
		slow.Go(func() {
			if i%len(begin) == 2 { // a head that drips
				for {
					if _, err := io.WriteString(conn, "a"); err != nil {
						break
					}
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
					}
				}
			}
			_, err := io.Copy(io.Discard, conn)
			if !os.IsTimeout(err) {
				ended.Store(i, true)
			}
		})
	}
	for range 50 {
		require.Equal(t, 200, p.chat(t, token).StatusCode)
	}
	slow.Wait() // each of them is ended by us
	close(stop)
	n := 0
	ended.Range(func(_, _ any) bool { n++; return true })
	require.Equal(t, 300, n)
	require.Len(t, o.whole(), 50)
}

// TestAHeadHasALimit, of size and of time.
func TestAHeadHasALimit(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	for name, head := range map[string]string{
		"a long header": "X-A: " + strings.Repeat("a", 200<<10) + "\r\n", "many headers": strings.Repeat("X-A: b\r\n", 20_000), "a long name": strings.Repeat("a", 200<<10) + ": b\r\n",
	} {
		conn := p.dial(t)
		go func() {
			fmt.Fprintf(conn, "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n%s\r\n", head)
		}()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, name)
		require.Equal(t, 431, res.StatusCode, name)
	}
	res := p.ask(t, p.mint(t), "GET", "/v1/models", "", "X-A", strings.Repeat("a", 60<<10))
	require.Equal(t, 200, res.StatusCode, "what is within it passes")
	require.Len(t, o.last(t).values("X-A")[0], 60<<10)
}

// endless is a body that goes on until it is told to stop.
type endless struct{ sent atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.sent.Add(int64(len(p))) > 64<<20 {
		return 0, errors.New("nobody stopped it")
	}
	return len(p), nil
}

// TestABodyOverTheCap is refused: before anything is done where its length is known, and as soon as it is over where it is not. The
// upstream never gets a whole request.
func TestABodyOverTheCap(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL, stanza("limits: {request_bytes: 100KiB}", "endpoints: [{path: /v1/small, methods: [POST], request_bytes: 10B}]"))
	token := p.mint(t)
	for path, cap := range map[string]int{"/v1/embeddings": 100 << 10, "/v1/small": 10} {
		for _, known := range []bool{true, false} {
			ask := func(n int) answer {
				r := p.request(t, token, "POST", path, strings.NewReader(strings.Repeat("x", n)))
				if !known {
					r.ContentLength = -1
				}
				res := p.do(t, r)
				body, err := io.ReadAll(res.Body)
				return answer{res, string(body), err}
			}
			whole := len(o.whole())
			require.Equal(t, 200, ask(cap).StatusCode, "%s: the cap itself", path)
			require.Len(t, o.whole(), whole+1)
			spent := p.Store.calls()
			requireError(t, ask(cap+1), 413, "invalid_request_error", "request_too_large")
			require.Len(t, o.whole(), whole+1)
			if known {
				require.Equal(t, spent, p.Store.calls(), "it costs nothing")
			}
		}
	}
	body := &endless{}
	res, err := p.Client.Do(p.request(t, token, "POST", "/v1/embeddings", body))
	if err == nil { // the answer may be lost where the caller goes on sending
		require.Equal(t, 413, res.StatusCode)
		res.Body.Close()
	}
	require.Less(t, body.sent.Load(), int64(32<<20))
	eventually(t, "its event", func() bool {
		all := p.Events.all()
		return all[len(all)-1].Code == "request_too_large" && all[len(all)-1].Outcome == llmproxy.Refused
	})
	for _, shape := range []string{"Content-Length: 999999999999\r\n"} {
		res := p.exchangeRaw(t, "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\nExpect: 100-continue\r\n"+shape+"\r\n")
		requireError(t, res, 413, "invalid_request_error", "request_too_large")
	}
	res2 := p.ask(t, p.mint(t, of("anthropic")), "POST", "/anthropic/v1/messages", strings.Repeat("x", 100<<10+1))
	require.Equal(t, 413, res2.StatusCode)
	require.Contains(t, res2.Body, `"request_too_large"`)
}

// TestIdleConnectionsEnd in time. The program's limit is longer.
func TestIdleConnectionsEnd(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL, func(s *setup) { s.server = func(server *http.Server) { server.IdleTimeout = 200 * time.Millisecond } })
	conn := p.dial(t)
	fmt.Fprintf(conn, "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", p.mint(t))
	all, err := io.ReadAll(conn)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout())
	require.Contains(t, string(all), "200 OK")
}
