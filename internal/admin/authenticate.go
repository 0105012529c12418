package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// How long a session is good.
const (
	IdleTime   = 30 * time.Minute // without use
	LongestUse = 12 * time.Hour   // however much it is used
	// extendStep is the least time that an extension must win: a page asks many times a minute, and each extension is a write.
	extendStep = time.Minute
)

var (
	errNoSession = errors.New("no such session")
	errOver      = errors.New("the session is over")
)

// Authenticate names the operator whose session cookie a request has, for the management API. Without the cookie it is
// [llmproxy.ErrNoCredential]. What would change something and was not sent by a page of ours is [llmproxy.ErrForbidden]; where the store
// cannot tell, [llmproxy.ErrUnavailable]. Use extends the session.
func (h *Handler) Authenticate(r *http.Request) (actor string, err error) {
	session, err := h.sessionOf(r)
	if err != nil {
		return "", err
	}
	if !isSafe(r.Method) {
		if err := h.mayChange(r); err != nil {
			return "", fmt.Errorf("%w: %w", llmproxy.ErrForbidden, err)
		}
	}
	if _, err := h.extend(r.Context(), session); err != nil {
		return "", err
	}
	return actorName(session.User), nil
}

// actorName is how the audit calls an operator who has signed in.
func actorName(user string) string { return "admin:" + user }

// sessionOf returns the session of a request's cookie.
func (h *Handler) sessionOf(r *http.Request) (llmproxy.Session, error) {
	secret, err := secretOf(r)
	if err != nil {
		return llmproxy.Session{}, err
	}
	session, err := h.store.Session(r.Context(), h.operator.sessionHash(secret))
	switch {
	case errors.Is(err, llmproxy.ErrNotFound):
		return llmproxy.Session{}, errNoSession
	case err != nil:
		return llmproxy.Session{}, fmt.Errorf("read session: %w", err)
	case !h.now().Before(session.ExpiresAt):
		return llmproxy.Session{}, errOver
	}
	return session, nil
}

// extend moves the end of a session that is used.
func (h *Handler) extend(ctx context.Context, session llmproxy.Session) (llmproxy.Session, error) {
	until := h.now().Add(IdleTime)
	if end := session.CreatedAt.Add(LongestUse); until.After(end) {
		until = end
	}
	if until.Sub(session.ExpiresAt) < extendStep {
		return session, nil
	}
	session.ExpiresAt = until
	err := h.store.ExtendSession(ctx, session)
	if errors.Is(err, llmproxy.ErrNotFound) {
		return llmproxy.Session{}, errNoSession // ended a moment ago
	}
	if err != nil {
		return llmproxy.Session{}, fmt.Errorf("extend session: %w", err)
	}
	return session, nil
}
