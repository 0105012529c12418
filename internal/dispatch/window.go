package dispatch

import "github.com/sofatutor/llm-proxy/internal/llmproxy"

// windowSize is how many ids a window remembers; they take about 4 MB.
const windowSize = 1 << 16

// window remembers the last events that were done with.
type window struct {
	ids  []llmproxy.EventID // a ring once it is full
	next int
	lost map[llmproxy.EventID]bool // whether what is known of the id is only that its request was lost
}

// has reports whether the event repeats one that the window remembers. A real event does not repeat a lost one: it says more.
func (w *window) has(e *llmproxy.Event) bool {
	lost, known := w.lost[e.ID]
	return known && (!lost || e.Outcome == llmproxy.Lost)
}

// hasID reports whether the window remembers an event of that id.
func (w *window) hasID(id llmproxy.EventID) bool {
	_, known := w.lost[id]
	return known
}

// add remembers the event and forgets the oldest if there are too many.
func (w *window) add(id llmproxy.EventID, lost bool) {
	if w.lost == nil {
		w.lost = make(map[llmproxy.EventID]bool)
	}
	if _, known := w.lost[id]; known {
		w.lost[id] = lost
		return
	}
	w.lost[id] = lost
	if len(w.ids) < windowSize {
		w.ids = append(w.ids, id)
		return
	}
	delete(w.lost, w.ids[w.next])
	w.ids[w.next] = id
	w.next = (w.next + 1) % windowSize
}
