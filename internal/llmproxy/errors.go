package llmproxy

import (
	"errors"
	"fmt"
	"time"
)

// Why something was refused or could not be done. Others wrap these; callers ask with [errors.Is].
var (
	// ErrNotFound: there is no such token, project or other thing. A wrong secret for a known token is not found too.
	ErrNotFound = errors.New("not found")
	// ErrRevoked: the token was revoked, by itself or with all of its project, or the project was deleted.
	ErrRevoked = errors.New("token revoked")
	// ErrExpired: the token's time is over.
	ErrExpired = errors.New("token expired")
	// ErrExhausted: the token's lifetime cap is reached.
	ErrExhausted = errors.New("token exhausted")
	// ErrProjectInactive: the token's project is deactivated.
	ErrProjectInactive = errors.New("project inactive")
	// ErrUnavailable: the store did not answer, or not in time.
	ErrUnavailable = errors.New("store unavailable")
	// ErrConflict: the revision asked for is not the current one.
	ErrConflict = errors.New("changed by somebody else meanwhile")
	// ErrElsewhere: another process holds what this would need, or is doing it already.
	ErrElsewhere = errors.New("another process has it in hand")
	// ErrNoCredential: the request has no credential of the kind that is asked for.
	ErrNoCredential = errors.New("no credential")
	// ErrForbidden: the credential is good, the request is not to be made with it.
	ErrForbidden = errors.New("not to be done with this credential")
	// ErrTooMany: there are more than can be put in the order that was asked for.
	ErrTooMany = errors.New("too many for this order")
	// ErrKeyReused: the idempotency key belongs to another request.
	ErrKeyReused = errors.New("idempotency key used for another request")
	// ErrKeyUnavailable: the provider key cannot be opened: the sealing secret is missing or another one, or the ciphertext is
	// damaged or belongs to another project.
	ErrKeyUnavailable = errors.New("provider key unavailable")
)

// RateLimitError says that a token's hourly window is full.
type RateLimitError struct {
	RetryAfter time.Duration // until the next window begins; over 0
}

// Error implements error.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("hourly limit reached, next window in %s", e.RetryAfter.Round(time.Second))
}
