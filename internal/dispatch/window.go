package dispatch

import (
	"hash/maphash"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// windowSize is how many ids a window remembers. They take 1.6 MB, where a map of them takes 4: of each destination, and as much again as
// garbage may gather beside it.
const windowSize = 1 << 16

// window remembers the last events that were done with. The zero value remembers none.
type window struct {
	ring  []remembered // in the order of their coming; once it is full, the oldest is at next
	next  int
	table []int32 // where in ring an id is, plus one; 0 is a gap. Its length is a power of two, and half of it are gaps at least
}

// remembered is an event that was done with.
type remembered struct {
	id   llmproxy.EventID
	lost bool // all that is known of the id is that its request was lost
}

// has reports whether the event repeats one that the window remembers. A real event does not repeat a lost one: it says more.
func (w *window) has(e *llmproxy.Event) bool {
	known := w.find(e.ID)
	return known != nil && (!known.lost || e.Outcome == llmproxy.Lost)
}

// hasID reports whether the window remembers an event of that id.
func (w *window) hasID(id llmproxy.EventID) bool { return w.find(id) != nil }

// add remembers the event and forgets the oldest if there are too many.
func (w *window) add(id llmproxy.EventID, lost bool) {
	if known := w.find(id); known != nil {
		known.lost = lost
		return
	}
	at := len(w.ring)
	if at < windowSize {
		if 2*at >= len(w.table) {
			w.grow()
		}
		w.ring = append(w.ring, remembered{id, lost})
	} else {
		at = w.next
		w.next = (w.next + 1) % windowSize
		w.forget(w.ring[at].id)
		w.ring[at] = remembered{id, lost}
	}
	w.table[w.slot(id)] = int32(at) + 1
}

// find returns what is remembered of an id, nil if nothing is.
func (w *window) find(id llmproxy.EventID) *remembered {
	if len(w.table) == 0 {
		return nil
	}
	at := w.table[w.slot(id)]
	if at == 0 {
		return nil
	}
	return &w.ring[at-1]
}

// windowSeed makes where ids begin in a table nobody's choice.
var windowSeed = maphash.MakeSeed()

// home is where the search for an id begins.
func (w *window) home(id llmproxy.EventID) int {
	return int(maphash.Bytes(windowSeed, id.UUID[:])) & (len(w.table) - 1)
}

// slot is where the table has the id, or would have it.
func (w *window) slot(id llmproxy.EventID) int {
	i := w.home(id)
	for w.table[i] != 0 && w.ring[w.table[i]-1].id != id {
		i = (i + 1) & (len(w.table) - 1)
	}
	return i
}

// forget takes an id out of the table. Those behind it that could stand nearer to their home move up, so that no search ends too early.
func (w *window) forget(id llmproxy.EventID) {
	mask := len(w.table) - 1
	gap := w.slot(id)
	w.table[gap] = 0
	for i := (gap + 1) & mask; w.table[i] != 0; i = (i + 1) & mask {
		home := w.home(w.ring[w.table[i]-1].id)
		if (i-home)&mask >= (i-gap)&mask {
			w.table[gap], w.table[i] = w.table[i], 0
			gap = i
		}
	}
}

// grow doubles the table.
func (w *window) grow() {
	w.table = make([]int32, max(16, 2*len(w.table)))
	for i := range w.ring {
		w.table[w.slot(w.ring[i].id)] = int32(i) + 1
	}
}
