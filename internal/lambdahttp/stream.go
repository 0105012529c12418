package lambdahttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
)

const (
	// joined is how many bytes written without a flush wait for more, as net/http's server lets them.
	joined = 4 << 10
	// maxPending is how much of an answer waits for the runtime before its handler does.
	maxPending = 32 << 10
)

// pending is memory for bytes on their way: one buffer that the handler fills and one that the runtime reads.
type pending struct{ in, out []byte }

var pendings = sync.Pool{New: func() any { return &pending{in: make([]byte, 0, joined), out: make([]byte, 0, joined)} }}

// stream is an answer on its way: the handler writes it on a goroutine of its own, the runtime reads it and closes it. It has the form
// of events.LambdaFunctionURLStreamingResponse, and joins head and first bytes to one read where both are there.
type stream struct {
	header http.Header
	isHead bool
	ctx    context.Context // of the invocation
	cancel context.CancelFunc
	limit  context.Context // of the request
	after  func(context.Context)

	mu       sync.Mutex
	forRead  sync.Cond // the runtime waits: for the head, for bytes, for the end
	forWrite sync.Cond // the handler waits for room
	pending  *pending
	ready    bool  // pending.in may be read
	status   int   // 0 until the head is written
	length   int64 // of the body as the head promised it, -1 if it did not
	written  int64
	ended    bool // the handler has returned
	failure  any  // what it panicked with, if it did
	closed   bool // nobody reads any more
	waiting  bool // for room

	off int // of pending.out; the runtime's alone
}

// serveStream begins an answer and returns when its head is known.
func serveStream(ctx context.Context, e *Event, h http.Handler, after func(context.Context)) *stream {
	s := &stream{header: make(http.Header), isHead: e.RequestContext.HTTP.Method == http.MethodHead, ctx: ctx, after: after, length: -1}
	s.forRead.L, s.forWrite.L = &s.mu, &s.mu
	s.pending = pendings.Get().(*pending)
	limit, cancel := requestContext(ctx)
	s.limit, s.cancel = limit, cancel
	r, err := e.request(limit) // not on the new goroutine: its stack is small yet
	go func() {
		failure := any(http.ErrAbortHandler)
		defer func() { s.end(failure) }() // also where the handler ends its goroutine
		failure = serve(r, err, h, s)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.status == 0 && !s.ended {
		s.forRead.Wait()
	}
	return s
}

// Header implements [http.ResponseWriter].
func (s *stream) Header() http.Header { return s.header }

// WriteHeader implements [http.ResponseWriter]. A function URL has no way to pass on a 1xx, so those end here.
func (s *stream) WriteHeader(status int) {
	checkStatus(status)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		s.writeHead(status)
	}
}

// writeHead puts the prelude in front of the body: JSON, then eight zero bytes.
func (s *stream) writeHead(status int) {
	s.status, s.length = status, promised(s.header)
	b := appendHead(append(s.pending.in, '{'), status, s.header)
	s.pending.in = append(b, "}\x00\x00\x00\x00\x00\x00\x00\x00"...)
	s.release()
}

// release lets the runtime have what is pending.
func (s *stream) release() {
	if len(s.pending.in) > 0 { // it may have been taken along with earlier bytes
		s.ready = true
	}
	s.forRead.Signal()
}

var (
	errClosed = errors.New("the answer is closed")
	errBroken = brokenAnswer{}
)

// brokenAnswer is the error of an answer that its handler broke off. Lambda shows the type's name in its error trailer.
type brokenAnswer struct{}

// Error implements error.
func (brokenAnswer) Error() string { return "the answer was broken off" }

// Write implements [io.Writer].
func (s *stream) Write(p []byte) (int, error) { return write(s, p) }

// WriteString implements [io.StringWriter].
func (s *stream) WriteString(p string) (int, error) { return write(s, p) }

