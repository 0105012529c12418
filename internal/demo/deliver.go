package demo

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// pieces is how many chunks a plain body counts as where chunks matter.
const pieces = 10

// deliver sends the answer as it was asked to. It panics with [http.ErrAbortHandler] where the connection has to break.
func (p *provider) deliver(ctx context.Context, w http.ResponseWriter, c *call, a answer) {
	if c.hang {
		<-ctx.Done()
		leave(ctx)
	}
	wait(ctx, c.headDelay)
	switch {
	case c.closeHead:
		abort()
	case c.garbage:
		raw(w, func(out *bufio.Writer) { fmt.Fprint(out, "\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n") })
	}
	if c.interim != 0 {
		w.Header().Set("Link", "</demo.css>; rel=preload")
		w.WriteHeader(c.interim)
		w.Header().Del("Link")
	}

	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	if a.kind != "" {
		h.Set("Content-Type", a.kind)
	}
	out := &output{w: w, call: c, flush: a.events != nil || c.chunked()}
	switch {
	case c.lie != 0 && a.events == nil:
		lie(w, c, a)
	case a.events != nil:
		h.Set("Cache-Control", "no-cache")
	case c.encoding == "" && c.badChunk == 0 && a.body != nil:
		h.Set("Content-Length", strconv.FormatInt(a.length, 10))
	}
	out.encode()
	w.WriteHeader(a.status)
	if out.flush && flush(w) != nil {
		leave(ctx)
	}
	if a.body != nil || a.events != nil {
		p.send(ctx, out, a)
	}
	out.close(ctx)
}

// chunked says whether it matters where one chunk ends.
func (b *behaviour) chunked() bool {
	return b.chunkDelay > 0 || b.drip > 0 || b.cutAfter > 0 || b.resetAfter > 0 || b.hangAfter > 0 || b.badChunk > 0
}

// send sends the chunks of the answer, and breaks off where it was asked to.
func (p *provider) send(ctx context.Context, out *output, a answer) {
	sent := 0
	for chunk := range a.chunks(out.call.chunked()) {
		breakOff(ctx, out, sent)
		if sent > 0 {
			wait(ctx, out.call.chunkDelay)
			if a.events != nil {
				p.held(ctx)
			}
		}
		out.chunk(ctx, chunk)
		sent++
	}
	breakOff(ctx, out, sent)
}

// held waits until the test lets the next chunk out.
func (p *provider) held(ctx context.Context) {
	if p.hold == nil {
		return
	}
	select {
	case <-p.hold:
	case <-ctx.Done():
		leave(ctx)
	}
}

// chunks are the events of a stream, or a plain body in ten parts, or as it comes.
func (a *answer) chunks(parts bool) iter.Seq[[]byte] {
	if a.events != nil {
		return a.events
	}
	size := int64(64 << 10)
	if parts {
		size = max(1, (a.length+pieces-1)/pieces)
	}
	return func(yield func([]byte) bool) {
		buf := make([]byte, min(size, max(1, a.length)))
		for {
			n, err := io.ReadFull(a.body, buf)
			if n > 0 && !yield(buf[:n]) || err != nil {
				return
			}
		}
	}
}

// breakOff ends the connection, or the sending, if that was asked for after so many chunks.
func breakOff(ctx context.Context, out *output, sent int) {
	c := out.call
	switch {
	case c.cutAfter.reached(sent):
		abort()
	case c.resetAfter.reached(sent):
		reset(out.w)
	case c.hangAfter.reached(sent):
		<-ctx.Done()
		leave(ctx)
	case c.badChunk.reached(sent):
		raw(out.w, func(out *bufio.Writer) { fmt.Fprint(out, "zz\r\nthis is no chunk\r\n") })
	}
}

// output writes chunks, compressed if that was asked for.
type output struct {
	w       http.ResponseWriter
	call    *call
	flush   bool // after each chunk
	encoder encoder
}

// encoder is what the three codings have in common.
type encoder interface {
	io.WriteCloser
	Flush() error
}

func (o *output) encode() {
	switch o.call.encoding {
	case "gzip":
		o.encoder = gzip.NewWriter(o.w)
	case "br":
		o.encoder = brotli.NewWriter(o.w)
	case "zstd":
		z, err := zstd.NewWriter(o.w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err) // options of ours
		}
		o.encoder = z
	default:
		return
	}
	o.w.Header().Set("Content-Encoding", o.call.encoding)
}

// chunk writes one chunk.
func (o *output) chunk(ctx context.Context, b []byte) {
	if o.call.drip == 0 {
		o.write(ctx, b)
		return
	}
	for i := range b {
		o.write(ctx, b[i:i+1])
		wait(ctx, o.call.drip)
	}
}

// write writes and, where chunks matter, lets it go at once. An error is a caller that left.
func (o *output) write(ctx context.Context, b []byte) {
	var err error
	if o.encoder == nil {
		_, err = o.w.Write(b) //nolint:gosec // what it echoes is JSON, an event or plain text
	} else if _, err = o.encoder.Write(b); err == nil && o.flush {
		err = o.encoder.Flush()
	}
	if err == nil && o.flush {
		err = flush(o.w)
	}
	if err != nil {
		leave(ctx)
	}
}

func (o *output) close(ctx context.Context) {
	if o.encoder != nil && o.encoder.Close() != nil {
		leave(ctx)
	}
}

// abort ends the request with a broken connection.
func abort() { panic(http.ErrAbortHandler) }

// leave ends a request whose caller left.
func leave(ctx context.Context) {
	keepGone(ctx)
	abort()
}

func flush(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() }

// wait waits, or ends the request when its caller leaves.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		leave(ctx)
	}
}

// raw lets write have the connection itself, closes it, and ends the request.
func raw(w http.ResponseWriter, write func(*bufio.Writer)) {
	conn, out, err := http.NewResponseController(w).Hijack()
	if err != nil {
		abort()
	}
	write(out.Writer)
	_ = out.Flush() // a caller that left
	conn.Close()
	abort()
}

// reset closes the connection in a way that its caller sees as a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		abort()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // then it is an ordinary close
	}
	conn.Close()
	abort()
}

// lie sends a plain answer under a Content-Length that is not its own.
func lie(w http.ResponseWriter, c *call, a answer) {
	h := w.Header().Clone()
	h.Set("Content-Length", strconv.FormatInt(max(0, a.length+c.lie), 10))
	raw(w, func(out *bufio.Writer) {
		fmt.Fprintf(out, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
		err := h.Write(out)
		fmt.Fprint(out, "\r\n")
		if a.body != nil && err == nil {
			_, err = io.Copy(out, a.body)
		}
		_ = errors.Join(err, out.Flush()) // a caller that left
	})
}
