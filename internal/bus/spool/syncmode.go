package spool

import (
	"fmt"
	"time"
)

// SyncMode says when appended records are made to survive a power cut: a positive one is the time in the background between two
// syncs, the zero value is DefaultSync.
type SyncMode time.Duration

const (
	DefaultSync = SyncMode(100 * time.Millisecond)
	SyncAlways  = SyncMode(-1) // before Publish returns; it then waits for the disk
	SyncNever   = SyncMode(-2) // whenever the operating system likes
)

// ParseSyncMode reads always, never, or the time between two syncs as [time.ParseDuration] has it, such as 100ms.
func ParseSyncMode(s string) (SyncMode, error) {
	switch s {
	case "always":
		return SyncAlways, nil
	case "never":
		return SyncNever, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is neither always, never nor a positive duration such as 100ms", s)
	}
	return SyncMode(d), nil
}

// String is what ParseSyncMode reads.
func (m SyncMode) String() string {
	switch {
	case m == SyncAlways:
		return "always"
	case m == SyncNever:
		return "never"
	case m == 0:
		return DefaultSync.String()
	}
	return time.Duration(m).String()
}

// UnmarshalText implements [encoding.TextUnmarshaler] with ParseSyncMode.
func (m *SyncMode) UnmarshalText(text []byte) error {
	parsed, err := ParseSyncMode(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}
