package demo_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestTheNextChunkLeavesOnlyWhenItIsLetOut(t *testing.T) {
	next := make(chan struct{})
	up := demo.Serve(t, demo.Events(3), demo.Hold(next))
	resp, err := ask(t, up, "/v1/chat/completions", streamed(hello), "")
	require.NoError(t, err)
	lines := bufio.NewScanner(resp.Body)
	got := 0
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "data: ") {
			continue
		}
		got++
		select {
		case next <- struct{}{}: // taken only once this chunk is here and the next is due
		case <-t.Context().Done():
			t.FailNow()
		}
		if got == 4 {
			close(next)
			break
		}
	}
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(rest)+lines.Text(), "")
	require.Equal(t, 4, got)
}

func TestCompressedAnswersHoldTheSame(t *testing.T) {
	up := demo.Serve(t)
	for name, decode := range map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"br":   func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
		"zstd": func(r io.Reader) (io.Reader, error) {
			z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
			if err == nil {
				t.Cleanup(z.Close)
			}
			return z, err
		},
	} {
		for _, body := range []string{hello, streamed(hello)} {
			resp, err := ask(t, up, "/v1/chat/completions", body, name)
			require.NoError(t, err)
			require.Equal(t, name, resp.Header.Get("Content-Encoding"))
			plain, err := decode(resp.Body)
			require.NoError(t, err)
			got, err := io.ReadAll(plain)
			require.NoError(t, err)
			require.Equal(t, answer(t, up, "/v1/chat/completions", body, ""), string(got), name)
		}
	}
}

func TestALongTextHasExactlyTheLengthAskedFor(t *testing.T) {
	up := demo.Serve(t)
	got := answer(t, up, "/v1/chat/completions", hello, "size=300001")
	require.Len(t, gjson.Get(got, "choices.0.message.content").Str, 300001)
	require.EqualValues(t, 75001, gjson.Get(got, "usage.completion_tokens").Int())
	all := events(answer(t, up, "/v1/chat/completions", streamed(hello), "size=300001, events=7"))
	require.Len(t, all, 1+7+1+1+1, "role, pieces, end, usage, [DONE]")
	var joined string
	for _, e := range all {
		joined += gjson.Get(e, "choices.0.delta.content").Str
	}
	require.Equal(t, gjson.Get(got, "choices.0.message.content").Str, joined)
}

func TestOtherAnswers(t *testing.T) {
	up := demo.Serve(t)
	for _, c := range []struct {
		misbehave string
		status    int
		header    string
		wants     string // of that header
		code      string
	}{
		{"status=429, retry-after=1", 429, "Retry-After", "1", "rate_limit_exceeded"},
		{"status=401", 401, "Content-Type", "application/json", "invalid_api_key"},
		{"status=403", 403, "Content-Type", "application/json", "forbidden"},
		{"status=404", 404, "Content-Type", "application/json", ""},
		{"status=503", 503, "Content-Type", "application/json", ""},
		{"status=202", 202, "Content-Type", "application/json", ""},
		{"status=204", 204, "Content-Type", "", ""},
		{"redirect=https://elsewhere.invalid/x?a=b", 302, "Location", "https://elsewhere.invalid/x?a=b", ""},
		{"redirect=https://elsewhere.invalid/,status=307", 307, "Location", "https://elsewhere.invalid/", ""},
		{"quote-key", 401, "Content-Type", "application/json", "invalid_api_key"},
		{"header=Set-Cookie:a=b, header=Alt-Svc: h3", 200, "Set-Cookie", "a=b", ""},
	} {
		resp, err := ask(t, up, "/v1/chat/completions", hello, c.misbehave)
		require.NoError(t, err, c.misbehave)
		body := read(t, resp)
		assert.Equal(t, c.status, resp.StatusCode, c.misbehave)
		assert.Equal(t, c.wants, resp.Header.Get(c.header), c.misbehave)
		assert.Equal(t, c.code, gjson.Get(body, "error.code").Str, "%s: %s", c.misbehave, body)
	}
	quoted, err := ask(t, up, "/v1/models", "", "quote-key")
	require.NoError(t, err)
	assert.Contains(t, read(t, quoted), "sk-fake-key-of-a-test-1234")
	masked, err := ask(t, up, "/v1/models", "", "quote-key=masked")
	require.NoError(t, err)
	assert.Contains(t, read(t, masked), "sk-fake-**************1234")
}

