package llmproxy

import (
	"slices"
	"time"
)

// SessionHash is the SHA-256 under which a session is stored: its secret, which the browser has, cannot be read from it.
type SessionHash [32]byte

// Session is an operator who has signed in.
type Session struct {
	Hash      SessionHash
	User      string
	CreatedAt time.Time
	ExpiresAt time.Time // over from this moment on; moves on with use
}

// SignIn is an attempt to sign in, as the throttle counts it.
type SignIn struct {
	At   time.Time
	Keys [][32]byte // who tries, and from where; SHA-256, since people type passwords where their name belongs
	// At most Max attempts within Within count against a key. Those that succeed do not.
	Max    int
	Within time.Duration
}

// Counts are the earlier attempts against a key that still count, oldest first.
func (s *SignIn) Counts(earlier []time.Time) []time.Time {
	var counts []time.Time
	for _, at := range earlier {
		if s.At.Sub(at) < s.Within {
			counts = append(counts, at)
		}
	}
	slices.SortFunc(counts, time.Time.Compare)
	return counts
}

// Wait is how long this attempt has to wait, given the earlier ones that count against a key; 0 is not at all.
func (s *SignIn) Wait(counts []time.Time) time.Duration {
	if len(counts) < s.Max {
		return 0
	}
	return counts[len(counts)-s.Max].Add(s.Within).Sub(s.At)
}
