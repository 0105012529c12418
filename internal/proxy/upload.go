package proxy

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Errors of a request body on its way up.
var (
	errTooLarge      = errors.New("request body over the cap")
	errUploadStopped = errors.New("the exchange has ended")
	errPanicked      = errors.New("reading the request body panicked")
)

// upload is a request body that is not read before the call: larger than a small one, or of unknown length. The transport may go on
// reading after the exchange has ended, so it belongs to no pool, and what it captured is handed over once by stop.
type upload struct {
	src      io.Reader
	max      int64
	touched  atomic.Bool // a read was begun: the body cannot be sent again
	patience *patience

	reading sync.Mutex // held while src is read

	mu      sync.Mutex
	size    int64
	kept    *buffer
	keptLen int
	err     error // of src, or errTooLarge
	whole   bool  // src has come to its end
	stopped bool
}

func newUpload(src io.Reader, max int64, patience *patience) *upload {
	return &upload{src: src, max: max, patience: patience, kept: getBuffer(0)}
}

// Read implements [io.Reader]. It runs on a goroutine of the call's, where a panic would end the process.
func (u *upload) Read(p []byte) (n int, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.err = fmt.Errorf("%w: %v\n%s", errPanicked, cause, debug.Stack())
			n, err = 0, u.err
		}
	}()
	u.touched.Store(true)
	u.reading.Lock()
	defer u.reading.Unlock()
	if !u.begin() {
		return 0, errUploadStopped
	}
	n, err = u.src.Read(p)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stopped {
		return 0, errUploadStopped
	}
	u.patience.wait(forHead)
	u.size += int64(n)
	if u.size > u.max {
		u.err = errTooLarge
		return 0, errTooLarge
	}
	u.keep(p[:n])
	switch {
	case err == io.EOF:
		u.whole = true
	case err != nil:
		u.err = err
	}
	return n, err
}

// begin notes that the caller is waited for, and reports whether the body may still be read. The exchange, and with it its patience, may
// be another's once the body was stopped.
func (u *upload) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.stopped {
		u.patience.wait(forCaller)
	}
	return !u.stopped
}

// ended reports whether the whole body was read.
func (u *upload) ended() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.whole
}

// rest waits until a stopped body is being read no more.
func (u *upload) rest() {
	u.reading.Lock()
	defer u.reading.Unlock()
}

// keep copies the head of the body.
func (u *upload) keep(p []byte) {
	if room := requestHead - u.keptLen; len(p) > room {
		p = p[:room]
	}
	for len(p) > 0 {
		if u.keptLen == len(u.kept.b) {
			larger := getBuffer(len(u.kept.b) + 1)
			copy(larger.b, u.kept.b)
			u.kept.put()
			u.kept = larger
		}
		n := copy(u.kept.b[u.keptLen:], p)
		u.keptLen += n
		p = p[n:]
	}
}

// fault returns why the body could not be read to its end, or nil.
func (u *upload) fault() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// stop ends reading and hands over what was kept: the memory, how much of it is used, and the size that passed.
func (u *upload) stop() (kept *buffer, keptLen int, size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	kept, u.kept = u.kept, nil
	return kept, u.keptLen, u.size
}