func TestBrokenAnswersLookBroken(t *testing.T) {
	up := demo.Serve(t)
	for _, c := range []struct {
		misbehave, body string
		chunks          int // that arrive
		wants           string
		is              error
	}{
		{"cut-after=3", streamed(hello), 3, "unexpected EOF", io.ErrUnexpectedEOF},
		{"cut-after=0", streamed(hello), 0, "unexpected EOF", io.ErrUnexpectedEOF},
		{"cut-after=1000", streamed(hello), -1, "", nil},
		{"cut-after=5", hello, 0, "unexpected EOF", io.ErrUnexpectedEOF},
		{"reset-after=2", streamed(hello), 2, "connection reset", syscall.ECONNRESET},
		{"bad-chunk-after=2", streamed(hello), 2, "chunk", nil},
		{"bad-chunk-after=2", hello, 0, "chunk", nil},
		{"lie-content-length", hello, 0, "unexpected EOF", io.ErrUnexpectedEOF},
		{"gzip, cut-after=3", streamed(hello), 0, "unexpected EOF", io.ErrUnexpectedEOF},
	} {
		resp, err := ask(t, up, "/v1/chat/completions", c.body, c.misbehave)
		require.NoError(t, err, c.misbehave)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		b, err := io.ReadAll(resp.Body)
		if c.wants == "" {
			require.NoError(t, err, c.misbehave)
			continue
		}
		require.ErrorContains(t, err, c.wants, c.misbehave)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, c.misbehave)
		}
		require.Len(t, events(string(b)), c.chunks, c.misbehave)
	}
	short, err := ask(t, up, "/v1/chat/completions", hello, "lie-content-length=-5")
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSuffix(answer(t, up, "/v1/chat/completions", hello, ""), `0}}}`)[:100], read(t, short)[:100])
}

func TestConnectionsThatGiveNoAnswer(t *testing.T) {
	up := demo.Serve(t)
	_, err := ask(t, up, "/v1/models", "", "close-before-head")
	require.ErrorIs(t, err, io.EOF)
	_, err = ask(t, up, "/v1/models", "", "garbage")
	require.ErrorContains(t, err, "malformed HTTP")
	resp, err := ask(t, up, "/v1/models", "", "big-head=1000000")
	require.NoError(t, err)
	require.Len(t, resp.Header.Get("X-Demo-Big"), 1000000)
}

func TestAnInterimAnswerComesFirst(t *testing.T) {
	up := demo.Serve(t)
	var interim []int
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { interim = append(interim, code); return nil },
	}), http.MethodGet, up.URL+"/v1/models", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer sk-fake")
	r.Header.Set(demo.Header, "interim")
	resp, err := caller(t).Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, []int{http.StatusEarlyHints}, interim)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Link"), "it belongs to the interim answer")
}

// TestADripIsOneByteAtATime reads the connection itself: each chunk of the transfer coding holds one byte.
func TestADripIsOneByteAtATime(t *testing.T) {
	up := demo.Serve(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(up.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	body := `{"model":"m","prompt":"x","stream":true,"max_tokens":1}`
	fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: demo\r\nAuthorization: Bearer sk-fake\r\nX-Demo: drip=1ns\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	wire, err := io.ReadAll(conn)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(wire), "\r\n\r\n")
	chunks := 0
	for ; !strings.HasPrefix(rest, "0\r\n"); chunks++ {
		require.True(t, strings.HasPrefix(rest, "1\r\n"), "chunk %d: %.20q", chunks, rest)
		rest = rest[len("1\r\nx\r\n"):]
	}
	require.Greater(t, chunks, 100)
}

func TestWaitingIsAtLeastAsLongAsAskedFor(t *testing.T) {
	up := demo.Serve(t)
	for misbehave, least := range map[string]time.Duration{
		"head-delay=30ms":                30 * time.Millisecond,
		"chunk-delay=5ms, events=3":      (3 + 4 - 1) * 5 * time.Millisecond,
		"drip=1ms, events=1, status=200": 100 * time.Millisecond,
	} {
		began := time.Now()
		answer(t, up, "/v1/chat/completions", streamed(hello), misbehave)
		assert.GreaterOrEqual(t, time.Since(began), least, misbehave)
	}
}

func TestMisbehavingOnlyAtFirst(t *testing.T) {
	up := demo.Serve(t)
	var got []int
	for _, misbehave := range []string{"status=500, first=2", "status=500, first=2", "status=500,first=1", "status=500, first=2"} {
		resp, err := ask(t, up, "/v1/models", "", misbehave)
		require.NoError(t, err)
		got = append(got, resp.StatusCode)
	}
	require.Equal(t, []int{500, 500, 500, 200}, got)
}

// TestAnEarlyAnswerDoesNotWaitForTheRequest sends a body that ends only after the answer is there.
func TestAnEarlyAnswerDoesNotWaitForTheRequest(t *testing.T) {
	up := demo.Serve(t)
	body, rest := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, up.URL+"/v1/files", body)
	require.NoError(t, err)
	r.Header.Set(demo.Header, "early, status=413")
	resp, err := caller(t).Do(r)
	rest.Close()
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
}

