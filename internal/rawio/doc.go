// Package rawio reads and writes TCP connections by system calls of which the scheduler is not told.
//
// Go prepares for each system call to block: where all processors were idle it wakes the thread that would take the processor away
// (sysmon), which looks round every 20 µs from then on. Reading and writing a socket of Go never blocks, and an event of a stream is
// three such calls and little else, so most of what it cost was this thread.
package rawio
