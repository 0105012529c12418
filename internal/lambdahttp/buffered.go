package lambdahttp

import (
	"context"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// maxBuffered is what Lambda takes of a buffered answer, as JSON. The runtime ends the process over a larger one.
const maxBuffered = 6<<20 - 1024

// buffered is an answer that is sent as a whole.
type buffered struct {
	header  http.Header
	isHead  bool
	status  int
	length  int64 // of the body as the head promised it, -1 if it did not
	written int64
	sent    []byte // the header as it was when the head was written, in JSON
	body    []byte

	reader io.Reader
	ctx    context.Context
	after  func(context.Context)
	closed bool
}

// serveBuffered lets h answer and returns when it has. An answer that broke off is a 502: nothing has gone out yet.
func serveBuffered(ctx context.Context, e *Event, h http.Handler, after func(context.Context)) *buffered {
	b := &buffered{header: make(http.Header), isHead: e.RequestContext.HTTP.Method == http.MethodHead, ctx: ctx, after: after}
	limit, cancel := requestContext(ctx)
	defer cancel()
	// A goroutine of its own, so that a handler that ends its goroutine does not end the runtime's.
	done := make(chan any, 1)
	r, err := e.request(limit)
	go func() {
		failure := any(http.ErrAbortHandler)
		defer func() { done <- failure }()
		failure = serve(r, err, h, b)
	}()
	failure := <-done
	switch {
	case failure != nil && failure != http.ErrAbortHandler && b.status == 0: //nolint:errorlint // net/http compares it so too
		b.replace(http.StatusInternalServerError)
	case failure != nil, b.status != 0 && b.written < b.length && !b.isHead && bodyAllowed(b.status):
		b.replace(http.StatusBadGateway)
	case b.status == 0:
		b.WriteHeader(http.StatusOK)
	}
	answer := b.json()
	if len(answer) > maxBuffered {
		log.Printf("lambdahttp: the answer to %s %s has %d bytes as JSON, more than Lambda takes", e.RequestContext.HTTP.Method, e.RawPath, len(answer))
		b.replace(http.StatusBadGateway)
		answer = b.json()
	}
	b.reader = strings.NewReader(answer)
	return b
}

// replace takes the place of an answer that cannot be sent.
func (b *buffered) replace(status int) {
	clear(b.header)
	b.status, b.body, b.written = 0, nil, 0
	http.Error(b, http.StatusText(status), status)
}

// json is the answer as API Gateway reads it.
func (b *buffered) json() string {
	out := make([]byte, 0, len(b.sent)+len(b.body)*5/4+128)
	out = append(append(out, '{'), b.sent...)
	if utf8.Valid(b.body) {
		out = llmproxy.AppendString(append(out, `,"body":`...), string(b.body))
	} else {
		out = append(base64.StdEncoding.AppendEncode(append(out, `,"isBase64Encoded":true,"body":"`...), b.body), '"')
	}
	return string(append(out, '}'))
}

// Header implements [http.ResponseWriter].
func (b *buffered) Header() http.Header { return b.header }

// WriteHeader implements [http.ResponseWriter].
func (b *buffered) WriteHeader(status int) {
	checkStatus(status)
	if b.status != 0 || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	b.status, b.length = status, promised(b.header)
	b.sent = appendHead(nil, status, b.header)
}

// Write implements [io.Writer].
func (b *buffered) Write(p []byte) (int, error) {
	if b.status == 0 {
		guessType(b.header, p)
		b.WriteHeader(http.StatusOK)
	}
	switch {
	case !bodyAllowed(b.status):
		return 0, http.ErrBodyNotAllowed
	case b.length >= 0 && b.written+int64(len(p)) > b.length:
		return 0, http.ErrContentLength
	}
	b.written += int64(len(p))
	if !b.isHead {
		b.body = append(b.body, p...)
	}
	return len(p), nil
}

// Flush implements [http.Flusher]: there is nothing to bring forward.
func (b *buffered) Flush() {
	if b.status == 0 {
		b.WriteHeader(http.StatusOK)
	}
}

// EnableFullDuplex is what [http.ResponseController] calls: a request's body is all there, whatever is written.
func (b *buffered) EnableFullDuplex() error { return nil }

// Read implements [io.Reader] for the runtime.
func (b *buffered) Read(p []byte) (int, error) { return b.reader.Read(p) }

// Close runs the hook when the answer has been sent.
func (b *buffered) Close() error {
	if !b.closed {
		b.closed = true
		runHook(b.ctx, b.after)
	}
	return nil
}

// ContentType tells Lambda what it is sent.
func (b *buffered) ContentType() string { return "application/json" }

// MarshalJSON says that there is nothing to encode: the runtime then reads the answer.
func (b *buffered) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }
