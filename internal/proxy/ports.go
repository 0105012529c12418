package proxy

import (
	"context"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Store is what the request path asks of storage. Methods are safe for concurrent use.
type Store interface {
	// Spend counts one request against the token and returns it with its project, as both now are. Check and count are one
	// atomic step, across processes. A token that cannot be spent is [llmproxy.ErrNotFound] (unknown, or another secret),
	// [llmproxy.ErrRevoked], [llmproxy.ErrExpired], [llmproxy.ErrExhausted] or a [*llmproxy.RateLimitError] that says how long to
	// wait, and nothing is counted; on [llmproxy.ErrProjectInactive] it may have been. Whenever the token is known it is returned
	// beside the error. A store that cannot answer within 800 ms wraps [llmproxy.ErrUnavailable]; it bounds itself, so ctx need
	// not carry a deadline. Of the project only what the gate needs is filled in: ID, Provider, Active, SealedKey, KeyRef,
	// Capture, Endpoints, Epoch, DeletedAt.
	Spend(ctx context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (llmproxy.Token, llmproxy.Project, error)
}

// Keys opens provider keys. Methods are safe for concurrent use.
type Keys interface {
	// Open returns the project's provider key. Opened keys may come from memory. Errors wrap [llmproxy.ErrKeyUnavailable] and name
	// the project, never the key.
	Open(ctx context.Context, p *llmproxy.Project) (llmproxy.Secret, error)
	// Forget drops what Open remembers of the project's key, so that the next Open reads it anew.
	Forget(p *llmproxy.Project)
}

// Publisher takes the events of requests. Methods are safe for concurrent use and neither wait for a network nor for a disk to
// sync; what they cannot keep they count and report as degraded health, since a request is served whether or not its event can be
// written.
type Publisher interface {
	// Begin notes that a request was admitted.
	Begin(b *llmproxy.Begin)
	// Publish takes the event of a request that has ended. The event and its bodies are the caller's again when it returns.
	Publish(e *llmproxy.Event)
}
