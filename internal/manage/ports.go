package manage

import (
	"context"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Store is what management asks of storage. Each change is one transaction with its audit entry: what cannot be audited does not
// happen. A confirmed change survives a power cut and holds for the next spend in every process. Methods are safe for concurrent
// use; a store that cannot answer wraps [llmproxy.ErrUnavailable], a thing that is not there [llmproxy.ErrNotFound].
type Store interface {
	// CreateProject stores a new project.
	CreateProject(ctx context.Context, p llmproxy.Project, entry llmproxy.AuditEntry) error
	// CreateProjectOnce stores a new project and remembers it under once.Key, in one step. Where the key is remembered at
	// p.CreatedAt already, nothing is stored and the id of the earlier project is returned, or [llmproxy.ErrKeyReused] if the
	// fingerprint is another one. Of several at once one is stored.
	CreateProjectOnce(ctx context.Context, p llmproxy.Project, entry llmproxy.AuditEntry, once llmproxy.Once) (llmproxy.ProjectID, error)
	// Project returns a project; a deleted one is not found.
	Project(ctx context.Context, id llmproxy.ProjectID) (llmproxy.Project, error)
	// Projects lists projects, newest first. More says that there are further ones after the last.
	Projects(ctx context.Context, f llmproxy.ProjectFilter, page llmproxy.Page) (projects []llmproxy.Project, more bool, err error)
	// UpdateProject stores what change makes of the project, with Revision raised by one. An error of change is returned as it
	// is and nothing happens. Change may be called again where another change came between. Setting DeletedAt deletes: the
	// project is not found from then on and its tokens are refused as revoked.
	UpdateProject(ctx context.Context, id llmproxy.ProjectID, change func(p *llmproxy.Project) (llmproxy.AuditEntry, error)) (llmproxy.Project, error)
	// RevokeProjectTokens refuses all tokens minted so far, by raising the project's epoch, and returns how many were active.
	RevokeProjectTokens(ctx context.Context, id llmproxy.ProjectID, now time.Time, entry llmproxy.AuditEntry) (revoked int64, err error)

	// CreateToken stores a new token under the project's current epoch; a project that is not there is [llmproxy.ErrNotFound].
	CreateToken(ctx context.Context, g llmproxy.Gate, entry llmproxy.AuditEntry) error
	// Token returns a token as it now is: one refused by its project's epoch or deletion is not Active and has RevokedAt.
	Token(ctx context.Context, id llmproxy.TokenID) (llmproxy.Token, error)
	// Tokens lists tokens as they now are, newest first. More says that there are further ones after the last.
	Tokens(ctx context.Context, f llmproxy.TokenFilter, page llmproxy.Page) (tokens []llmproxy.Token, more bool, err error)
	// UpdateTokens stores what change makes of each token (at most 90), all or none, with Revision raised by one. Counters,
	// window and last use belong to spends: what change does to them is ignored. For the rest as UpdateProject.
	UpdateTokens(ctx context.Context, ids []llmproxy.TokenID, change func(g *llmproxy.Gate) (llmproxy.AuditEntry, error)) ([]llmproxy.Token, error)

	// AppendAudit stores an entry that belongs to no change: a refused attempt.
	AppendAudit(ctx context.Context, entry llmproxy.AuditEntry) error
	// Audit lists entries, newest first. More says that there are further ones after the last.
	Audit(ctx context.Context, f llmproxy.AuditFilter, page llmproxy.Page) (entries []llmproxy.AuditEntry, more bool, err error)
}

// Ledger is what management asks of the ledger of requests. Errors are as those of [Store].
type Ledger interface {
	// Request returns a request's event without bodies, while it is kept.
	Request(ctx context.Context, id llmproxy.EventID) (llmproxy.Event, error)
	// Requests lists requests as events without bodies, newest first. More says that there are further ones after the last.
	Requests(ctx context.Context, f llmproxy.RequestFilter, page llmproxy.Page) (events []llmproxy.Event, more bool, err error)
	// Usage adds up, in the order of start, project, token and model. A group without requests has no row.
	Usage(ctx context.Context, f llmproxy.UsageFilter) ([]llmproxy.UsageRow, error)
	// Largest returns the groups that have most of a size over the whole time, whatever the bucket, from the largest on; of those that
	// have as much the first in order. The filter groups by something.
	Largest(ctx context.Context, f llmproxy.UsageFilter, by llmproxy.Size, most int) ([]llmproxy.UsageGroup, error)
}

// Destinations is what management asks of where events go. Methods are safe for concurrent use; what does not answer wraps
// [llmproxy.ErrUnavailable].
//
// Locally it is the server, which knows its own loops and sees the cursors and dead letters of other processes over one spool. On AWS
// it is what SQS says of the queue and the dead-letter queue of each dispatcher (ApproximateNumberOfMessages and ...NotVisible are
// the backlog, those of the dead-letter queue the dead letters; the age of the oldest message is a metric of CloudWatch): a test
// event goes into the dispatcher's queue in the envelope that the bus's rule would have put there, with the result
// [llmproxy.TestQueued], and a redrive is StartMessageMoveTask. Counters that nobody keeps there stay nil.
type Destinations interface {
	// Destinations returns all of them, by name.
	Destinations(ctx context.Context) ([]llmproxy.Destination, error)
	// TestDestination sends a test event ([llmproxy.NewTestEvent]) the way of all others and returns what became of it, or
	// [llmproxy.ErrNotFound], or [llmproxy.ErrElsewhere] where that cannot be done from here. A destination that does not take the
	// event is no error.
	TestDestination(ctx context.Context, name string) (llmproxy.DestinationTest, error)
	// RedriveDestination begins to send the destination its dead letters again and returns how many there are, or
	// [llmproxy.ErrNotFound], or [llmproxy.ErrElsewhere] where that cannot be done from here or is being done. It does not wait for
	// the end: those that are refused again are dead letters again.
	RedriveDestination(ctx context.Context, name string) (deadLetters int64, err error)
}
