package admin

import (
	"context"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Store is what sign-in asks of storage. What it confirms holds for the next request in every process. Methods are safe for concurrent
// use; a store that cannot answer wraps [llmproxy.ErrUnavailable], a session that is not there is [llmproxy.ErrNotFound].
type Store interface {
	// CreateSession stores a new session and the audit entry that tells of it, both or neither.
	CreateSession(ctx context.Context, s llmproxy.Session, entry llmproxy.AuditEntry) error
	// Session returns a session. One that is over may be returned or not be found.
	Session(ctx context.Context, hash llmproxy.SessionHash) (llmproxy.Session, error)
	// ExtendSession stores the new ExpiresAt of a session that was read. One that has been ended since is not found and stays ended.
	ExtendSession(ctx context.Context, s llmproxy.Session) error
	// EndSession removes a session and stores the audit entry, both or neither. Of several at once one does, the others do not find it.
	EndSession(ctx context.Context, hash llmproxy.SessionHash, entry llmproxy.AuditEntry) error

	// CountSignIn counts an attempt against each of its keys. Where the limit of any key is reached it counts nothing and says how
	// long to wait. Check and count are one atomic step, across processes.
	CountSignIn(ctx context.Context, attempt llmproxy.SignIn) (wait time.Duration, err error)
	// ForgiveSignIn takes back what was counted for an attempt.
	ForgiveSignIn(ctx context.Context, attempt llmproxy.SignIn) error
}

// Refusals is told of attempts that are refused. It bounds by itself how many are stored.
type Refusals interface {
	Add(ctx context.Context, actor llmproxy.Actor, action, reason string)
}
