// This file is no part of the function. The test of panics lays it over the function's package when it builds one that panics on demand,
// in place of nothing: what is deployed has no such switch.

package main

import (
	"bytes"
	"context"
	"net/http"
	"sync/atomic"
	"time"

	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/proxy"
)

// point is where the request under way panics: a process has one at a time.
var point atomic.Value

// at panics where the request asked for it.
func at(here string) {
	if there, _ := point.Load().(string); there == here {
		point.Store("")
		panic("fault: " + here)
	}
}

// faultyHandler reads where to panic from a header that no provider sees.
type faultyHandler struct{ next http.Handler }

func (h faultyHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	point.Store(r.Header.Get("X-Fault"))
	r.Header.Del("X-Fault")
	h.next.ServeHTTP(&faultyWriter{ResponseWriter: w}, r)
	at("after the handler")
}

type faultyWriter struct {
	http.ResponseWriter
	writes int
}

func (w *faultyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w *faultyWriter) Flush()                      { w.ResponseWriter.(http.Flusher).Flush() }

func (w *faultyWriter) WriteHeader(status int) {
	at("before the head")
	w.ResponseWriter.WriteHeader(status)
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes > 1 {
		at("in mid-stream")
	}
	n, err := w.ResponseWriter.Write(p)
	if bytes.Contains(p, []byte("[DONE]")) {
		at("after the last chunk")
	}
	return n, err
}

type faultyStore struct{ proxy.Store }

func (s faultyStore) Spend(ctx context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (llmproxy.Token, llmproxy.Project, error) {
	at("before the spend")
	token, project, err := s.Store.Spend(ctx, id, hash, now)
	at("after the spend")
	return token, project, err
}

type faultyKeys struct{ proxy.Keys }

func (k faultyKeys) Open(ctx context.Context, p *llmproxy.Project) (llmproxy.Secret, error) {
	at("at the key")
	return k.Keys.Open(ctx, p)
}

type faultyEvents struct{ proxy.Publisher }

func (e faultyEvents) Begin(b *llmproxy.Begin) {
	e.Publisher.Begin(b)
	at("at the begin")
}

func (e faultyEvents) Publish(event *llmproxy.Event) {
	at("before the event is queued")
	e.Publisher.Publish(event)
	at("after the event is queued")
}

func faultyObserve(observe func(*llmproxy.Event)) func(*llmproxy.Event) {
	return func(e *llmproxy.Event) {
		at("at the metrics")
		observe(e)
	}
}

func faultyAfter(after func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		defer point.Store("")
		after(ctx)
		at("after the hook")
	}
}

type faultyBus struct{ *sdkbridge.Client }

func (b faultyBus) PutEvents(ctx context.Context, in *sdkbridge.PutEventsInput, opts ...func(*sdkbridge.Options)) (*sdkbridge.PutEventsOutput, error) {
	at("in the hook")
	return b.Client.PutEvents(ctx, in, opts...)
}
