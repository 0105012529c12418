package usage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

var (
	// ErrCut: a compressed body is not there to its end, so nothing of it counts.
	ErrCut = errors.New("the compressed body is cut")
	// ErrBomb: a body inflates to more than sixteen times what capture keeps.
	ErrBomb = errors.New("the compressed body inflates beyond all measure")
)

const (
	plainHead = 256 << 10 // of an inflated body as much is kept as capture keeps of a plain one
	plainTail = 16 << 10
	maxPlain  = plainHead + plainTail

	// maxInflated bounds the work: 16:1 for the largest body that capture keeps, and no less for a smaller one, since an ordinary
	// stream of a thousand chunks that repeat each other is beyond 16:1 itself.
	maxInflated = 16 * maxPlain

	maxWindow = 8 << 20 // of zstd, as RFC 9659 allows senders
)

// plain is the body without its content coding: a head and a tail of what it inflates to.
func plain(encoding string, body *llmproxy.Body) (*llmproxy.Body, error) {
	if isIdentity(encoding) {
		return body, nil
	}
	if body.Truncated() {
		return nil, ErrCut
	}
	r, err := decoder(encoding, io.MultiReader(bytes.NewReader(body.Head), bytes.NewReader(body.Tail)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it gives back memory; errors come from reading
	var w window
	n, err := io.Copy(&w, io.LimitReader(r, maxInflated+1))
	switch {
	case n > maxInflated:
		return nil, ErrBomb
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, ErrCut
	case err != nil:
		return nil, fmt.Errorf("inflate %s: %w", encoding, err)
	}
	return w.body(), nil
}

// Inflate returns what a compressed body inflates to, at most limit bytes: as far as it is there and undamaged, nothing if its
// coding is not known. A body in the coding identity or "" is returned as it is, up to limit.
func Inflate(encoding string, body []byte, limit int) (inflated []byte) {
	if isIdentity(encoding) {
		return body[:min(len(body), limit)]
	}
	var w bytes.Buffer
	defer func() { // decoders of others read hostile bytes here
		if recover() != nil {
			inflated = w.Bytes()
		}
	}()
	r, err := decoder(encoding, bytes.NewReader(body))
	if err != nil {
		return nil
	}
	defer func() { _ = r.Close() }()                    // it gives back memory; errors come from reading
	_, _ = io.Copy(&w, io.LimitReader(r, int64(limit))) // the error is that of a cut or damaged body, whose beginning counts
	return w.Bytes()
}

func isIdentity(encoding string) bool {
	return encoding == "" || strings.EqualFold(encoding, "identity")
}

// decoder undoes one content coding.
func decoder(encoding string, r io.Reader) (io.ReadCloser, error) {
	var (
		d   io.ReadCloser
		err error
	)
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "gzip", "x-gzip":
		d, err = gzip.NewReader(r)
	case "br":
		return io.NopCloser(brotli.NewReader(r)), nil
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true)); err == nil {
			return z.IOReadCloser(), nil
		}
	case "deflate":
		b := bufio.NewReader(r)
		if start, _ := b.Peek(2); !isZlib(start) { // some senders leave the zlib wrapper out
			return flate.NewReader(b), nil
		}
		d, err = zlib.NewReader(b)
	default:
		return nil, fmt.Errorf("there is no content coding %q", encoding)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ErrCut
	}
	if err != nil {
		return nil, fmt.Errorf("inflate %s: %w", encoding, err)
	}
	return d, nil
}

// isZlib reports whether b begins as RFC 1950, section 2.2, has it.
func isZlib(b []byte) bool {
	return len(b) >= 2 && b[0]&0x0f == 8 && (int(b[0])<<8|int(b[1]))%31 == 0
}

// window keeps the head and the tail of what is written to it.
type window struct {
	head, tail []byte
	size       int64
}

// Write implements [io.Writer]; it never fails.
func (w *window) Write(p []byte) (int, error) {
	n := len(p)
	w.size += int64(n)
	k := min(n, plainHead-len(w.head))
	w.head, p = append(w.head, p[:k]...), p[k:]
	if len(p) >= plainTail {
		w.tail = append(w.tail[:0], p[len(p)-plainTail:]...)
		return n, nil
	}
	if over := len(w.tail) + len(p) - 2*plainTail; over > 0 { // it moves only now and then
		w.tail = slices.Delete(w.tail, 0, len(w.tail)-plainTail)
	}
	w.tail = append(w.tail, p...)
	return n, nil
}

func (w *window) body() *llmproxy.Body {
	return &llmproxy.Body{Head: w.head, Tail: w.tail[max(0, len(w.tail)-plainTail):], Size: w.size}
}
