package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// anyMethod is an endpoint with the methods that the presets do not use.
const anyMethod = "endpoints: [{path: /v1/any, methods: [GET, HEAD, POST, PUT, PATCH, DELETE]}]"

// compressed is text in a content coding.
func compressed(t testing.TB, coding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		var err error
		w, err = zstd.NewWriter(&b)
		require.NoError(t, err)
	default:
		return text
	}
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return string(b)
}

// inChunks is a body as it goes on the wire in chunks.
func inChunks(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestTheCallerGetsTheAnswerUnchanged(t *testing.T) {
	const headers = "Content-Type: application/json\r\nx-request-id: req_1\r\nX-Twice: a\r\nX-RateLimit-Remaining: 5\r\nX-Twice: b, c\r\nServer: cloudflare\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nRetry-After: 3\r\n" +
		"Access-Control-Allow-Origin: *\r\nLocation: /v1/models\r\nOpenAI-Processing-Ms: 12\r\nEtag: W/\"x\"\r\nX-Empty:\r\nContent-Language: de\r\nWWW-Authenticate: Custom\r\nX-Should-Retry: true\r\nVary: Origin\r\n"
	const removed = "Set-Cookie: __cf_bm=x\r\nset-cookie: y=z\r\nAlt-Svc: h3=\":443\"\r\nOpenAI-Organization: org\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nTrailer: X-Sum\r\nX-Llm-Proxy-Request-Id: further up\r\n"
	sse := strings.Repeat("event: message\ndata: {\"x\":\"ä\"}\n\n", 50) + "data: [DONE]\n\n"
	large := randomText(700 << 10)
	for name, c := range map[string]struct {
		method, answer string
		status         int
		headers, body  string
	}{
		"JSON":                {"POST", withLength("200 OK", headers+removed, `{"a":1}`+"\n"), 200, headers + "Content-Length: 8\r\n", "{\"a\":1}\n"},
		"JSON in chunks":      {"POST", "HTTP/1.1 200 OK\r\n" + headers + removed + "Transfer-Encoding: chunked\r\n\r\n" + inChunks(`{"a":1}`, 3), 200, headers + "Transfer-Encoding: chunked\r\n", `{"a":1}`},
		"with trailers":       {"POST", "HTTP/1.1 200 OK\r\n" + headers + "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n", 200, headers + "Transfer-Encoding: chunked\r\n", "{}"},
		"up to its end":       {"POST", "HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: close\r\n\r\n" + large, 200, "X-A: 1\r\nTransfer-Encoding: chunked\r\n", large},
		"of HTTP/1.0":         {"POST", "HTTP/1.0 200 Fine\r\nX-A: 1\r\n\r\nbody", 200, "X-A: 1\r\nTransfer-Encoding: chunked\r\n", "body"},
		"an event stream":     {"POST", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n" + inChunks(sse, 17), 200, "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n", sse},
		"a stream of length":  {"POST", withLength("200 OK", "Content-Type: text/event-stream\r\n", sse), 200, fmt.Sprintf("Content-Type: text/event-stream\r\nContent-Length: %d\r\n", len(sse)), sse},
		"binary":              {"POST", withLength("200 OK", "Content-Type: audio/mpeg\r\n", large), 200, fmt.Sprintf("Content-Type: audio/mpeg\r\nContent-Length: %d\r\n", len(large)), large},
		"binary in chunks":    {"POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + inChunks(large, 65521), 200, "Transfer-Encoding: chunked\r\n", large},
		"no type and text":    {"POST", withLength("200 OK", "", "<html>"), 200, "Content-Length: 6\r\n", "<html>"},
		"empty":               {"POST", withLength("200 OK", headers, ""), 200, headers + "Content-Length: 0\r\n", ""},
		"empty in chunks":     {"POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "Transfer-Encoding: chunked\r\n", ""},
		"created":             {"PUT", withLength("201 Made", "", "x"), 201, "Content-Length: 1\r\n", "x"},
		"no content":          {"DELETE", "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", 204, "X-A: 1\r\n", ""},
		"not modified":        {"GET", "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nX-A: 1\r\n\r\n", 304, "Etag: \"x\"\r\nX-A: 1\r\n", ""},
		"HEAD":                {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Type: audio/mpeg\r\n\r\n", 200, "Content-Length: 1234\r\nContent-Type: audio/mpeg\r\n", ""},
		"HEAD of chunks":      {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n", 200, "X-A: 1\r\n", ""},
		"HEAD of an error":    {"HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 1234\r\n\r\n", 404, "Content-Length: 1234\r\n", ""},
		"an error":            {"POST", withLength("429 Slow Down", headers+removed, `{"error":{}}`), 429, headers + "Content-Length: 12\r\n", `{"error":{}}`},
		"an empty error":      {"POST", withLength("400 Bad Request", "", ""), 400, "Content-Length: 0\r\n", ""},
		"a large error":       {"POST", withLength("500 Oops", "X-A: 1\r\n", large), 500, fmt.Sprintf("X-A: 1\r\nContent-Length: %d\r\n", len(large)), large},
		"an error in chunks":  {"POST", "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n" + inChunks(large, 9000), 503, "Transfer-Encoding: chunked\r\n", large},
		"a status of its own": {"POST", withLength("599 Ours", "", "x"), 599, "Content-Length: 1\r\n", "x"},
		"a redirect":          {"POST", withLength("307 Temporary Redirect", "Location: /v1/other\r\n", "x"), 307, "Location: /v1/other\r\nContent-Length: 1\r\n", "x"},
		"gzip":                {"POST", withLength("200 OK", "Content-Encoding: gzip\r\n", compressed(t, "gzip", sse)), 200, fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n", len(compressed(t, "gzip", sse))), compressed(t, "gzip", sse)},
		"a coding of its own": {"POST", withLength("200 OK", "Content-Encoding: x-own\r\n", "\x00\x01"), 200, "Content-Encoding: x-own\r\nContent-Length: 2\r\n", "\x00\x01"},
	} {
		t.Run(name, func(t *testing.T) {
			o := serveOrigin(t, func(up *call) {
				up.write(c.answer)
				if !strings.Contains(c.answer, "Content-Length") && !strings.Contains(c.answer, "chunked") {
					up.hangUp()
				}
			})
			p := newProxy(t, o.URL, stanza(anyMethod, "retry: {attempts: 0}"))
			conn := p.dial(t)
			body := ""
			if c.method == "POST" {
				body = "{}"
			}
			fmt.Fprintf(conn, "%s /v1/any HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", c.method, p.mint(t), len(body), body)
			all, err := io.ReadAll(conn)
			require.NoError(t, err)
			head, _, _ := strings.Cut(string(all), "\r\n\r\n")
			line, lines, _ := strings.Cut(head, "\r\n")
			require.True(t, strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", c.status)), line)

			want := fields(c.headers)
			want["connection"] = []string{"close"} // asked for
			got := fields(lines)
			event := p.lastEvent(t, 1)
			want["x-llm-proxy-request-id"] = []string{event.ID.String()}
			if want["content-length"] == nil && got["content-length"] != nil { // a short answer in chunks that has ended when it goes out
				require.Equal(t, []string{strconv.Itoa(len(c.body))}, got["content-length"])
				require.NotNil(t, want["transfer-encoding"])
				delete(got, "content-length")
				got["transfer-encoding"] = want["transfer-encoding"]
			}
			require.Equal(t, want, got)

			res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(all)), &http.Request{Method: c.method})
			require.NoError(t, err)
			answered, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Empty(t, res.Trailer)
			require.Equal(t, sha256.Sum256([]byte(c.body)), sha256.Sum256(answered), "the body is not what the upstream sent: %.100q", answered)
			require.Equal(t, llmproxy.Complete, event.Outcome)
			require.Equal(t, c.status, event.Status)
			require.Equal(t, int64(len(c.body)), event.Response.Bytes)
		})
	}
}

// TestCompressedAnswersPassAsTheyAre: the caller's bytes are the upstream's, and usage is read from them all the same.
func TestCompressedAnswersPassAsTheyAre(t *testing.T) {
	const plain = `{"id":"c","model":"gpt-x","created":1700000000,"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`
	stream := strings.Repeat("data: {\"model\":\"gpt-x\",\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n", 200) +
		"data: {\"model\":\"gpt-x\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\ndata: [DONE]\n\n"
	for _, coding := range []string{"identity", "gzip", "br", "zstd"} {
		for kind, text := range map[string]string{"application/json": plain, "text/event-stream": stream} {
			t.Run(coding+" "+kind, func(t *testing.T) {
				body := compressed(t, coding, text)
				o := serveOrigin(t, answerWith("HTTP/1.1 200 OK\r\nContent-Type: "+kind+"\r\nContent-Encoding: "+coding+"\r\nTransfer-Encoding: chunked\r\n\r\n", inChunks(body, 100)))
				p := newProxy(t, o.URL, func(s *setup) { s.Capture = llmproxy.CaptureMetadata })
				res := p.chat(t, p.mint(t), "Accept-Encoding", "gzip, br, zstd")
				require.NoError(t, res.Err)
				require.Equal(t, sha256.Sum256([]byte(body)), sha256.Sum256([]byte(res.Body)))
				require.Equal(t, []string{coding}, res.Header["Content-Encoding"])
				require.Equal(t, []string{"gzip, br, zstd"}, o.last(t).values("Accept-Encoding"))
				e := p.event(t, res.Response)
				require.NotNil(t, e.Usage, "usage is read although the body is compressed")
				require.EqualValues(t, 11, *e.Usage.Input)
				require.EqualValues(t, 7, *e.Usage.Output)
				require.Nil(t, e.Response.Body, "with capture metadata no body leaves")
			})
		}
	}
}

// TestABombIsPassedAndNotInflated: a megabyte that inflates to a gigabyte costs what a megabyte costs, and its usage is unknown.
func TestABombIsPassedAndNotInflated(t *testing.T) {
	bomb := strings.Repeat(compressed(t, "gzip", strings.Repeat("\x00", 1<<20)), 1000) // a thousand members are one stream
	for _, status := range []string{"200 OK", "400 Bad Request"} {                     // an error answer is searched for the key
		o := serveOrigin(t, answerWith(withLength(status, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", bomb)))
		p := newProxy(t, o.URL, func(s *setup) { s.Capture = llmproxy.CaptureMetadata })
		token := p.mint(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res := p.chat(t, token)
		runtime.ReadMemStats(&after)
		require.NoError(t, res.Err)
		require.Equal(t, sha256.Sum256([]byte(bomb)), sha256.Sum256([]byte(res.Body)))
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "bytes allocated in all, of which the test's own reading is a part")
		require.Nil(t, p.event(t, res.Response).Usage)
	}
}

// TestInterimAnswersArePassed: early hints reach the caller before the answer, and 100 Continue is ours alone.
func TestInterimAnswersArePassed(t *testing.T) {
	hinted := make(chan struct{})
	o := serveOrigin(t, func(c *call) {
		c.write("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nSet-Cookie: x=y\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n")
		await(t, hinted)
		c.write("HTTP/1.1 102 Processing\r\n\r\n", okAnswer)
	})
	p := newProxy(t, o.URL)
	r := p.request(t, p.mint(t), "POST", "/v1/chat/completions", strings.NewReader("{}"))
	var interim []string
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		interim = append(interim, fmt.Sprint(code, h["Link"], h["Set-Cookie"], h["X-Hop"]))
		if code == http.StatusEarlyHints {
			close(hinted)
		}
		return nil
	}}))
	res := p.do(t, r)
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, []string{"103 [</a>; rel=preload] [] []", "102 [] [] []"}, interim)
	require.Empty(t, res.Header["Link"], "the hint is not repeated")
}

// TestEachChunkArrivesBeforeTheNextIsSent: whatever the size of a chunk is, nothing holds it back.
func TestEachChunkArrivesBeforeTheNextIsSent(t *testing.T) {
	var sizes []int
	for _, n := range []int{1, 10, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10} {
		sizes = append(sizes, n-1, n, n+1)
	}
	sizes = append(sizes[1:], 5, 500<<10, 7, 1<<20, 3)
	for _, kind := range []string{"text/event-stream", "application/octet-stream"} {
		for _, first := range []int{1, 4 << 10} { // a first chunk that fills the capture's smallest buffer
			turn := make(chan struct{})
			o := serveOrigin(t, func(c *call) {
				c.write("HTTP/1.1 200 OK\r\nContent-Type: ", kind, "\r\nTransfer-Encoding: chunked\r\n\r\n")
				for _, n := range append([]int{first}, sizes...) {
					c.chunk(strings.Repeat("x", n))
					await(t, turn)
				}
				c.write("0\r\n\r\n")
			})
			p := newProxy(t, o.URL)
			res := p.do(t, p.request(t, p.mint(t), "POST", "/v1/audio/speech", strings.NewReader("{}")))
			for i, n := range append([]int{first}, sizes...) {
				done := make(chan error, 1)
				go func() {
					_, err := io.ReadFull(res.Body, make([]byte, n))
					done <- err
				}()
				select {
				case err := <-done:
					require.NoError(t, err)
				case <-time.After(patient):
					require.FailNow(t, "a chunk is held back", "chunk %d of %d bytes, %s", i, n, kind)
				}
				turn <- struct{}{}
			}
			rest, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Empty(t, rest)
		}
	}
}

// TestAChunkOfAKnownLengthIsNotHeldBack: a length that is known says nothing of when its bytes come.
func TestAChunkOfAKnownLengthIsNotHeldBack(t *testing.T) {
	goOn := make(chan struct{})
	o := serveOrigin(t, func(c *call) {
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n", strings.Repeat("x", 256<<10))
		await(t, goOn)
		c.write(strings.Repeat("y", 400000-256<<10))
	})
	p := newProxy(t, o.URL)
	res := p.do(t, p.request(t, p.mint(t), "POST", "/v1/audio/speech", strings.NewReader("{}")))
	_, err := io.ReadFull(res.Body, make([]byte, 256<<10))
	require.NoError(t, err)
	close(goOn)
	n, err := io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.EqualValues(t, 400000-256<<10, n)
}

// TestTheHeadDoesNotWaitForTheBody: a model may think for minutes, and who waits for it wants to know that it does.
func TestTheHeadDoesNotWaitForTheBody(t *testing.T) {
	for name, head := range map[string]string{
		"an event stream": streamHead, "an event stream, and what says how long its first chunk is": streamHead + "5\r\n",
		"another stream": "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n", "a known length": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			goOn := make(chan struct{})
			o := serveOrigin(t, func(c *call) {
				c.write(head)
				await(t, goOn)
				if !strings.HasSuffix(head, "5\r\n") {
					c.write("5\r\n")
				}
				c.write("hello\r\n0\r\n\r\n")
				if strings.Contains(head, "Length") {
					c.hangUp()
				}
			})
			p := newProxy(t, o.URL)
			r := p.request(t, p.mint(t), "POST", "/v1/chat/completions", strings.NewReader("{}"))
			ctx, cancel := context.WithTimeout(t.Context(), patient)
			defer cancel()
			res, err := p.Client.Do(r.WithContext(ctx))
			require.NoError(t, err, "its head")
			defer res.Body.Close()
			close(goOn)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Len(t, body, 5)
		})
	}
}

// TestAnEventStreamThatHasComeWholeIsStillAStream: who asked for one reads chunks.
func TestAnEventStreamThatHasComeWholeIsStillAStream(t *testing.T) {
	o := serveOrigin(t, func(c *call) { c.write(streamHead + "9\r\ndata: 1\n\n\r\n0\r\n\r\n") })
	p := newProxy(t, o.URL)
	res := p.do(t, p.request(t, p.mint(t), "POST", "/v1/chat/completions", strings.NewReader("{}")))
	require.EqualValues(t, -1, res.ContentLength)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "data: 1\n\n", string(body))
}

// TestALongStreamOutlivesEveryLimit: a stream that drips is alive, however long it takes altogether.
func TestALongStreamOutlivesEveryLimit(t *testing.T) {
	const chunks, every, limit = 40, 75 * time.Millisecond, time.Second
	o := serveOrigin(t, func(c *call) {
		c.write(streamHead)
		for i := range chunks {
			time.Sleep(every)
			c.chunk(fmt.Sprintf("data: %d\n\n", i))
		}
		c.write("0\r\n\r\n")
	})
	p := newProxy(t, o.URL, stanza(fmt.Sprintf("timeouts: {connect: %s, response_header: %s, idle: %s}", limit, limit, limit)), impatient(limit))
	res := p.chat(t, p.mint(t))
	require.NoError(t, res.Err)
	require.Equal(t, chunks, strings.Count(res.Body, "data: "))
	e := p.event(t, res.Response)
	require.Equal(t, llmproxy.Complete, e.Outcome)
	require.EqualValues(t, chunks, e.Response.Events)
	require.Greater(t, e.Timing.Total, chunks*every, "three times the limits")
}

// heapPeak returns the size of the heap in bytes, and watches it until peak is asked for the largest that it has seen.
func heapPeak() (now int64, peak func() int64) {
	gc := debug.SetGCPercent(10) // garbage is not what the tests ask about
	runtime.GC()
	size := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		largest := int64(0)
		for {
			largest = max(largest, size())
			select {
			case <-stop:
				done <- largest
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return size(), func() int64 {
		close(stop)
		debug.SetGCPercent(gc)
		return <-done
	}
}

// flat is how far the heap of all three, caller, proxy and upstream, may grow over what it was.
const flat = 12 << 20

func TestALargeDownloadNeedsNoMemory(t *testing.T) {
	const size = 100 << 20
	block := randomText(1 << 20)
	o := serveOrigin(t, func(c *call) {
		c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
		for range size / len(block) {
			c.write(block)
		}
	})
	p := newProxy(t, o.URL)
	sum, want := sha256.New(), sha256.New()
	for range size / len(block) {
		io.WriteString(want, block)
	}
	r := p.request(t, p.mint(t), "GET", "/v1/files/f/content", nil)
	before, peak := heapPeak()
	res := p.do(t, r)
	n, err := io.Copy(sum, res.Body)
	grown := peak() - before
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	require.Equal(t, want.Sum(nil), sum.Sum(nil))
	require.Less(t, grown, int64(flat))
	e := p.event(t, res)
	require.EqualValues(t, size, e.Response.Bytes)
	require.Len(t, e.Response.Body.Head, responseHead)
	require.Len(t, e.Response.Body.Tail, responseTail)
}

func TestALargeUploadNeedsNoMemory(t *testing.T) {
	const size = 20 << 20
	block := randomText(1 << 20)
	for _, known := range []bool{true, false} {
		o := serveOrigin(t, answerOK)
		p := newProxy(t, o.URL)
		want := sha256.New()
		readers := make([]io.Reader, size/len(block))
		for i := range readers {
			readers[i] = strings.NewReader(block)
			io.WriteString(want, block)
		}
		r := p.request(t, p.mint(t), "POST", "/v1/files", io.MultiReader(readers...))
		if known {
			r.ContentLength = size
		}
		before, peak := heapPeak()
		res := p.do(t, r)
		grown := peak() - before
		require.Equal(t, 200, res.StatusCode)
		got := o.last(t)
		require.Equal(t, want.Sum(nil), got.Sum[:])
		require.Equal(t, !known, got.Chunked, "a known length stays known, an unknown one unknown")
		require.Less(t, grown, int64(flat))
		e := p.event(t, res)
		require.EqualValues(t, size, e.Request.Bytes)
		require.Equal(t, block[:requestHead], string(e.Request.Body.Head))
	}
}

// perStream is what a stream may take of memory, 336 KiB of it for what is captured.
const perStream = 512 << 10

// TestAStreamWhoseCallerDoesNotReadTakesLittleMemory, however much its upstream has to say.
func TestAStreamWhoseCallerDoesNotReadTakesLittleMemory(t *testing.T) {
	const streams = 16
	event := "data: " + strings.Repeat("x", 4<<10) + "\n\n" // the upstream of the test is in the same memory
	var sent atomic.Int64
	o := serveOrigin(t, func(c *call) {
		c.write(streamHead)
		for !c.broken {
			c.chunk(event)
			sent.Add(1)
		}
	})
	p := newProxy(t, o.URL)
	token := p.mint(t)
	require.Equal(t, http.StatusNotFound, p.ask(t, token, "GET", "/v1/none", "").StatusCode, "what there is once is there")
	before := heapInUse()
	for range streams {
		fmt.Fprintf(p.dial(t), "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", token)
	}
	stuck, since := int64(0), time.Now() // all are, once nothing has moved for a while
	eventually(t, "the upstream cannot send any more", func() bool {
		if n := sent.Load(); n != stuck || n < streams*(responseHead+responseTail)/int64(len(event)) {
			stuck, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
	each := int64(0)
	eventually(t, "a stream takes what it may", func() bool { // not at once where the machine is busy: what was garbage a moment ago counts too
		each = (heapInUse() - before) / streams
		return each < perStream
	})
	t.Logf("%d KiB a stream", each>>10)
}

// heapInUse is what is reachable on the heap.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
