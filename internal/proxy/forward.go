package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

// What happens to headers on the way. This file is the whole list: every header that is not named here passes as it came, in both
// directions, and none is added but the provider's credential and its `set` list.

// hopByHop are the headers that belong to one connection (RFC 9110, section 7.6.1), beside those that Connection names. Expect was
// answered by us; trailers and the offers to take some (TE) end here; nothing is upgraded.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
}

// removedCredentials are the headers that carry some credential somewhere: the caller's is ours, and no other may go along.
var removedCredentials = []string{"Authorization", "Proxy-Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "Cookie"}

// removedRouting are the headers that claim where a request came from, where it should go or what its method is: whoever believes them would
// take the request for another one than we have allowed. They are never used for a decision.
var removedRouting = []string{
	"Forwarded", "X-Real-Ip", "Via", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
}

// removedPrefixes are families of such headers.
var removedPrefixes = []string{"X-Forwarded-", "X-Amz"}

// removedAnswer are the headers of an answer that do not reach the caller. Location and Refresh go too where they lead to another
// origin.
var removedAnswer = []string{"Set-Cookie"}

// removedFromRequests and removedFromAnswers are the lists in the form that a request needs.
var (
	removedFromRequests = nameSet(hopByHop, removedCredentials, removedRouting, []string{"Content-Length", "Host"}) // the last two are framing, and written for each message anew
	removedFromAnswers  = nameSet(hopByHop, removedAnswer)
)

func nameSet(lists ...[]string) map[string]bool {
	set := map[string]bool{}
	for _, list := range lists {
		for _, name := range list {
			set[name] = true
		}
	}
	return set
}

// removesRequest reports whether a header of the caller's stays behind, by the rules that hold for all providers.
func removesRequest(name string) bool {
	if removedFromRequests[name] {
		return true
	}
	if len(name) < 2 || name[0] != 'X' || name[1] != '-' {
		return false
	}
	for _, prefix := range removedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// connectionNames are the headers that a Connection header names, in canonical form; nil if it names none.
func connectionNames(values []string) map[string]bool {
	var names map[string]bool
	for _, value := range values {
		if strings.EqualFold(value, "keep-alive") || strings.EqualFold(value, "close") {
			continue
		}
		for name := range strings.SplitSeq(value, ",") {
			if name = textproto.TrimString(name); name != "" {
				if names == nil {
					names = map[string]bool{}
				}
				names[textproto.CanonicalMIMEHeaderKey(name)] = true
			}
		}
	}
	return names
}

// outgoingHeader is the head of the request to the upstream: the caller's without what is removed, the provider's set list, and last
// the credential, which nothing in the caller's head can take away.
func (x *exchange) outgoingHeader() http.Header {
	in, u := x.r.Header, x.upstream
	out := make(http.Header, len(in)+2)
	named := connectionNames(in["Connection"])
	for name, values := range in {
		if removesRequest(name) || u.dropRequest[name] || named[name] {
			continue
		}
		out[name] = values
	}
	for _, name := range x.token.RequestHeadersDrop {
		delete(out, textproto.CanonicalMIMEHeaderKey(name))
	}
	for name, values := range u.set {
		out[name] = values
	}
	auth := u.provider.Auth
	value := x.key.Reveal()
	if auth.Scheme != "" {
		value = auth.Scheme + " " + value
	}
	out[auth.Header] = []string{value}
	return out
}

// smallBody is the size up to which a request body is read before the call: head and body then leave together, and a fast answer cannot
// overtake the reading of the body. One up to promptBody is too, where it comes within promptly and both connections are plain, which
// saves a goroutine and most reads and writes of a body that is sent in pieces. An early answer to such a body waits for no longer.
const (
	smallBody  = 64 << 10
	promptBody = 256 << 10
	promptly   = 50 * time.Millisecond
)

// promptReader is a request body of which a read may be given up: what has come by then is not lost.
type promptReader interface {
	ReadFor(p []byte, d time.Duration) (n int, err error)
}

// forward sends the request to the upstream and waits for the head of its answer.
func (x *exchange) forward() *refusal {
	x.called = time.Now()
	timeouts := &x.match.Provider.Timeouts
	x.patience.begin(x.h.callerIdle, timeouts.Connect+timeouts.ResponseHeader, timeouts.Idle)
	if no := x.readSmallBody(); no != nil {
		return no
	}
	ctx := x.r.Context()
	x.unwatch = context.AfterFunc(ctx, x.call.Interrupt)
	x.outgoingRequest()
	for tries := 0; ; tries++ {
		x.patience.wait(forHead)
		x.calling = true
		err := x.call.Do(ctx, x.upstream.client, &x.request)
		if tries < x.match.Provider.RetryAttempts && ctx.Err() == nil && !x.silent.Load() && x.mayRepeat(err) {
			x.call.Close()
			if ctx.Err() != nil || x.silent.Load() {
				x.call.Interrupt() // it may have been interrupted before, which Close forgets
			}
			continue
		}
		if err != nil {
			return x.callRefusal(err)
		}
		x.answering = true
		x.recordAnswer(x.call.Status)
		return nil
	}
}

// mayRepeat reports whether a call can be made again without the upstream doing anything twice: no byte of it was sent, or it only
// asked for something, and a gateway on the way failed or the connection was just being closed.
func (x *exchange) mayRepeat(err error) bool {
	if err != nil && !x.call.Sent() {
		return x.upload == nil || !x.upload.touched.Load()
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead || x.upload != nil {
		return false
	}
	if err != nil {
		return x.call.Stale()
	}
	switch x.call.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// readSmallBody reads a body of a small known length, or prepares a larger one to be read during the call.
func (x *exchange) readSmallBody() *refusal {
	r := x.r
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	if r.ContentLength < 0 || r.ContentLength > promptBody {
		x.beginUpload(r.Body)
		return nil
	}
	if r.ContentLength > smallBody {
		return x.readPromptBody()
	}
	x.small = getBuffer(int(r.ContentLength))
	x.patience.wait(forCaller)
	n, err := io.ReadFull(r.Body, x.small.b[:r.ContentLength])
	x.smallLen = n
	if err != nil {
		return x.uploadRefusal(err)
	}
	return nil
}

// readPromptBody reads a body that is not small if it comes at once, or prepares it to be read during the call.
func (x *exchange) readPromptBody() *refusal {
	body, ok := x.r.Body.(promptReader)
	if !ok || x.match.Provider.BaseURL.Scheme != "http" {
		x.beginUpload(x.r.Body)
		return nil
	}
	x.small = getBuffer(int(x.r.ContentLength))
	x.patience.wait(forCaller)
	n, err := body.ReadFor(x.small.b[:x.r.ContentLength], promptly)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		come := x.small.b[:n] // it stays the upload's
		x.small = nil
		x.beginUpload(io.MultiReader(bytes.NewReader(come), x.r.Body))
		return nil
	case err != nil:
		x.smallLen = n
		return x.uploadRefusal(err)
	}
	x.smallLen = n
	return nil
}

// beginUpload prepares a body to be read during the call.
func (x *exchange) beginUpload(body io.Reader) {
	// net/http otherwise closes the request body once an answer's head is written. HTTP/2 and other doors have no need of this.
	_ = http.NewResponseController(x.w).EnableFullDuplex()
	x.upload = newUpload(body, x.maxBytes, &x.patience)
}

// trimBody gives back what an event does not tell of a body that was sent, since an answer may take long.
func (x *exchange) trimBody() {
	if x.small == nil || len(x.small.b) <= requestHead {
		return
	}
	kept := getBuffer(requestHead)
	copy(kept.b, x.small.b)
	x.small.put()
	x.small = kept
}

// outgoingRequest makes the request to the upstream. Its path is built from the endpoint that was matched, never from the caller's
// bytes; the query passes as it came.
func (x *exchange) outgoingRequest() {
	out := &x.request
	out.Method, out.Target, out.Header = x.r.Method, x.match.Path, x.outgoingHeader()
	if x.hasQuery {
		out.Target += "?" + x.query
	}
	switch {
	case x.small != nil:
		out.Body = x.small.b[:x.smallLen]
	case x.upload != nil:
		out.Stream, out.Length = x.upload, x.r.ContentLength
	}
}

// recordAnswer tells the breaker how the call went.
func (x *exchange) recordAnswer(status int) {
	if status >= http.StatusInternalServerError {
		x.upstream.breaker.fail(time.Now(), x.probe)
	} else {
		x.upstream.breaker.succeed(x.probe)
	}
	x.probe = false
}

// recordFault tells the breaker that the upstream could not be reached or gave no answer.
func (x *exchange) recordFault() {
	x.upstream.breaker.fail(time.Now(), x.probe)
	x.probe = false
}

// callRefusal is our answer to a call that brought none.
func (x *exchange) callRefusal(err error) *refusal {
	if x.upload != nil {
		if fault := x.upload.fault(); fault != nil {
			return x.uploadRefusal(fault)
		}
	}
	if gone := x.goneRefusal(); gone != nil {
		return gone
	}
	if x.call.Sent() || !x.silent.Load() { // otherwise it waited for a connection that others use: dialling has a limit of its own
		x.recordFault()
	}
	x.h.cfg.Log.Warn("the upstream gave no answer", zap.Stringer("request_id", x.event.ID), zap.String("provider", x.match.Provider.Name), zap.Error(err))
	switch {
	case x.silent.Load():
		return refuseUpstreamTimeout
	case !x.call.Sent():
		return refuseUnreachable
	}
	return refuseUpstreamInvalid
}

// goneRefusal ends an exchange whose caller has left or whose deadline has come; nil if neither.
func (x *exchange) goneRefusal() *refusal {
	switch err := context.Cause(x.r.Context()); { // a server that ends gives our own deadline as the cause
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return refuseDeadline
	}
	return refuseGone
}

// uploadRefusal is our answer to a request body that did not come to its end.
func (x *exchange) uploadRefusal(err error) *refusal {
	var timeout net.Error
	switch {
	case errors.Is(err, errPanicked):
		x.h.cfg.Log.Error("a request panicked", zap.Stringer("request_id", x.event.ID), zap.Error(err))
		x.w.Header().Set("Connection", "close")
		return refusePanic
	case errors.Is(err, errTooLarge):
		x.w.Header().Set("Connection", "close")
		return refuseTooLarge
	case errors.As(err, &timeout) && timeout.Timeout():
		x.w.Header().Set("Connection", "close")
		return refuseBody
	}
	if gone := x.goneRefusal(); gone != nil {
		return gone
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || isConnectionError(err) {
		return refuseGone
	}
	x.w.Header().Set("Connection", "close")
	return refuseBody
}

// isConnectionError reports whether an error is the connection's and not of what was sent over it.
func isConnectionError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}
