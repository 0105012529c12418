package proxy

import "time"

// Limits that a server in front of a [Handler] sets, against callers that are slow or greedy. None bounds a whole request: a stream
// takes as long as it is alive, and the handler itself gives up callers that keep silent.
const (
	ReadHeaderTimeout = 5 * time.Second
	MaxHeaderBytes    = 64 << 10
	IdleTimeout       = 2 * time.Minute
)
