package lambdahost

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"
)

// invocation is one call of the function.
type invocation struct {
	id       string
	payload  []byte
	trace    string
	buffered bool // the caller takes the answer as a whole
	began    time.Time
	deadline time.Time

	mu     sync.Mutex
	known  chan struct{} // closed when the answer begins or has failed
	result *result
	err    error // why there is no answer
	pipe   *io.PipeWriter
	over   bool // the answer is whole or has failed
}

// result is what a function answered.
type result struct {
	contentType string
	body        io.Reader // ends with a [*FunctionError] where the answer broke off
}

func newInvocation(h *Host, payload []byte, buffered bool) *invocation {
	return &invocation{
		id: uuid(), payload: payload, buffered: buffered, known: make(chan struct{}), trace: traceID(time.Now()),
		deadline: time.Now().Add(h.cfg.Timeout),
	}
}

// uuid makes a random UUID as AWS numbers its requests.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// traceID makes an X-Ray trace id.
func traceID(now time.Time) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("Root=1-%x-%s", now.Unix(), hex.EncodeToString(b[:]))
}

// answer waits for the function's answer to begin. Its body must be read to its end.
func (inv *invocation) answer() (*result, error) {
	<-inv.known
	return inv.result, inv.err
}

// stream begins an answer that is passed on as it comes. It returns nil if the invocation has failed meanwhile.
func (inv *invocation) stream(contentType string) *io.PipeWriter {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.over {
		return nil
	}
	r, w := io.Pipe()
	inv.result, inv.pipe = &result{contentType, r}, w
	close(inv.known)
	return w
}

// whole is a complete answer.
func (inv *invocation) whole(contentType string, body []byte) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.over {
		return
	}
	inv.over = true
	inv.result = &result{contentType, bytes.NewReader(body)}
	close(inv.known)
}

// end is the regular end of a streamed answer.
func (inv *invocation) end() {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if !inv.over {
		inv.over = true
		inv.pipe.Close() //nolint:errcheck // a PipeWriter's Close returns no error
	}
}

// fail ends an answer, or breaks it off where it has begun. Only the first end counts.
func (inv *invocation) fail(err error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.over {
		return
	}
	inv.over = true
	if inv.pipe != nil {
		_ = inv.pipe.CloseWithError(err) // always nil
		return
	}
	inv.err = err
	close(inv.known)
}
