package spool

import "time"

// Gather sets how long events gather, so that a test of many reads need not wait for each.
func (f *Follower) Gather(d time.Duration) { f.gather = d }
