package bench

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"
)

// outcome is what came of one request. Times count from when it was due, but for service.
type outcome struct {
	due         time.Time
	end         time.Time
	service     time.Duration       // from its sending to its end
	firstByte   time.Duration       // to the first byte of the body; 0 if none came
	gap         func(time.Duration) // is told the time between two events; nil: nobody asks
	events      int
	bytes       int64
	status      int      // 0: there was no answer
	failure     *Failure // nil: it succeeded
	interrupted bool     // the run was ended while it was under way
}

func (o *outcome) latency() time.Duration { return o.end.Sub(o.due) }

// Bounds of what is kept of one answer.
const (
	maxErrorBody = 64 << 10
	maxEvent     = 1 << 20
)

// exchange sends one request that was due then and reads its answer to the end.
func (r *Run) exchange(ctx context.Context, due time.Time, gap func(time.Duration)) *outcome {
	o := &outcome{due: due, gap: gap}
	sent := time.Now()
	limited, cancel := context.WithTimeout(ctx, r.plan.Timeout)
	defer cancel()
	err := r.send(limited, o)
	o.end = time.Now()
	o.service = o.end.Sub(sent)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		o.interrupted, o.failure = true, nil
	case limited.Err() != nil:
		o.failure = &Failure{Kind: KindTimeout, Message: "no complete answer within " + r.plan.Timeout.String()}
	default:
		var f *Failure
		if !errors.As(err, &f) {
			f = &Failure{Kind: kindOf(err, o.status), Message: err.Error()}
		}
		o.failure = f
	}
	return o
}

// send returns a *Failure, or an error of the connection.
func (r *Run) send(ctx context.Context, o *outcome) error {
	req, err := r.request(ctx)
	if err != nil {
		return err
	}
	res, err := r.client.Do(req)
	if err != nil {
		var withURL *url.Error
		if errors.As(err, &withURL) {
			err = withURL.Err // a URL may have a credential in it
		}
		return err
	}
	defer res.Body.Close()
	o.status = res.StatusCode
	body := &timedBody{r: res.Body, o: o}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return readError(res, body)
	}
	if mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); mediaType == "text/event-stream" {
		return readEvents(body, o, req.URL.Path)
	}
	_, err = io.Copy(io.Discard, body)
	return err
}

// timedBody notes when the first byte of a body came, and how many there were.
type timedBody struct {
	r io.Reader
	o *outcome
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if n > 0 && b.o.bytes == 0 {
		b.o.firstByte = max(time.Since(b.o.due), 1)
	}
	b.o.bytes += int64(n)
	return n, err
}

// readError reads an answer that is none.
func readError(res *http.Response, body io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
	if err == nil {
		_, err = io.Copy(io.Discard, body) // so that the connection can be used again
	}
	if err != nil {
		return err
	}
	f := &Failure{Kind: KindStatus, Status: res.StatusCode, Message: gjson.GetBytes(data, "error.message").String(), RequestID: res.Header.Get("X-Llm-Proxy-Request-Id")}
	for _, path := range []string{"error.code", "error.type"} {
		if code := gjson.GetBytes(data, path); code.Type == gjson.String && f.Code == "" {
			f.Code = code.String()
		}
	}
	if f.Message == "" {
		f.Message = http.StatusText(res.StatusCode)
	}
	return f
}

// readEvents reads an event stream to its end and notes the time between its events.
func readEvents(body io.Reader, o *outcome, path string) error {
	ended := false
	var last time.Time
	for event, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return err
		}
		now := time.Now()
		if o.events > 0 && o.gap != nil {
			o.gap(now.Sub(last))
		}
		last = now
		o.events++
		if e := gjson.Get(event.Data, "error"); event.Type == "error" || e.IsObject() {
			return &Failure{Kind: KindStreamError, Code: e.Get("code").String(), Message: e.Get("message").String()}
		}
		ended = ended || ends(event)
	}
	if !ended && saysItsEnd(path) {
		return &Failure{Kind: KindCut, Message: "the stream ended without its last event"}
	}
	return nil
}

// ends reports whether an event is the last one of its stream.
func ends(e sse.Event) bool {
	switch e.Type {
	case "response.completed", "response.incomplete", "response.failed", "message_stop":
		return true
	}
	return e.Data == "[DONE]"
}

// saysItsEnd reports whether streams of the path have a last event that says so.
func saysItsEnd(path string) bool {
	for _, suffix := range []string{"/completions", "/responses", "/messages"} {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}

// kindOf says in which way a connection failed. Status is that of an answer that had begun.
func kindOf(err error, status int) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return KindTimeout
	case errors.As(err, &dns):
		return KindName
	case errors.Is(err, syscall.ECONNREFUSED):
		return KindRefused
	case status != 0:
		return KindCut
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return KindReset
	}
	return KindConnection
}
