package dispatch

import (
	"context"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Source is a log of events with a durable cursor that belongs to one destination. It is used by one goroutine.
type Source interface {
	// Read returns the events after those it returned before, at most max, in order. It waits until there is at least one or ctx
	// ends, and then returns ctx's error. The events are the caller's.
	Read(ctx context.Context, max int) ([]*llmproxy.Event, error)
	// Commit moves the durable cursor behind all events that Read has returned and stores note with it, in one step. What was not
	// committed is read again by the next process.
	Commit(note []byte) error
	// Keep stores note and leaves the cursor where it is: what was read since is read again, and note says what is done of it.
	Keep(note []byte) error
	// Note returns what the last Commit or Keep stored, by this process or one before; nil if there was none.
	Note() []byte
}

// Previewer is a source that shows each event before Read returns it, while its bodies lie in memory that is used again: they may be
// read then, and taken out of the event, which saves copying them.
type Previewer interface {
	// Preview says who is shown the events. It comes before the first Read.
	Preview(see func(*llmproxy.Event))
}
