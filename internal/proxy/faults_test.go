package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// short are time-outs that a test can wait for.
const short = "timeouts: {connect: 300ms, response_header: 300ms, idle: 300ms}"

// requireError checks an error of ours in OpenAI's shape.
func requireError(t testing.TB, a answer, status int, kind, code string) {
	t.Helper()
	require.NoError(t, a.Err)
	require.Equal(t, status, a.StatusCode, a.Body)
	require.Regexp(t, fmt.Sprintf(`^\{"error":\{"message":"[^"].*","type":"%s","param":null,"code":"%s"\}\}\n$`, kind, code), a.Body)
	require.Equal(t, []string{"application/json"}, a.Header["Content-Type"])
	require.NotEmpty(t, a.Header.Get(RequestIDHeader))
}

func TestAnUpstreamThatCannotBeReachedIs502(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refusing := "http://" + closed.Addr().String()
	closed.Close()
	plain := serveOrigin(t, func(c *call) { c.hangUp() })
	for name, base := range map[string]string{
		"refused":      refusing,
		"no such name": "https://name.invalid",
		"no TLS":       strings.Replace(plain.URL, "http://", "https://", 1),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, base)
			for _, body := range []string{"{}", strings.Repeat("x", 200<<10)} {
				before := len(p.Events.all())
				res := p.ask(t, p.mint(t), "POST", "/v1/chat/completions", body)
				requireError(t, res, 502, "server_error", "upstream_unreachable")
				require.Empty(t, res.Header["X-Should-Retry"], "nothing was executed: a client may try again")
				e := p.lastEvent(t, before+1)
				require.Equal(t, llmproxy.UpstreamError, e.Outcome)
				require.Equal(t, 502, e.Status)
			}
			require.Empty(t, plain.whole())
		})
	}
}

func TestAnUpstreamThatDoesNotAnswerIs504(t *testing.T) {
	gone := make(chan struct{}, 8)
	o := serveOrigin(t, func(c *call) {
		c.untilGone()
		gone <- struct{}{}
	})
	p := newProxy(t, o.URL, stanza(short))
	for i, body := range []string{"{}", strings.Repeat("x", 200<<10)} {
		res := p.ask(t, p.mint(t), "POST", "/v1/chat/completions", body)
		requireError(t, res, 504, "server_error", "upstream_timeout")
		require.Empty(t, res.Header["X-Should-Retry"])
		await(t, gone)
		require.Equal(t, llmproxy.UpstreamError, p.lastEvent(t, i+1).Outcome)
		require.Len(t, o.requests(), i+1)
	}
	// A GET may be asked again, but not when time has run out.
	requireError(t, p.ask(t, p.mint(t), "GET", "/v1/models", ""), 504, "server_error", "upstream_timeout")
	require.Len(t, o.requests(), 3)
}

