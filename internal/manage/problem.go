package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Problem is an error as clients see it (RFC 9457). It never repeats what was sent: that may have been a secret.
type Problem struct {
	Title  string         `json:"title" doc:"The status in words"`
	Status int            `json:"status"`
	Detail string         `json:"detail,omitempty" doc:"What is wrong, and what to do about it"`
	Errors []ProblemField `json:"errors,omitempty" nullable:"false" doc:"The fields that cannot be taken"`
}

// ProblemField says which field cannot be taken and why.
type ProblemField struct {
	Field   string `json:"field" doc:"Name of a member, parameter or header"`
	Message string `json:"message"`
}

const problemType = "application/problem+json"

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements [huma.ContentTypeFilter].
func (p *Problem) ContentType(string) string { return problemType }

func newProblem(status int, format string, args ...any) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// missing is the problem of what an installation does not have, with what an operator does about that, if anything.
func missing(what, remedy string) *Problem {
	return newProblem(http.StatusNotFound, "%s", strings.TrimSpace(what+" "+remedy))
}

// The framework's own errors take our form too: this is the way it offers for that. They would echo values otherwise.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		if status == http.StatusUnprocessableEntity {
			status = http.StatusBadRequest // it means input that cannot be taken; 422 is ours for a key that was used before
		}
		if message == "validation failed" {
			message = "The request cannot be taken."
		}
		p := newProblem(status, "%s", message)
		for _, err := range errs {
			p.Errors = append(p.Errors, fieldOf(err))
		}
		return p
	}
	huma.ValidateStrictCasing = true // "API_KEY" is an unknown field
}

// fieldOf names the field that an error of the framework is about.
func fieldOf(err error) ProblemField {
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		return ProblemField{Field: "body", Message: "cannot be read"}
	}
	field := detail.Location
	for _, place := range []string{"body.", "query.", "path.", "header."} {
		field = strings.TrimPrefix(field, place)
	}
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	if name, ok := strings.CutPrefix(detail.Message, before); ok {
		return ProblemField{Field: strings.TrimSuffix(name, after), Message: "is required"}
	}
	if strings.HasPrefix(detail.Message, "json: ") { // it would name our types
		return ProblemField{Field: field, Message: "does not have the form that is described"}
	}
	return ProblemField{Field: field, Message: detail.Message}
}

// problem turns an error of the service into an answer. It is the one place that does.
func (h *Handler) problem(ctx context.Context, err error) error {
	var fields FieldErrors
	var ready *Problem
	switch {
	case errors.As(err, &ready):
		return ready
	case errors.As(err, &fields):
		p := newProblem(http.StatusBadRequest, "The request cannot be taken.")
		for _, f := range fields {
			p.Errors = append(p.Errors, ProblemField(f))
		}
		return p
	case errors.Is(err, llmproxy.ErrNotFound):
		return newProblem(http.StatusNotFound, "There is no such thing, or it was deleted.")
	case errors.Is(err, llmproxy.ErrConflict):
		return newProblem(http.StatusPreconditionFailed, "It was changed by somebody else meanwhile. Read it again, then decide.")
	case errors.Is(err, llmproxy.ErrKeyReused):
		return newProblem(http.StatusUnprocessableEntity, "This Idempotency-Key was used for another request. Use a new one.")
	case errors.Is(err, llmproxy.ErrRevoked):
		return newProblem(http.StatusConflict, "The token is revoked. Mint a new one.")
	case errors.Is(err, llmproxy.ErrExpired):
		return newProblem(http.StatusConflict, "The token has expired. Extend it first, or mint a new one.")
	case errors.Is(err, llmproxy.ErrElsewhere):
		return newProblem(http.StatusConflict, "Another process has it in hand, or it is being done already. The list of destinations tells.")
	case errors.Is(err, llmproxy.ErrUnavailable):
		h.log.Error("the store does not answer", zap.String("request_id", callOf(ctx).actor.RequestID), zap.Error(err))
		return huma.ErrorWithHeaders(newProblem(http.StatusServiceUnavailable, "The store does not answer. Try again."), http.Header{"Retry-After": {"1"}})
	}
	h.log.Error("a management request failed", zap.String("request_id", callOf(ctx).actor.RequestID), zap.Error(err))
	return newProblem(http.StatusInternalServerError, "Something went wrong here. The server's log has the rest.")
}

// writeProblem answers outside of the framework.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	_ = out.Encode(p) // the caller may be gone
}
