package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// problem is an error as clients see it, in the form that the management API has (RFC 9457). It never repeats what was sent.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// problem answers with an error.
func (x *exchange) problem(status int, detail string) {
	x.write(status, "application/problem+json", problem{http.StatusText(status), status, detail})
}

// failed answers where something here went wrong. Whoever asks cannot mend it, so the rest is for the log.
func (x *exchange) failed(err error) {
	if errors.Is(err, llmproxy.ErrUnavailable) {
		x.h.log.Error("the store does not answer", zap.String("request_id", x.actor.RequestID), zap.Error(err))
		x.w.Header().Set("Retry-After", "1")
		x.problem(http.StatusServiceUnavailable, "The store does not answer. Try again.")
		return
	}
	x.h.log.Error("an admin request failed", zap.String("request_id", x.actor.RequestID), zap.Error(err))
	x.problem(http.StatusInternalServerError, "Something went wrong here. The server's log has the rest.")
}

// write answers with JSON.
func (x *exchange) write(status int, contentType string, body any) {
	x.w.Header().Set("Content-Type", contentType)
	x.w.WriteHeader(status)
	out := json.NewEncoder(x.w)
	out.SetEscapeHTML(false)
	_ = out.Encode(body) // the caller may be gone
}