// TestABrokenAnswerLooksBroken: whatever ends an answer before its end, the caller gets all that came and then no end.
func TestABrokenAnswerLooksBroken(t *testing.T) {
	event := "data: {\"choices\":[]}\n\n"
	large := randomText(300 << 10)
	for name, c := range map[string]struct{ head, body string }{
		"a stream":             {streamHead, inChunks(strings.Repeat(event, 10), len(event))},
		"a stream in a chunk":  {streamHead, inChunks(strings.Repeat(event, 10), len(event))[:150]},
		"before an event":      {streamHead, "0"},
		"a known length":       {"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n", large + "xx"},
		"a length without any": {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "x"},
		"large chunks":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", inChunks(large, 50000)},
		"an error":             {"HTTP/1.1 500 Oops\r\nContent-Length: 1000\r\n\r\n", "{\"error\":x"},
		"an error in chunks":   {"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n", inChunks("{\"error\"", 3)},
		"a large error":        {"HTTP/1.1 500 Oops\r\nContent-Length: 400000\r\n\r\n", large + "xx"},
		"garbage in chunks":    {streamHead, inChunks(event, 100)[:len(event)+6] + "zz\r\n"},
		"a chunk without end":  {streamHead, inChunks(event, 100)[:len(event)+4] + "xx"},
	} {
		for _, end := range []string{"FIN", "RST", "silence"} {
			if end == "silence" && strings.Contains(name, "garbage") || end == "RST" && strings.Contains(name, "error") {
				continue // garbage is seen at once; a RST may overtake what is held
			}
			t.Run(name+" "+end, func(t *testing.T) {
				t.Parallel()
				body := c.body
				if i := strings.Index(body, "0\r\n\r\n"); i >= 0 && strings.Contains(c.head, "chunked") && strings.HasSuffix(body, "\r\n0\r\n\r\n") {
					body = body[:len(body)-5]
				}
				read := make(chan struct{})
				o := serveOrigin(t, func(up *call) {
					up.write(c.head, body)
					if end == "RST" {
						await(t, read)
					}
					switch end {
					case "FIN":
						up.hangUp()
					case "RST":
						up.reset()
					default:
						up.untilGone()
					}
				})
				p := newProxy(t, o.URL, stanza(short))
				sent := strings.NewReader("{}")
				conn := p.dial(t)
				fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", p.mint(t), sent.Len())
				_, err := sent.WriteTo(conn)
				require.NoError(t, err)
				first := make([]byte, 64<<10)
				n, _ := conn.Read(first)
				close(read)
				rest, _ := io.ReadAll(conn)
				all := append(first[:n], rest...)
				require.NotEmpty(t, all, "what came goes out")
				e := p.lastEvent(t, 1)
				require.Equal(t, llmproxy.Cut, e.Outcome)

				status, _, _ := strings.Cut(c.head[len("HTTP/1.1 "):], " ")
				head, got, _ := strings.Cut(string(all), "\r\n\r\n")
				require.True(t, strings.HasPrefix(head, "HTTP/1.1 "+status), head)
				require.Equal(t, status, fmt.Sprint(e.Status))
				text := got
				if strings.Contains(head, "Transfer-Encoding: chunked") {
					text = unchunk(t, got)
				}
				want := body
				if strings.Contains(c.head, "chunked") {
					want = unchunk(t, body)
				}
				require.Equal(t, int64(len(text)), e.Response.Bytes, "what the event says was passed")
				require.True(t, strings.HasPrefix(want, text))
				if end != "RST" { // it drops what is on its way
					require.Len(t, text, len(want), "all that came")
				}
				require.NotContains(t, got, "[DONE]")
				require.False(t, strings.Contains(head, "chunked") && strings.HasSuffix(got, "0\r\n\r\n"), "it must not look ended")
				require.Len(t, o.requests(), 1, "never sent again")
			})
		}
	}
}

// unchunk is the data of a body in chunks that may break off anywhere.
func unchunk(t testing.TB, s string) string {
	t.Helper()
	var b strings.Builder
	for s != "" {
		line, rest, ok := strings.Cut(s, "\r\n")
		var n int
		if _, err := fmt.Sscanf(line, "%x", &n); !ok || err != nil {
			return b.String()
		}
		data := rest[:min(n, len(rest))]
		b.WriteString(data)
		if len(rest) < n+2 || rest[n:n+2] != "\r\n" {
			return b.String()
		}
		s = rest[n+2:]
	}
	return b.String()
}

// TestAnAnswerThatIsNoneIs502: no panic, no answer made up, and the connection is not used again.
func TestAnAnswerThatIsNoneIs502(t *testing.T) {
	for name, bytes := range map[string]string{
		"garbage":              "\x00\x01\x02 what is this\r\n\r\n",
		"TLS":                  "\x15\x03\x01\x00\x02\x02\x46",
		"HTTP/0.9":             "<html></html>\r\n\r\n",
		"SSH":                  "SSH-2.0-OpenSSH_9\r\n",
		"no status":            "HTTP/1.1 \r\n\r\n",
		"status 000":           "HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n",
		"status 099":           "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
		"status 1000":          "HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
		"status -200":          "HTTP/1.1 -20 Low\r\nContent-Length: 0\r\n\r\n",
		"a head without end":   "HTTP/1.1 200 OK\r\nX-A: 1\r\n",
		"a line without colon": "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
		"two lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"a negative length":    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a length of words":    "HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
		"an unknown encoding":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"a header of 1 MB":     "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 1<<20) + "\r\nContent-Length: 0\r\n\r\n",
		"100,000 headers":      "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 100_000) + "Content-Length: 0\r\n\r\n",
		"endless early hints":  strings.Repeat("HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n", 20_000),
		"switching protocols":  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"nothing":              "",
	} {
		t.Run(name, func(t *testing.T) {
			o := serveOrigin(t, func(c *call) {
				c.write(bytes)
				c.hangUp()
			})
			p := newProxy(t, o.URL, stanza("retry: {attempts: 0}"))
			for i := range 2 {
				res := p.chat(t, p.mint(t))
				requireError(t, res, 502, "server_error", "upstream_invalid")
				require.Equal(t, []string{"false"}, res.Header["X-Should-Retry"], "it may have been executed")
				e := p.lastEvent(t, i+1)
				require.Equal(t, llmproxy.UpstreamError, e.Outcome)
				require.Equal(t, 502, e.Status)
			}
			require.EqualValues(t, 2, o.conns.Load())
			require.NotContains(t, p.Log.String(), "panic")
		})
	}
}

