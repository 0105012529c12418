package proxy

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// respond gives the caller the upstream's answer as it comes. It returns a refusal only while nothing has gone out.
func (x *exchange) respond() *refusal {
	x.capture.start(x.call.Length, isEventStream(x.call.Header))
	if x.call.Length < 0 {
		x.trimBody()
	}
	x.patience.wait(forBody)
	if x.call.Status == http.StatusSwitchingProtocols {
		x.answering = false
		return refuseUpstreamInvalid
	}
	held, heldErr := 0, error(nil)
	if x.call.Status >= http.StatusBadRequest {
		if held, heldErr = x.holdErrorAnswer(); heldErr != nil && heldErr != io.EOF { //nolint:errorlint // as h1 returns it
			return x.brokenErrorAnswer(heldErr)
		}
		if x.call.Status == http.StatusUnauthorized || x.quotesKey(held) {
			return x.keyRefused()
		}
	}
	x.sendHead()
	x.sendBody(held, heldErr)
	return nil
}

// sendHead gives the caller status and headers.
func (x *exchange) sendHead() {
	out := x.w.Header()
	named := connectionNames(x.call.Header["Connection"])
	for name, values := range x.call.Header {
		if x.upstream.dropsResponse(name) || named[name] {
			continue
		}
		if (name == "Location" || name == "Refresh") && leadsAway(name, values, x.match.Provider.BaseURL) {
			continue
		}
		if name == RequestIDHeader { // of another proxy like this one, further up
			continue
		}
		out[name] = values
	}
	// net/http adds these where the keys are absent.
	for _, name := range [...]string{"Date", "Content-Type"} {
		if _, ok := out[name]; !ok {
			out[name] = nil
		}
	}
	x.closeAfter(out)
	x.allowOrigin(out)
	x.event.Status = x.call.Status
	x.event.Stream = x.capture.counting
	x.answered = true
	x.w.WriteHeader(x.call.Status)
}

// sendBody passes the body on: held bytes of it are in the capture already, and heldErr is how reading them ended. What came is flushed
// at once, unless it is all of a known length: that a read filled its space does not say that more has come.
func (x *exchange) sendBody(held int, heldErr error) {
	flusher, _ := x.w.(http.Flusher)
	length := x.call.Length
	passed := int64(0)
	space, n, err := x.capture.head.b[:held], held, heldErr
	for {
		isFirst := x.event.Timing.FirstByte == 0
		if n > 0 {
			if isFirst {
				x.event.Timing.FirstByte = max(time.Since(x.start), 1)
			}
			passed += int64(n)
			x.patience.wait(forWrite)
			if _, werr := x.w.Write(space[:n]); werr != nil {
				x.writeFailed()
				return
			}
			if flusher != nil && passed != length && (err == nil || isFirst && x.capture.counting) { // an event stream is sent as one also where all of it has come
				flusher.Flush()
			}
		} else if flusher != nil && err == nil && isFirst && x.call.Waits() {
			flusher.Flush() // the body may begin with a long silence, and its caller waits for the head
		}
		if err != nil {
			x.bodyEnded(err)
			x.flushEnd(flusher, passed)
			return
		}
		x.patience.wait(forBody)
		space = x.capture.space()
		n, err = x.call.Read(space)
		x.capture.advance(space, n)
	}
}

// largeAnswer is the size of a body from which on its end may find no room in the caller's direction.
const largeAnswer = 64 << 10

// flushEnd sends what the server still holds. Of a broken answer it would be lost, since the server drops it with the connection; of a
// large one it could wait for the caller without a limit, once the exchange has ended.
func (x *exchange) flushEnd(flusher http.Flusher, passed int64) {
	if flusher == nil || !x.broken && passed < largeAnswer {
		return
	}
	if x.broken { // nothing else goes over this connection, and what watched over the exchange may have fired
		_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.h.callerIdle)) // other doors have limits of their own
	}
	x.patience.wait(forWrite)
	flusher.Flush()
}

// bodyEnded notes how the answer ended.
func (x *exchange) bodyEnded(err error) {
	if err == io.EOF { //nolint:errorlint // as h1 returns it
		x.event.Outcome = llmproxy.Complete
		return
	}
	x.broken = true
	x.event.Outcome = llmproxy.Cut
	if gone := x.goneRefusal(); gone != nil {
		x.event.Outcome = gone.outcome
	}
}

// writeFailed notes that the caller takes no more.
func (x *exchange) writeFailed() {
	x.broken = true
	x.event.Outcome = llmproxy.ClientGone
	if gone := x.goneRefusal(); gone != nil {
		x.event.Outcome = gone.outcome
	}
}

// searchedError is how much of an error answer is searched for the provider key.
const searchedError = 64 << 10

// holdErrorAnswer reads the head of an error answer into the capture, so that it can be searched before any of it goes out. It returns
// how much there is and how reading ended: nil if there is more.
func (x *exchange) holdErrorAnswer() (held int, err error) {
	for held < searchedError && err == nil {
		space := x.capture.space()
		var n int
		n, err = x.call.Read(space)
		x.capture.advance(space, n)
		held += n
	}
	return held, err
}

// brokenErrorAnswer handles an error answer that broke off while it was held: what came goes out and breaks off there too.
func (x *exchange) brokenErrorAnswer(err error) *refusal {
	held := x.capture.headLen
	if x.call.Status == http.StatusUnauthorized || x.quotesKey(held) {
		return x.keyRefused()
	}
	x.sendHead()
	x.sendBody(held, err)
	return nil
}

// keyRefused takes the place of an answer about our key. The key may have been changed at the provider, so the next request reads it
// anew; this one is not sent again.
func (x *exchange) keyRefused() *refusal {
	x.answering = false
	x.h.cfg.Keys.Forget(&x.project)
	return refuseUpstreamAuth
}

// leadsAway reports whether a Location or Refresh leads to another origin than the upstream's own. A caller that follows it would
// take its token there.
func leadsAway(name string, values []string, base *url.URL) bool {
	for _, target := range values {
		if name == "Refresh" {
			target = refreshTarget(target)
		}
		if isElsewhere(target, base) {
			return true
		}
	}
	return false
}

// refreshTarget is the URL of a Refresh header, "" if it has none: what follows the time, with "url=" before it or not (HTML Standard,
// section 4.2.5.3).
func refreshTarget(value string) string {
	i := strings.IndexAny(value, ";,")
	if i < 0 {
		return ""
	}
	target := strings.TrimSpace(value[i+1:])
	if name, rest, ok := strings.Cut(target, "="); ok && strings.EqualFold(strings.TrimSpace(name), "url") {
		target = strings.TrimSpace(rest)
	}
	return strings.Trim(target, `"'`)
}

// isElsewhere reports whether a reference from the upstream's origin leads to another one, for any reading of it.
func isElsewhere(target string, base *url.URL) bool {
	if strings.ContainsAny(target, "\\\t\r\n") || strings.HasPrefix(target, "///") { // browsers read a backslash as a slash, three slashes as two, and leave control characters out
		return true
	}
	u, err := url.Parse(target)
	if err != nil {
		return true
	}
	if u.Scheme == "" && u.Host == "" {
		return false
	}
	return !strings.EqualFold(u.Host, base.Host) || u.Scheme != "" && u.Scheme != base.Scheme
}