func write[T string | []byte](s *stream, p T) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 0 {
		guessType(s.header, []byte(p[:min(len(p), 512)]))
		s.writeHead(http.StatusOK)
	}
	switch {
	case s.closed || s.ended:
		return 0, errClosed
	case !bodyAllowed(s.status):
		return 0, http.ErrBodyNotAllowed
	case s.length >= 0 && s.written+int64(len(p)) > s.length:
		return 0, http.ErrContentLength
	case s.isHead:
		s.written += int64(len(p))
		return len(p), nil
	}
	n := 0
	for n < len(p) {
		room := maxPending - len(s.pending.in)
		if room <= 0 {
			if err := s.waitForRoom(); err != nil {
				return n, err
			}
			continue
		}
		m := min(len(p)-n, room)
		s.pending.in = append(s.pending.in, p[n:n+m]...)
		s.written += int64(m)
		n += m
	}
	if len(s.pending.in) >= joined || s.written == s.length {
		s.release()
	}
	return n, nil
}

// waitForRoom waits until the runtime has read what is pending, at most until the request's deadline.
func (s *stream) waitForRoom() error {
	stop := context.AfterFunc(s.limit, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forWrite.Broadcast()
	})
	defer stop()
	s.release()
	s.waiting = true
	for len(s.pending.in) >= maxPending && !s.closed {
		if err := s.limit.Err(); err != nil {
			return err
		}
		s.forWrite.Wait()
	}
	if s.closed {
		return errClosed
	}
	return nil
}

// Flush implements [http.Flusher].
func (s *stream) Flush() { _ = s.FlushError() }

// FlushError is what [http.ResponseController] calls.
func (s *stream) FlushError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if s.status == 0 {
		s.writeHead(http.StatusOK)
	}
	s.release()
	return nil
}

// EnableFullDuplex is what [http.ResponseController] calls: a request's body is all there, whatever is written.
func (s *stream) EnableFullDuplex() error { return nil }

// end is the handler's return.
func (s *stream) end(failure any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 0 && failure != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
		if failure == nil {
			s.writeHead(http.StatusOK)
		} else {
			clear(s.header)
			s.header["Content-Type"] = []string{"text/plain; charset=utf-8"}
			s.writeHead(http.StatusInternalServerError)
			s.pending.in = append(s.pending.in, "Internal Server Error\n"...)
			failure = nil
		}
	}
	s.ended, s.failure = true, failure
	s.forRead.Broadcast()
}

// Read implements [io.Reader] for the runtime.
func (s *stream) Read(p []byte) (int, error) {
	if s.off == len(s.pending.out) {
		if err := s.refill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.pending.out[s.off:])
	s.off += n
	return n, nil
}

// refill waits for bytes and takes all there are, flushed or not, or says how the answer ended.
func (s *stream) refill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ready && !s.ended && !s.whole() {
		s.forRead.Wait()
	}
	s.ready = false
	b := s.pending
	if len(b.in) == 0 {
		return s.verdict()
	}
	b.in, b.out, s.off = b.out[:0], b.in, 0
	if s.waiting {
		s.waiting = false
		s.forWrite.Broadcast()
	}
	return nil
}

// whole reports whether all of the promised body is written, or none is to come: its end need not wait for the handler's.
func (s *stream) whole() bool {
	return s.status != 0 && (s.written == s.length || s.isHead || !bodyAllowed(s.status))
}

// verdict is what follows the last byte.
func (s *stream) verdict() error {
	switch {
	case s.whole():
		return io.EOF
	case s.failure != nil, s.length >= 0: // fewer bytes than promised are a broken answer, though its handler did not say so
		return errBroken
	}
	return io.EOF
}

// Close ends the invocation: the handler, if nobody wanted its answer to the end, and then the hook. The runtime calls it when the
// answer has been sent, and asks for the next invocation after it.
func (s *stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	if !s.ended && !s.whole() {
		s.cancel()
	}
	s.closed = true
	s.forWrite.Broadcast()
	for !s.ended {
		s.forRead.Wait()
	}
	b := s.pending
	s.pending = &pending{}
	s.off = 0
	s.mu.Unlock()
	s.cancel()
	b.in, b.out = b.in[:0], b.out[:0]
	pendings.Put(b)
	runHook(s.ctx, s.after)
	return nil
}

// ContentType tells Lambda that head and body come in one stream.
func (s *stream) ContentType() string { return "application/vnd.awslambda.http-integration-response" }

// MarshalJSON says that there is nothing to encode: the runtime then reads the answer.
func (s *stream) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }
