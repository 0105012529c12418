package proxy

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestACallerThatKeepsItsBodyIsNotWaitedFor: net/http reads what is left of a body before it answers or uses a connection again, and
// knows no limit of time for it. Whoever announces a body and sends none must not hold a connection for ever.
func TestACallerThatKeepsItsBodyIsNotWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		head, part string
		status     string // of the answer; "" is none
		early      string // the upstream's answer before it has the body
	}{
		"a stranger":                   {"Authorization: Bearer nothing\r\nContent-Length: 10\r\n", "", "401", ""},
		"a stranger with chunks":       {"Authorization: Bearer nothing\r\nTransfer-Encoding: chunked\r\n", "", "401", ""},
		"a stranger with half a chunk": {"Authorization: Bearer nothing\r\nTransfer-Encoding: chunked\r\n", "5\r\nab", "401", ""},
		"a small body":                 {"Content-Length: 10\r\n", "{", "400", ""},
		"a large body":                 {"Content-Length: 100000\r\n", "{", "400", ""},
		"a body in chunks":             {"Transfer-Encoding: chunked\r\n", "1\r\n{\r\n", "400", ""},
		"an early answer":              {"Content-Length: 100000\r\n", "{", "200", okAnswer},
		"an early answer, in chunks":   {"Transfer-Encoding: chunked\r\n", "1\r\n{\r\n", "200", streamHead + "1\r\nx\r\n0\r\n\r\n"},
		"an early error":               {"Content-Length: 100000\r\n", "{", "413", withLength("413 Large", "", "no")},
		"an early answer that breaks":  {"Content-Length: 100000\r\n", "{", "200", streamHead + "1\r\nx\r\nzz\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := serveLazyOrigin(t, func(up *call) {
				if c.early != "" {
					up.write(c.early)
				}
				up.untilGone()
			})
			p := newProxy(t, o.URL, impatient(300*time.Millisecond))
			head := c.head
			if !strings.Contains(head, "Authorization") {
				head += "Authorization: Bearer " + p.mint(t) + "\r\n"
			}
			conn := p.dial(t)
			fmt.Fprintf(conn, "POST /v1/files HTTP/1.1\r\nHost: x\r\n%s\r\n%s", head, c.part)
			all, err := io.ReadAll(conn)
			require.NoError(t, err, "the connection is closed: %q", all)
			require.True(t, strings.HasPrefix(string(all), "HTTP/1.1 "+c.status), string(all))
			if strings.Contains(name, "breaks") {
				require.Equal(t, llmproxy.Cut, p.lastEvent(t, 1).Outcome)
				require.False(t, strings.HasSuffix(string(all), "0\r\n\r\n"))
			} else if c.early != "" {
				require.Equal(t, llmproxy.Complete, p.lastEvent(t, 1).Outcome)
				require.Contains(t, string(all), "Connection: close", "what comes of the body must not be taken for a request")
			}
		})
	}
}

// TestAnAnswerBeforeTheBodyIsSentArrives: the caller may go on sending, and gets the answer.
func TestAnAnswerBeforeTheBodyIsSentArrives(t *testing.T) {
	o := serveLazyOrigin(t, func(c *call) { c.write(withLength("413 Large", "", "no")) }) // and reads on
	p := newProxy(t, o.URL)
	for range 20 {
		res := p.ask(t, p.mint(t), "POST", "/v1/files", strings.Repeat("x", 150<<10))
		require.Equal(t, 413, res.StatusCode)
		require.Equal(t, "no", res.Body)
	}
}

// TestARefusedRequestLeavesItsConnectionUsable: a body that is sent is read, whoever refuses the request.
func TestARefusedRequestLeavesItsConnectionUsable(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	conn := p.dial(t)
	body := strings.Repeat("x", 1000)
	for range 3 {
		fmt.Fprintf(conn, "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	fmt.Fprintf(conn, "POST /v1/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", p.mint(t), len(body), body)
	all, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(all), "HTTP/1.1 401"))
	require.Equal(t, 1, strings.Count(string(all), "HTTP/1.1 200"))
}
