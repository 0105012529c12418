// Package spool is the log of events on the local disk. A [Spool] appends the begin and the event of each request to segment files
// of its own process; any number of [Follower] read the segments of all processes, each behind a durable cursor of its own.
//
// What Publish has returned from is in the page cache, so a killed process loses none of it; a power cut loses at most the time
// between two syncs. A request that was begun by a process that died, and has no event, gets one with the outcome lost from the next
// process that looks.
//
// A folder holds, for each process, a lock file (<writer>.lock) held while it lives, and segments: <time>-<writer>-<number>.open
// while it may still be written and .seg once sealed by renaming; for each follower a cursor (<name>.cursor) and its lock. A record's
// checksums start from the number in the segment's name, so a record that is quoted in somebody's body is not taken for one.
package spool
