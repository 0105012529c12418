package proxy

import (
	"mime"
	"net/http"
	"runtime/debug"
	"strings"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
)

// keptHeaders are the headers of an answer that its event tells, beside the rate limits' families.
var keptHeaders = map[string]bool{
	"X-Request-Id": true, "Request-Id": true, "Openai-Processing-Ms": true, "Openai-Version": true, "Retry-After": true,
}

// keptFamilies are prefixes of further ones.
var keptFamilies = [...]string{"X-Ratelimit-", "Anthropic-Ratelimit-"}

// keepRequest puts what is known of the request into its event.
func (x *exchange) keepRequest() {
	m := &x.event.Request
	m.ContentType, m.Encoding = first(x.r.Header["Content-Type"]), first(x.r.Header["Content-Encoding"])
	switch {
	case x.small != nil:
		m.Bytes = int64(x.smallLen)
		x.bodies[0] = llmproxy.Body{Head: x.small.b[:min(x.smallLen, requestHead)], Size: m.Bytes}
		m.Body = &x.bodies[0]
	case x.upload != nil:
		kept, n, size := x.upload.stop()
		m.Bytes = size
		if size > 0 {
			x.bodies[0] = llmproxy.Body{Head: kept.b[:n], Size: size}
			m.Body = &x.bodies[0]
		}
		x.small = kept // to be given back
	}
}

// keepResponse puts what is known of the answer into its event.
func (x *exchange) keepResponse() {
	m := &x.event.Response
	h := x.call.Header
	m.ContentType, m.Encoding = first(h["Content-Type"]), first(h["Content-Encoding"])
	x.capture.keep(m, &x.bodies[1])
	for name, values := range h {
		if keepsHeader(name) {
			m.Headers = append(m.Headers, llmproxy.Header{Name: strings.ToLower(name), Value: strings.Join(values, ", ")})
		}
	}
}

func keepsHeader(name string) bool {
	if keptHeaders[name] {
		return true
	}
	for _, family := range keptFamilies {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}

// publish sends the event out. A request whose token is not known makes none: it is a counter and a line in the log.
func (x *exchange) publish() {
	defer func() {
		if p := recover(); p != nil {
			x.h.cfg.Log.Error("an event could not be published", zap.Stringer("request_id", x.event.ID), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			x.dirty = true
		}
	}()
	e := &x.event
	if !e.TokenID.IsZero() {
		if x.capturesMetadata() {
			if err := usage.Read(e); err != nil {
				x.h.cfg.Log.Debug("usage is unknown", zap.Stringer("request_id", e.ID), zap.Error(err))
			}
			e.Request.Body, e.Response.Body = nil, nil
		}
		x.h.cfg.Events.Publish(e)
	} else if e.Code == "" {
		return // a browser's preflight
	} else if ce := x.h.cfg.Log.Check(zap.InfoLevel, "refused a stranger"); ce != nil {
		ce.Write(zap.Stringer("request_id", e.ID), zap.String("method", e.Method), zap.String("path", e.Path), zap.Int("status", e.Status), zap.String("code", e.Code), zap.String("remote_addr", x.r.RemoteAddr))
	}
	if x.h.cfg.Observe != nil {
		x.h.cfg.Observe(e)
	}
}

// capturesMetadata reports whether no body may leave with the event.
func (x *exchange) capturesMetadata() bool {
	if x.project.Capture == llmproxy.CaptureDefault {
		return x.h.cfg.Capture == llmproxy.CaptureMetadata
	}
	return x.project.Capture == llmproxy.CaptureMetadata
}

// isEventStream reports whether an answer is a stream of server-sent events.
func isEventStream(h http.Header) bool {
	contentType := first(h["Content-Type"])
	if contentType == "text/event-stream" {
		return true
	}
	if !strings.HasPrefix(strings.ToLower(contentType), "text/event-stream") {
		return false
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "text/event-stream"
}

// first is the first of a header's values, or empty.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
