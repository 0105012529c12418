package proxy

import (
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// authorize finds the request's one credential, checks its shape, and spends the token. Whoever is refused before the spend has cost
// the store nothing.
func (x *exchange) authorize() *refusal {
	secret, refused := x.credential()
	if refused != nil {
		return refused
	}
	id, ok := llmproxy.ParseTokenSecret(secret)
	if !ok {
		return refuseTokenInvalid
	}
	slot, refused := x.h.admission.enter(id, x.r.RemoteAddr, x.start)
	if refused != nil {
		return refused
	}
	x.slot = slot

	now := x.now()
	before := time.Now()
	token, project, err := x.h.cfg.Store.Spend(x.r.Context(), id, llmproxy.HashTokenSecret(secret), now)
	x.event.Timing.Auth = max(time.Since(before), 1)
	if !token.ID.IsZero() {
		x.event.TokenID, x.event.ProjectID = token.ID, token.ProjectID
	}
	x.token, x.project = token, project
	if err == nil {
		x.h.admission.admitted(slot)
		return nil
	}
	return x.spendRefusal(err)
}

// spendRefusal is our answer to an error of Spend.
func (x *exchange) spendRefusal(err error) *refusal {
	var rate *llmproxy.RateLimitError
	switch {
	case errors.Is(err, llmproxy.ErrNotFound):
		x.h.admission.unknown(x.r.RemoteAddr, x.start)
		return refuseTokenInvalid
	case errors.Is(err, llmproxy.ErrRevoked):
		return refuseTokenRevoked
	case errors.Is(err, llmproxy.ErrExpired):
		return refuseTokenExpired
	case errors.Is(err, llmproxy.ErrExhausted):
		return refuseTokenExhausted
	case errors.As(err, &rate):
		return refuseRateLimit.after(rate.RetryAfter)
	case errors.Is(err, llmproxy.ErrProjectInactive):
		return refuseProjectInactive
	}
	x.h.cfg.Log.Error("the store did not answer a spend", zap.Stringer("request_id", x.event.ID), zap.Error(err))
	return refuseStoreUnavailable
}

// credential returns the one credential of the request: from "Authorization: Bearer" or from the provider's own header.
func (x *exchange) credential() (string, *refusal) {
	bearer := x.r.Header["Authorization"]
	var own []string
	if name := x.match.Provider.Auth.Header; name != "Authorization" {
		own = x.r.Header[name]
	}
	switch {
	case len(bearer)+len(own) == 0:
		return "", refuseTokenMissing
	case len(bearer)+len(own) > 1:
		return "", refuseTokenInvalid
	case len(own) == 1:
		return own[0], nil
	}
	const scheme = "Bearer "
	if len(bearer[0]) < len(scheme) || !strings.EqualFold(bearer[0][:len(scheme)], scheme) { // RFC 9110, section 11.1: in any case
		return "", refuseTokenInvalid
	}
	return bearer[0][len(scheme):], nil
}

// projectAllows checks what the token's project may call.
func (x *exchange) projectAllows() *refusal {
	if x.project.Provider != x.match.Provider.Name {
		return refuseProvider
	}
	if !x.project.Enabled(x.match.Endpoint.Group) {
		return refuseGroup
	}
	return nil
}

// openKey opens the project's provider key.
func (x *exchange) openKey() *refusal {
	key, err := x.h.cfg.Keys.Open(x.r.Context(), &x.project)
	if err != nil {
		x.h.cfg.Log.Error("the provider key cannot be opened", zap.Stringer("project_id", x.project.ID), zap.Stringer("request_id", x.event.ID), zap.Error(err))
		return refuseKeyUnavailable
	}
	if !httpguts.ValidHeaderFieldValue(key.Reveal()) {
		x.h.cfg.Log.Error("the provider key has characters that no header can carry", zap.Stringer("project_id", x.project.ID), zap.Stringer("request_id", x.event.ID))
		return refuseKeyUnavailable
	}
	x.key = key
	return nil
}