// TestALyingLengthSpoilsNobodyElse: what comes beyond an answer's length is nobody's answer.
func TestALyingLengthSpoilsNobodyElse(t *testing.T) {
	o := serveOrigin(t, func(c *call) {
		c.write(withLength("200 OK", "", "mine!"), withLength("200 OK", "", "another's"))
	})
	p := newProxy(t, o.URL)
	for range 5 {
		res := p.chat(t, p.mint(t))
		require.NoError(t, res.Err)
		require.Equal(t, "mine!", res.Body)
	}
	require.EqualValues(t, 5, o.conns.Load(), "such a connection is not used again")
}

func TestErrorsOfTheUpstreamPassAndOpenTheCircuit(t *testing.T) {
	status := "500 Oops"
	o := serveOrigin(t, func(c *call) { c.write(withLength(status, "X-Theirs: 1\r\n", "theirs")) })
	p := newProxy(t, o.URL, stanza("circuit_breaker: {failures: 3, window: 10m, cooldown: 400ms}"))
	token := p.mint(t)
	ask := func() answer { return p.chat(t, token) }
	passed := func(res answer, code int) {
		t.Helper()
		require.Equal(t, code, res.StatusCode)
		require.Equal(t, "theirs", res.Body)
		require.Empty(t, res.Header["X-Should-Retry"])
	}
	for range 20 { // neither 4xx nor 429 counts, and any of them starts the count anew
		status = "500 Oops"
		passed(ask(), 500)
		passed(ask(), 500)
		status = "429 Slow Down"
		passed(ask(), 429)
	}
	status = "503 Busy"
	for range 3 {
		passed(ask(), 503)
	}
	reached, spent := len(o.requests()), p.Store.calls()
	for range 20 {
		res := ask()
		requireError(t, res, 503, "server_error", "circuit_open")
		require.Equal(t, []string{"1"}, res.Header["Retry-After"])
		require.Empty(t, res.Header["X-Should-Retry"])
	}
	requireError(t, p.ask(t, "no token at all", "POST", "/v1/embeddings", "{}"), 503, "server_error", "circuit_open")
	require.Len(t, o.requests(), reached, "an open circuit spares the upstream")
	require.Equal(t, spent, p.Store.calls(), "and the token: nothing is counted")
	passed(p.ask(t, p.mint(t, of("anthropic")), "POST", "/anthropic/v1/messages", "{}"), 503) // another provider has a circuit of its own

	// A stranger that gets the probe's turn gives it back; then one request finds out.
	status = "200 OK"
	eventually(t, "the probe", func() bool {
		p.ask(t, "no token at all", "POST", "/v1/embeddings", "{}")
		return ask().StatusCode == 200
	})
	for range 5 {
		passed(ask(), 200)
	}
}

// TestWaitingForAConnectionIsNoFaultOfTheUpstream: where all that may be used are in use, the circuit stays closed.
func TestWaitingForAConnectionIsNoFaultOfTheUpstream(t *testing.T) {
	hold := make(chan struct{})
	o := serveOrigin(t, func(c *call) {
		c.write(streamHead)
		c.chunk("data: 1\n\n")
		if strings.Contains(c.Line, "speech") {
			await(t, hold)
		}
		c.write("0\r\n\r\n")
	})
	p := newProxy(t, o.URL, stanza("timeouts: {connect: 500ms, response_header: 500ms, idle: 1m}", "limits: {connections_per_host: 1}", "circuit_breaker: {failures: 1, window: 1m, cooldown: 1m}"))
	token := p.mint(t)
	long := p.do(t, p.request(t, token, "POST", "/v1/audio/speech", strings.NewReader("{}")))
	requireError(t, p.chat(t, token), 504, "server_error", "upstream_timeout")
	close(hold)
	_, err := io.Copy(io.Discard, long.Body)
	require.NoError(t, err)
	require.Equal(t, 200, p.chat(t, token).StatusCode)
	require.Len(t, o.requests(), 2)
}

// TestSilenceEndsAStream is one half; TestALongStreamOutlivesEveryLimit has the other, that drips do not.
func TestSilenceEndsAStream(t *testing.T) {
	o := serveOrigin(t, func(c *call) {
		c.write(streamHead)
		c.chunk("data: 1\n\n")
		c.untilGone()
	})
	p := newProxy(t, o.URL, stanza("timeouts: {connect: 10s, response_header: 10s, idle: 200ms}"))
	res := p.chat(t, p.mint(t))
	require.ErrorIs(t, res.Err, io.ErrUnexpectedEOF)
	require.Equal(t, "data: 1\n\n", res.Body)
	require.Equal(t, llmproxy.Cut, p.event(t, res.Response).Outcome)
}

