package dispatch

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Stats is what a loop has done since it began, and how it is.
type Stats struct {
	Since time.Time // when it began; zero if it has not

	Delivered  uint64 // events the destination took
	Retried    uint64 // tries of an event that are to be repeated
	Dead       uint64 // events written to the dead letters
	Duplicates uint64 // events that came again and were left out
	Unmetered  uint64 // events whose usage may be there and could not be read

	Pending      int       // events in hand, read and not done
	Oldest       time.Time // when the oldest of them was made; zero if none is in hand
	LastDelivery time.Time // when the destination last took an event
	Failing      bool      // the last try of anything failed
	LastError    string    // the last failure, also after it is over
	LastErrorAt  time.Time
}

// recorder keeps a loop's stats.
type recorder struct {
	mu sync.Mutex
	s  Stats
}

func (r *recorder) update(change func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.s)
}

func (r *recorder) stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s
}

// Report is what a loop tells of itself in the note beside its source's cursor, so that others can see how it was at its last commit.
type Report struct {
	Kind         string    `json:"kind,omitempty"` // of the destination
	Since        time.Time `json:"since,omitzero"` // when the counters began
	Delivered    uint64    `json:"delivered"`
	Retried      uint64    `json:"retried"`
	Dead         uint64    `json:"dead"`
	LastDelivery time.Time `json:"last_delivery,omitzero"`
}

func (l *Loop) report() Report {
	s := l.Stats()
	return Report{l.cfg.Kind, s.Since, s.Delivered, s.Retried, s.Dead, s.LastDelivery}
}

// ReadReport returns what a loop has told in a note; known is false if the note does not say.
func ReadReport(note []byte) (report Report, known bool, err error) {
	if note == nil {
		return Report{}, false, nil
	}
	var n loopNote
	if err := json.Unmarshal(note, &n); err != nil {
		return Report{}, false, fmt.Errorf("the note beside a cursor: %w", err)
	}
	return n.Loop, !n.Loop.Since.IsZero(), nil
}
