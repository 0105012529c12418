// Package faulttest proves the server's promises from outside: the built program, several processes over one data folder, a provider
// that keeps its own list of what it was asked, and faults in between: kills, full disks, files that others move, callers that dawdle.
package faulttest
