package proxy

import (
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/proxy/h1"
)

// exchange is one request on its way and all that is known of it.
type exchange struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	start time.Time // with the monotonic clock
	event llmproxy.Event

	// allow
	match       provider.Match
	isPreflight bool
	query       string // raw
	hasQuery    bool   // there was a question mark
	maxBytes    int64

	// circuit and authorize
	upstream *upstream
	probe    bool // this request holds the breaker's probe
	slot     *slot
	token    llmproxy.Token
	project  llmproxy.Project
	beginRow llmproxy.Begin
	key      llmproxy.Secret

	// forward
	small    *buffer // a request body that was read before the call
	smallLen int
	upload   *upload // a request body that is read during the call
	request  h1.Request
	call     h1.Call
	calling  bool        // the call was begun and must be closed
	silent   atomic.Bool // the call was ended because somebody kept silent too long
	unwatch  func() bool // stops waiting for the end of the request's context
	called   time.Time   // when the upstream was

	// respond
	patience  patience
	capture   capture
	bodies    [2]llmproxy.Body // of the event's request and response
	answering bool             // the answer's head has come, and the answer is the upstream's
	answered  bool             // a head has gone out
	broken    bool             // the caller must see that the answer is not whole
	dirty     bool             // a timer or the end of a context may still be acting on this exchange: it is not used again
}

var exchanges = sync.Pool{New: func() any {
	x := &exchange{}
	x.patience.expire = x.expire
	x.request.Interim = x.passInterim
	return x
}}

// newExchange begins the story of a request. Its id is minted here.
func (h *Handler) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	x.h, x.w, x.r = h, w, r
	x.start = time.Now()
	now := x.now()
	x.event.ID = llmproxy.NewEventID(now)
	x.event.Time = now
	x.event.Method = r.Method
	w.Header()[RequestIDHeader] = []string{x.event.ID.String()}
	return x
}

// now is the time by the configured clock.
func (x *exchange) now() time.Time { return x.h.cfg.Now() }

// begin notes that the request is admitted. From here on it ends in an event, even if the process does not live to write it.
func (x *exchange) begin() {
	e := &x.event
	x.beginRow = llmproxy.Begin{ID: e.ID, Time: e.Time, TokenID: e.TokenID, ProjectID: e.ProjectID, Method: e.Method, Path: e.Path}
	x.h.cfg.Events.Begin(&x.beginRow)
}

// end runs whatever happened: it publishes the event and gives everything back. A broken answer is broken off for the caller too.
func (x *exchange) end() {
	if p := recover(); p != nil {
		x.panicked(p)
	}
	x.finish()
	x.publish()
	x.leaveBody()
	broken := x.broken
	x.release()
	if broken {
		panic(http.ErrAbortHandler)
	}
}

// panicked turns a panic of a step into an answer, or into a broken one where the answer has begun.
func (x *exchange) panicked(p any) {
	x.h.cfg.Log.Error("a request panicked", zap.Stringer("request_id", x.event.ID), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
	x.dirty = true
	answered := x.answered
	x.refuse(refusePanic)
	if answered && x.answering {
		x.event.Outcome, x.event.Status, x.event.Code = llmproxy.Cut, x.call.Status, refusePanic.code
	}
}

// finish ends the call and collects what there is to know of it.
func (x *exchange) finish() {
	if !x.patience.end() || x.unwatch != nil && !x.unwatch() {
		x.dirty = true
	}
	x.keepRequest()
	if x.calling {
		if x.answering {
			x.keepResponse()
		}
		x.call.Close()
		x.event.Timing.Upstream = max(time.Since(x.called), 1)
	}
	if x.probe {
		x.upstream.breaker.release()
	}
	if x.slot != nil {
		x.h.admission.leave(x.slot)
	}
	e := &x.event
	if x.match.Endpoint != nil {
		e.UsageKind = x.match.Endpoint.Usage
	}
	e.Timing.Total = max(time.Since(x.start), 1)
}

// lingering is how long the rest of a request's body may still come once the exchange has ended.
const lingering = 5 * time.Second

// bodyUnread reports whether some of the request's body has not come yet, or was not read.
func (x *exchange) bodyUnread() bool {
	switch r := x.r; {
	case r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0:
		return false
	case x.upload != nil:
		return !x.upload.ended()
	default:
		return int64(x.smallLen) != r.ContentLength
	}
}

// leaveBody bounds the wait for what is left of the body. The server reads on, to see where the next request begins, and would wait for
// ever; it would also do so before it breaks an answer off.
func (x *exchange) leaveBody() {
	if !x.bodyUnread() {
		return
	}
	control := http.NewResponseController(x.w)
	if control.SetReadDeadline(time.Unix(1, 0)) != nil {
		return // another door, which has a limit of its own
	}
	if x.upload != nil {
		x.upload.rest() // a read that was under way has ended: nobody takes the deadline away again
	}
	if !x.broken {
		_ = control.SetReadDeadline(time.Now().Add(min(lingering, x.h.callerIdle))) // it went well before
	}
}

// closeAfter makes the server close the connection after the answer where some of the body has not come by the time of its head: if it
// does not come to its end, the rest must not be taken for a request.
func (x *exchange) closeAfter(h http.Header) {
	if x.upload != nil && x.r.ProtoMajor == 1 && x.bodyUnread() {
		h["Connection"] = []string{"close"}
	}
}

// release gives memory back, and the exchange itself unless somebody may still hold on to it.
func (x *exchange) release() {
	x.capture.release()
	x.small.put()
	if x.dirty {
		return
	}
	patience, interim := x.patience.timer, x.request.Interim
	expire := x.patience.expire
	*x = exchange{} // the mutexes and the atomics in it are at rest: nobody else knows the exchange any more
	x.patience.timer, x.patience.expire, x.request.Interim = patience, expire, interim
	exchanges.Put(x)
}

// expire ends an exchange that waited too long. It runs on a timer's goroutine.
func (x *exchange) expire(what waiting) {
	past := time.Unix(1, 0)
	control := http.NewResponseController(x.w)
	switch what {
	case forCaller:
		if control.SetReadDeadline(past) == nil {
			return
		}
	case forWrite:
		if control.SetWriteDeadline(past) == nil {
			return
		}
	}
	x.silent.Store(true)
	x.call.Interrupt()
}

// passInterim passes a 1xx answer on (RFC 9110, section 15.2). 100 was ours to give.
func (x *exchange) passInterim(status int, header http.Header) {
	if status == http.StatusContinue || !x.r.ProtoAtLeast(1, 1) {
		return
	}
	h := x.w.Header()
	added := make([]string, 0, len(header))
	named := connectionNames(header["Connection"])
	for name, values := range header {
		if _, ours := h[name]; !ours && !x.upstream.dropsResponse(name) && !named[name] {
			h[name] = values
			added = append(added, name)
		}
	}
	x.w.WriteHeader(status)
	for _, name := range added {
		delete(h, name)
	}
}
