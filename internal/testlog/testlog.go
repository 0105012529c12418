// Package testlog keeps what a program under test says. It is for tests alone.
package testlog

import (
	"bytes"
	"sync"
)

// Buffer keeps what is written to it. It may be written and read at once, and is ready as it is.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// Sync makes it a place for zap to write to.
func (b *Buffer) Sync() error { return nil }

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
