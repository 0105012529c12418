package h1

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process that was frozen wakes with connections that are long past their time, and the timer that would have closed them has not
// fired yet. The other side may have forgotten them without a word.
func TestAConnectionThatOutlivedItsTimeWhileFrozenIsNotUsed(t *testing.T) {
	o := serveRaw(t, answering(ok))
	c := clientOf(t, o.Addr().String(), nil)
	for want := range int64(4) {
		status, _, err := get(c, &Request{Method: "POST", Target: "/v1/x", Body: []byte("{}")})
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, want+1, o.conns.Load(), "a fresh connection each time")
		c.mu.Lock()
		for _, kept := range c.idle {
			kept.since = kept.since.Add(-time.Minute) // it slept that long
		}
		c.mu.Unlock()
		require.Nil(t, c.takeKept())
	}
	c.closeExpired()
	require.Empty(t, c.idle)
}