// TestTimesAreMeasuredOnTheMonotonicClock: the clock that tokens are compared with may jump.
func TestTimesAreMeasuredOnTheMonotonicClock(t *testing.T) {
	for _, jump := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		p := &testProxy{}
		o := serveOrigin(t, func(c *call) {
			p.pass(jump)
			c.write(okAnswer)
		})
		p = newProxy(t, o.URL)
		res := p.chat(t, p.mint(t))
		require.Equal(t, 200, res.StatusCode)
		timing := p.event(t, res.Response).Timing
		for what, d := range map[string]time.Duration{"total": timing.Total, "auth": timing.Auth, "first byte": timing.FirstByte, "upstream": timing.Upstream} {
			require.Positive(t, d, what)
			require.Less(t, d, patient, what)
		}
	}
}

// TestExpiryHasNoLeeway: at its moment a token is expired.
func TestExpiryHasNoLeeway(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	token := p.mint(t)
	p.pass(time.Hour - time.Millisecond)
	require.Equal(t, 200, p.chat(t, token).StatusCode)
	p.pass(time.Millisecond)
	requireError(t, p.chat(t, token), 401, "authentication_error", "token_expired")
	p.pass(-time.Millisecond) // a clock that steps back does not make it worse
	require.Equal(t, 200, p.chat(t, token).StatusCode)
}

// panicking is a ResponseWriter that panics where a test says.
type panicking struct {
	http.ResponseWriter
	onHead, onWrite bool
}

func (w *panicking) WriteHeader(status int) {
	if w.onHead {
		panic("writing the head")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *panicking) Write(p []byte) (int, error) {
	if w.onWrite {
		panic("writing the body")
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap serves [http.ResponseController].
func (w *panicking) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// panickingBody is a request body that panics when it is read.
type panickingBody struct{}

func (panickingBody) Read([]byte) (int, error) { panic("reading the body") }
func (panickingBody) Close() error             { return nil }

func TestAPanicEndsOneRequestAndNoMore(t *testing.T) {
	inWriter := func(w panicking) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Panic") != "" {
					own := w
					own.ResponseWriter = rw
					rw = &own
				}
				next.ServeHTTP(rw, r)
			})
		}
	}
	inBody := func(length int64) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Panic") != "" {
					r.Body, r.ContentLength = panickingBody{}, length
				}
				next.ServeHTTP(rw, r)
			})
		}
	}
	for name, c := range map[string]struct {
		arm    func(p *testProxy, hit func())
		wrap   func(http.Handler) http.Handler
		status int // 0: the answer breaks off
		event  llmproxy.Outcome
	}{
		"the store":          {arm: func(p *testProxy, hit func()) { p.Store.onSpend = hit }, status: 500},
		"the begin":          {arm: func(p *testProxy, hit func()) { p.Events.onBegin = hit }, status: 500, event: llmproxy.Refused},
		"the keys":           {arm: func(p *testProxy, hit func()) { p.Keys.onOpen = hit }, status: 500, event: llmproxy.Refused},
		"the publisher":      {arm: func(p *testProxy, hit func()) { p.Events.onPublish = hit }, status: 200, event: llmproxy.Complete},
		"the head":           {wrap: inWriter(panicking{onHead: true}), event: llmproxy.Cut},
		"the body":           {wrap: inWriter(panicking{onWrite: true}), event: llmproxy.Cut},
		"reading":            {wrap: inBody(10), status: 500, event: llmproxy.Refused},
		"reading beside":     {wrap: inBody(200 << 10), status: 500, event: llmproxy.Refused},
		"reading beside, -1": {wrap: inBody(-1), status: 500, event: llmproxy.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			o := serveOrigin(t, answerOK)
			var change []func(*setup)
			if c.wrap != nil {
				change = append(change, wrapped(c.wrap))
			}
			p := newProxy(t, o.URL, change...)
			token := p.mint(t)
			if c.arm != nil {
				armed := true
				c.arm(p, func() {
					if armed {
						armed = false
						panic(name)
					}
				})
			}
			res, err := p.Client.Do(p.request(t, token, "POST", "/v1/embeddings", strings.NewReader("{}"), "X-Panic", "1"))
			if c.status == 0 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				res.Body.Close()
				require.Equal(t, c.status, res.StatusCode)
			}
			if c.event != "" {
				e := p.lastEvent(t, 1)
				require.Equal(t, c.event, e.Outcome)
			}
			require.Contains(t, p.Log.String(), "panic")
			before := len(p.Events.all())
			require.Equal(t, 200, p.chat(t, token).StatusCode, "the next request")
			require.Equal(t, llmproxy.Complete, p.lastEvent(t, before+1).Outcome)
		})
	}
}