func TestEverythingEndsWhenTheCallerLeaves(t *testing.T) {
	for name, option := range map[string]demo.Option{
		"hang":             demo.Hang(),
		"hang after two":   demo.HangAfter(2),
		"held":             demo.Hold(make(chan struct{})),
		"long wait":        demo.ChunkDelay(time.Hour),
		"wait at the head": demo.Misbehave("head-delay=1h"),
		"slow drip":        demo.Misbehave("drip=1h"),
		"endless text":     demo.Misbehave("size=100000000, events=1000000"),
	} {
		t.Run(name, func(t *testing.T) {
			up := demo.Serve(t, option)
			ctx, leave := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, up.URL+"/v1/chat/completions", strings.NewReader(streamed(hello)))
				if err != nil {
					return
				}
				r.Header.Set("Authorization", "Bearer sk-fake")
				if resp, err := caller(t).Do(r); err == nil {
					defer resp.Body.Close()
					<-ctx.Done() // reads nothing more
				}
			}()
			up.WaitFor(t, 1, func(r demo.Request) bool { return r.Size == int64(len(streamed(hello))) })
			leave()
			<-done
			require.True(t, up.WaitFor(t, 1, func(r demo.Request) bool { return r.Ended })[0].Gone)
		})
	}
}

func TestWordsThatCannotBeAreRefused(t *testing.T) {
	up := demo.Serve(t)
	for misbehave, wants := range map[string]string{
		"explode":              `unknown word "explode"`,
		"hang=5":               "takes no value",
		"events":               "events=N",
		"events=0":             "whole number",
		"events=many":          "whole number",
		"status=42":            "whole number",
		"cut-after=-1":         "whole number",
		"chunk-delay=soon":     "duration",
		"chunk-delay=20h":      "duration",
		"retry-after=":         "want a value",
		"redirect=":            "address",
		"quote-key=backwards":  "full or masked",
		"header=no-colon-here": "NAME:VALUE",
	} {
		resp, err := ask(t, up, "/v1/models", "", misbehave)
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, misbehave)
		assert.Contains(t, gjson.Get(read(t, resp), "error.message").Str, wants, misbehave)
	}
}

// fataler is a test that notes how it failed.
type fataler struct{ said string }

func (*fataler) Helper()        {}
func (*fataler) Cleanup(func()) {}
func (f *fataler) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

func TestServeRefusesAnOptionThatCannotBe(t *testing.T) {
	f := &fataler{}
	require.Panics(t, func() { demo.Serve(f, demo.Misbehave("explode")) })
	require.Contains(t, f.said, `unknown word "explode"`)
}

// TestAnOptionAndAHeaderAddUp: what the request says counts on top.
func TestAnOptionAndAHeaderAddUp(t *testing.T) {
	up := demo.Serve(t, demo.Status(500), demo.Misbehave("retry-after=7"))
	resp, err := ask(t, up, "/v1/models", "", "status=429")
	require.NoError(t, err)
	require.Equal(t, 429, resp.StatusCode)
	require.Equal(t, "7", resp.Header.Get("Retry-After"))
}

func TestTheHandlerWorksWithoutOptions(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: demo.New()}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+listener.Addr().String()+"/v1/models/gpt-4o", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer sk-fake")
	resp, err := caller(t).Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Positive(t, resp.ContentLength)
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}
