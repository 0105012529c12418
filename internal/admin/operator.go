package admin

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// operator is who may sign in, as digests: so neither length nor content shows in the time that a comparison takes.
type operator struct {
	name           string
	user, password [sha256.Size]byte
}

func newOperator(user string, password llmproxy.Secret) operator {
	return operator{name: user, user: sha256.Sum256([]byte(user)), password: sha256.Sum256([]byte(password.Reveal()))}
}

// is reports whether both are right. Both are compared in any case.
func (o *operator) is(c credentials) bool {
	user, password := sha256.Sum256([]byte(c.user)), sha256.Sum256([]byte(c.password.Reveal()))
	return subtle.ConstantTimeCompare(user[:], o.user[:])&subtle.ConstantTimeCompare(password[:], o.password[:]) == 1
}

// sessionHash is what the store has of a session's secret. User and password are part of it: with another password all sessions are over.
func (o *operator) sessionHash(secret []byte) llmproxy.SessionHash {
	hash := sha256.New()
	hash.Write(secret)
	hash.Write(o.user[:])
	hash.Write(o.password[:])
	return llmproxy.SessionHash(hash.Sum(nil))
}
