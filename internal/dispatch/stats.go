package dispatch

import (
	"sync"
	"time"
)

// Stats is what a loop has done since it began, and how it is.
type Stats struct {
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
