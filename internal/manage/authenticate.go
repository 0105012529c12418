package manage

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Authenticator says who sends a request, by one kind of credential. It is safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the name of the actor, as the audit has it. [ErrNoCredential] says that the request has no credential
	// of this kind, so that the next authenticator is asked; [llmproxy.ErrUnavailable] that nobody can tell; [ErrForbidden] that
	// the credential is good and this request must not be made with it. Any other error refuses the request with its text as the
	// audit's reason: it must not repeat what was sent.
	Authenticate(r *http.Request) (actor string, err error)
}

// What an authenticator says by its errors.
var (
	// ErrNoCredential: the request has no credential of this kind.
	ErrNoCredential = llmproxy.ErrNoCredential
	// ErrForbidden: the credential is good, the request is not to be made with it.
	ErrForbidden = llmproxy.ErrForbidden
)

// minManagementToken is the least length of a management token.
const minManagementToken = 32

// bearer authenticates by the management token.
type bearer struct{ digest [sha256.Size]byte }

// NewBearer returns the authenticator of the management token, as Authorization: Bearer has it. A short token is refused: whoever
// guesses it may do everything.
func NewBearer(token llmproxy.Secret) (Authenticator, error) {
	if n := len(token.Reveal()); n < minManagementToken {
		return nil, fmt.Errorf("the management token must have at least %d characters, it has %d", minManagementToken, n)
	}
	return &bearer{digest: sha256.Sum256([]byte(token.Reveal()))}, nil
}

var errWrongCredential = errors.New("wrong credential")

// Authenticate implements [Authenticator]. Digests are compared, so that neither length nor content shows in the time.
func (b *bearer) Authenticate(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", ErrNoCredential
	case 1:
	default:
		return "", errors.New("more than one credential")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errors.New("credential of another kind")
	}
	digest := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(digest[:], b.digest[:]) == 1 {
		return "token", nil
	}
	if _, ok := llmproxy.ParseTokenSecret(token); ok {
		return "", errors.New("a proxy token, which is no credential here")
	}
	return "", errWrongCredential
}

// authenticate asks one authenticator after another.
func (h *Handler) authenticate(r *http.Request) (string, error) {
	for _, a := range h.cfg.Authenticators {
		if actor, err := a.Authenticate(r); !errors.Is(err, ErrNoCredential) {
			return actor, err
		}
	}
	return "", ErrNoCredential
}
