package dispatch

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestTheWindowForgetsTheOldest(t *testing.T) {
	var w window
	for i := range windowSize + 10 {
		w.add(request(i).ID, false)
		w.add(request(i).ID, false)
	}
	require.Len(t, w.ring, windowSize)
	require.False(t, w.hasID(request(9).ID))
	require.True(t, w.hasID(request(10).ID))
	require.True(t, w.hasID(request(windowSize+9).ID))
}

// TestTheWindowIsAMapThatForgets: whatever comes and comes again, it says what a map of the last windowSize ids would.
func TestTheWindowIsAMapThatForgets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var w window
	lost := map[llmproxy.EventID]bool{}
	var order []llmproxy.EventID
	for n := range 3 * windowSize {
		id := request(n).ID
		if n > 0 && random.IntN(4) == 0 {
			id = request(random.IntN(n)).ID // one that came before, forgotten or not
		}
		gone := random.IntN(2) == 0
		if _, known := lost[id]; !known {
			order = append(order, id)
		}
		lost[id] = gone
		if len(order) > windowSize {
			delete(lost, order[0])
			order = order[1:]
		}
		w.add(id, gone)

		asked := request(random.IntN(n + 1))
		was, known := lost[asked.ID]
		if w.hasID(asked.ID) != known || w.has(asked) != (known && !was) {
			t.Fatalf("after %d: knows %s: %t, holds that a real one repeats it: %t; a map says %t, lost %t", n, asked.ID, w.hasID(asked.ID), w.has(asked), known, was)
		}
	}
	for _, id := range order {
		require.True(t, w.hasID(id))
	}
	require.Len(t, w.ring, len(order))
}
