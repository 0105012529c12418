package fastpath

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// outSpace is how much of an answer is gathered before it is written, and the size of a write that is copied to what is gathered.
const outSpace = 4 << 10

// waitSpace is how much of a body of unknown length waits for its end, so that its length can be told.
const waitSpace = 2 << 10

// response is the answer to one request. It has what [http.ResponseController] asks for.
type response struct {
	c      *conn
	body   *body // of the request; nil if it has none
	head   bool  // the request's method is HEAD
	header http.Header

	status  int   // 0 until WriteHeader
	length  int64 // of the answer's body as its header says, -1 if it does not
	passed  int64 // bytes of the body that were given
	waiting []byte
	sent    bool // all of the head is in what is gathered, or has gone out
	chunked bool
	close   bool // the connection ends with this answer
	timed   bool // a deadline was set
	failed  error

	bodyless bool // its status allows no body (RFC 9110, section 6.4.1)
}

// Header implements [http.ResponseWriter].
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter]. Statuses of 1xx go out at once, but for 101. The header is as it is now: what the handler does
// to it afterwards could belie how the body is sent.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.interim(status)
		return
	}
	w.status = status
	w.bodyless = status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
	w.setLength()
	if status == http.StatusNotModified {
		delete(w.header, "Content-Type") // as net/http does: the client knows it
	}
	w.close = httpguts.HeaderValuesContainsToken(w.header["Connection"], "close")
	w.startLine(status)
	for name, values := range w.header {
		if name != "Connection" && name != "Transfer-Encoding" {
			w.fields(name, values)
		}
	}
	if _, said := w.header["Date"]; !said {
		w.c.out = append(append(append(w.c.out, "Date: "...), dateNow()...), "\r\n"...)
	}
}

// setLength takes the length that the header says, or takes it out of the header where it says none or there is no body.
func (w *response) setLength() {
	if values := w.header["Content-Length"]; len(values) == 1 && !w.bodyless {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
			w.length = n
			return
		}
	}
	delete(w.header, "Content-Length")
}

// interim sends an answer before the answer.
func (w *response) interim(status int) {
	w.flushOut()
	w.startLine(status)
	for name, values := range w.header {
		if name != "Content-Length" && name != "Transfer-Encoding" {
			w.fields(name, values)
		}
	}
	w.c.out = append(w.c.out, "\r\n"...)
	w.flushOut()
}

func (w *response) startLine(status int) {
	out := strconv.AppendInt(append(w.c.out, "HTTP/1.1 "...), int64(status), 10)
	text := http.StatusText(status)
	if text == "" {
		text = "status code " + strconv.Itoa(status)
	}
	w.c.out = append(append(append(out, ' '), text...), "\r\n"...)
}

// newlines must not end a header's line.
var newlines = strings.NewReplacer("\r", " ", "\n", " ")

func (w *response) fields(name string, values []string) {
	if !httpguts.ValidHeaderFieldName(name) {
		return
	}
	for _, v := range values {
		if strings.ContainsAny(v, "\r\n") {
			v = newlines.Replace(v)
		}
		w.c.out = append(append(append(append(w.c.out, name...), ": "...), v...), "\r\n"...)
	}
}

// endHead gathers the rest of the head. known says that the body is all there, and n bytes long.
func (w *response) endHead(n int, known bool) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.sent = true
	w.close = w.close || w.mustClose()
	switch {
	case w.length >= 0 || w.bodyless:
	case known && (!w.head || n > 0):
		w.length = int64(n)
		w.c.out = append(strconv.AppendInt(append(w.c.out, "Content-Length: "...), w.length, 10), "\r\n"...)
	case !w.head:
		w.chunked = true
		w.c.out = append(w.c.out, "Transfer-Encoding: chunked\r\n"...)
	}
	if w.close {
		w.c.out = append(w.c.out, "Connection: close\r\n"...)
	}
	w.c.out = append(w.c.out, "\r\n"...)
}

// mustClose reports whether the connection is to end: no request is taken any more, or too much of the request's body was not read.
func (w *response) mustClose() bool {
	return w.c.l.closing.Load() || w.body != nil && !w.body.ended() && w.body.left.Load() > maxUnread
}

// Write implements [http.ResponseWriter].
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 || w.failed != nil {
		return 0, w.failed
	}
	w.passed += int64(len(p))
	if w.bodyless && !w.head {
		return 0, http.ErrBodyNotAllowed
	}
	if w.length >= 0 && w.passed > w.length && !w.head {
		w.passed -= int64(len(p))
		return 0, http.ErrContentLength
	}
	if !w.sent && w.length < 0 && len(w.waiting)+len(p) <= waitSpace {
		w.waiting = append(w.waiting, p...)
		return len(p), nil
	}
	w.release(false)
	w.data(p)
	if w.failed != nil {
		return 0, w.failed
	}
	return len(p), nil
}

// release gathers the head, if it is not yet, and what waited for the end of the body. whole says that it has come.
func (w *response) release(whole bool) {
	if !w.sent {
		w.endHead(len(w.waiting), whole)
	}
	if len(w.waiting) > 0 {
		w.data(w.waiting)
		w.waiting = nil
	}
}

// data gathers bytes of the body, or writes them where they are many.
func (w *response) data(p []byte) {
	c := w.c
	if w.head || w.bodyless {
		return
	}
	if w.chunked {
		c.out = append(strconv.AppendInt(c.out, int64(len(p)), 16), "\r\n"...)
	}
	if len(c.out)+len(p) <= outSpace {
		c.out = append(c.out, p...)
	} else {
		w.flushWith(p)
	}
	if w.chunked {
		c.out = append(c.out, "\r\n"...)
	}
}

// flushWith writes what is gathered and p, in one call to the system where it can.
func (w *response) flushWith(p []byte) {
	if w.failed == nil {
		both := net.Buffers{w.c.out, p}
		_, err := both.WriteTo(w.c.rwc)
		w.fail(err)
	}
	w.c.out = w.c.out[:0]
}

// flushOut writes what is gathered.
func (w *response) flushOut() {
	if w.failed == nil && len(w.c.out) > 0 {
		_, err := w.c.rwc.Write(w.c.out)
		w.fail(err)
	}
	w.c.out = w.c.out[:0]
}

func (w *response) fail(err error) {
	if err != nil && w.failed == nil {
		w.failed = err
		w.c.lost(err)
	}
}

// Flush implements [http.Flusher].
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is Flush for [http.ResponseController].
func (w *response) FlushError() error {
	w.release(false)
	w.flushOut()
	return w.failed
}

// finish sends what is left of the answer, and reports whether it is whole.
func (w *response) finish() bool {
	w.release(true)
	if w.chunked {
		w.c.out = append(w.c.out, "0\r\n\r\n"...)
	}
	w.flushOut()
	return w.failed == nil && (w.head || w.bodyless || w.length < 0 || w.passed == w.length)
}

// SetReadDeadline bounds reading the request's body.
func (w *response) SetReadDeadline(t time.Time) error {
	w.timed = true
	return w.c.rwc.SetReadDeadline(t)
}

// SetWriteDeadline bounds writing the answer.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.timed = true
	return w.c.rwc.SetWriteDeadline(t)
}

// EnableFullDuplex allows reading the request while answering, which is always possible here.
func (w *response) EnableFullDuplex() error { return nil }

// date is the time of a second as headers have it.
type date struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[date]

// dateNow is the value of the Date header (RFC 9110, section 6.6.1).
func dateNow() string {
	now := time.Now()
	if d := lastDate.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
	lastDate.Store(d)
	return d.text
}
