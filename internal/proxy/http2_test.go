package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// overHTTP2 serves callers as a server with a certificate does.
func overHTTP2(s *setup) { s.http2 = true }

// TestCallersOfHTTP2AreServedAlike: what goes up, what comes down, and what breaks.
func TestCallersOfHTTP2AreServedAlike(t *testing.T) {
	o := serveOrigin(t, func(c *call) {
		if strings.Contains(c.Line, "completions") {
			c.write(streamHead, inChunks("data: 1\n\ndata: 2\n\n", 9))
			return
		}
		c.write(withLength("200 OK", "X-Twice: a\r\nX-Twice: b\r\nConnection: keep-alive\r\nSet-Cookie: x=y\r\n", "{}"))
	})
	p := newProxy(t, o.URL, overHTTP2)
	token := p.mint(t)
	for _, size := range []int{2, 64 << 10, 300 << 10} {
		for _, known := range []bool{true, false} {
			body := randomText(size)
			r := p.request(t, token, "POST", "/v1/files?a=%2f", strings.NewReader(body), "X-One", "1", "Cookie", "a=b", "X-Forwarded-For", "1", "User-Agent", "ours")
			if !known {
				r.ContentLength = -1
			}
			res := p.do(t, r)
			require.Equal(t, 2, res.ProtoMajor)
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, []string{"a", "b"}, res.Header["X-Twice"])
			require.Empty(t, res.Header["Set-Cookie"])
			got := o.last(t)
			require.Equal(t, "POST /v1/files?a=%2f HTTP/1.1", got.Line)
			require.Equal(t, body, string(got.Body))
			require.Equal(t, !known, got.Chunked)
			want := map[string][]string{"host": {strings.TrimPrefix(o.URL, "http://")}, "authorization": {"Bearer " + fakeKey}, "x-one": {"1"}, "user-agent": {"ours"}}
			fields := got.fields()
			delete(fields, "content-length")
			delete(fields, "transfer-encoding")
			require.Equal(t, want, fields)
		}
	}
	res := p.chat(t, token)
	require.NoError(t, res.Err)
	require.Equal(t, "data: 1\n\ndata: 2\n\n", res.Body)
	requireError(t, p.chat(t, "nobody"), 401, "authentication_error", "token_invalid")
	requireError(t, p.ask(t, token, "GET", "/v1//models", ""), 404, "invalid_request_error", "endpoint_not_allowed")
}

func TestAnAnswerThatBreaksOverHTTP2LooksBroken(t *testing.T) {
	for _, end := range []func(*call){(*call).hangUp, (*call).reset} {
		read := make(chan struct{})
		o := serveOrigin(t, func(c *call) {
			c.write(streamHead)
			c.chunk("data: 1\n\n")
			await(t, read)
			end(c)
		})
		p := newProxy(t, o.URL, overHTTP2)
		res := p.do(t, p.request(t, p.mint(t), "POST", "/v1/chat/completions", strings.NewReader("{}")))
		first := make([]byte, 9)
		_, err := io.ReadFull(res.Body, first)
		require.NoError(t, err)
		close(read)
		rest, err := io.ReadAll(res.Body)
		require.Error(t, err)
		require.Empty(t, rest)
		require.Equal(t, llmproxy.Cut, p.lastEvent(t, 1).Outcome)
	}
}

func TestACallerOfHTTP2WhoLeavesEndsTheUpstreamCall(t *testing.T) {
	gone := make(chan struct{}, 2)
	o := serveLazyOrigin(t, func(c *call) {
		c.write(streamHead)
		c.chunk("data: 1\n\n")
		c.untilGone()
		gone <- struct{}{}
	})
	p := newProxy(t, o.URL, overHTTP2)
	for i, upload := range []bool{false, true} {
		var body io.Reader = strings.NewReader("{}")
		if upload {
			pipe, writer := io.Pipe()
			defer writer.Close()
			body = pipe
		}
		res := p.do(t, p.request(t, p.mint(t), "POST", "/v1/chat/completions", body))
		_, err := io.ReadFull(res.Body, make([]byte, 9))
		require.NoError(t, err)
		res.Body.Close()
		await(t, gone)
		require.Equal(t, llmproxy.ClientGone, p.lastEvent(t, i+1).Outcome)
	}
}

// TestACallerOfHTTP2ThatKeepsItsBody holds no stream, and its connection serves on.
func TestACallerOfHTTP2ThatKeepsItsBody(t *testing.T) {
	o := serveLazyOrigin(t, func(c *call) {
		c.write(withLength("413 Large", "", "no"))
		c.untilGone()
	})
	p := newProxy(t, o.URL, overHTTP2, impatient(300*time.Millisecond))
	for _, token := range []string{"nobody", p.mint(t)} {
		for _, length := range []int64{10, 100_000, -1} {
			body, writer := io.Pipe()
			r := p.request(t, token, "POST", "/v1/files", body)
			r.ContentLength = length
			res, err := p.Client.Do(r)
			require.NoError(t, err)
			wants := []int{http.StatusUnauthorized}
			if token != "nobody" {
				wants = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}
			}
			require.Contains(t, wants, res.StatusCode)
			_, err = io.ReadAll(res.Body)
			require.NoError(t, err)
			res.Body.Close()
			writer.Close()
		}
	}
	eventually(t, "all are ended", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.observed) == 6 })
}
