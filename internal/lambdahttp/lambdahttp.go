package lambdahttp

import (
	"context"
	"io"
	"log"
	"net/http"
	"runtime/debug"
	"time"
)

// Function is what lambda.Start takes.
type Function = func(context.Context, *Event) (io.ReadCloser, error)

// Stream returns the function that serves h behind a function URL with the invoke mode RESPONSE_STREAM. It must be built with the tag
// lambda.norpc or run on a provided runtime. The head of an answer leaves as soon as h has written it, the body as h flushes it, and
// its end when h returns or has written what Content-Length promised. An event that came another way, as of a development server, is
// answered as [Buffered] does.
//
// If after is not nil it is called once per invocation, when the caller has the last byte and h has returned. The next invocation
// waits for it. Its context ends at the function's deadline, that of requests some time before (see [margin]).
func Stream(h http.Handler, after func(context.Context)) Function {
	return func(ctx context.Context, e *Event) (io.ReadCloser, error) {
		if !e.ofFunctionURL() {
			return serveBuffered(ctx, e, h, after), nil
		}
		return serveStream(ctx, e, h, after), nil
	}
}

// Buffered returns the function that serves h behind an API Gateway HTTP API, whose answers are sent as a whole. The hook after is
// that of [Stream].
func Buffered(h http.Handler, after func(context.Context)) Function {
	return func(ctx context.Context, e *Event) (io.ReadCloser, error) {
		return serveBuffered(ctx, e, h, after), nil
	}
}

// margin is how long before the function's deadline a request's own comes: time to break off, and for the hook.
const margin = 2 * time.Second

// serving stands for the server in the context of requests: its presence tells handlers such as httputil.ReverseProxy that they
// may panic with [http.ErrAbortHandler].
var serving = &http.Server{ReadHeaderTimeout: time.Minute}

// requestContext is the context of a request in an invocation. A function whose time is short leaves half of it to the hook.
func requestContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithValue(ctx, http.ServerContextKey, serving)
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(margin, time.Until(deadline)/2)))
}

// serve lets h answer, and reports what it panicked with. An event that err tells to be malformed is answered here.
func serve(r *http.Request, err error, h http.Handler, w http.ResponseWriter) (failure any) {
	failure = http.ErrAbortHandler // until h returns; a handler may also end by runtime.Goexit
	defer func() {
		if p := recover(); p != nil {
			failure = p
			if p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
				log.Printf("lambdahttp: panic serving %s %s: %v\n%s", r.Method, r.URL.Path, p, debug.Stack())
			}
		}
	}()
	if err != nil {
		http.Error(w, "400 Bad Request", http.StatusBadRequest)
		return nil
	}
	h.ServeHTTP(w, r)
	return nil
}

// runHook runs what follows an answer. A panic in it costs its own work alone.
func runHook(ctx context.Context, after func(context.Context)) {
	if after == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			log.Printf("lambdahttp: panic after an answer: %v\n%s", p, debug.Stack())
		}
	}()
	after(ctx)
}
