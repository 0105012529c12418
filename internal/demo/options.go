package demo

import (
	"fmt"
	"time"
)

// Misbehave asks for the same as [Header] does, for every request; what a request's own header says counts on top.
func Misbehave(header string) Option {
	return func(p *provider) {
		b, err := p.usual.with(header)
		if err != nil {
			p.err = err
			return
		}
		p.usual = b
	}
}

// CutAfter closes the connection after n chunks. A plain body counts as ten.
func CutAfter(n int) Option { return Misbehave(fmt.Sprintf("cut-after=%d", n)) }

// ResetAfter resets the connection (RST) after n chunks.
func ResetAfter(n int) Option { return Misbehave(fmt.Sprintf("reset-after=%d", n)) }

// HangAfter sends nothing more after n chunks, until the caller leaves.
func HangAfter(n int) Option { return Misbehave(fmt.Sprintf("hang-after=%d", n)) }

// Hang never answers.
func Hang() Option { return Misbehave("hang") }

// Events lets each text come in n pieces, which are the chunks of a stream.
func Events(n int) Option { return Misbehave(fmt.Sprintf("events=%d", n)) }

// Status answers with this status.
func Status(code int) Option { return Misbehave(fmt.Sprintf("status=%d", code)) }

// ChunkDelay waits before each chunk but the first.
func ChunkDelay(d time.Duration) Option { return Misbehave("chunk-delay=" + d.String()) }

// Hold lets each chunk of a stream but the first wait for a value of next, so that a test can know that its client has one chunk
// before the following one is sent. Once next is closed, nothing waits.
func Hold(next <-chan struct{}) Option { return func(p *provider) { p.hold = next } }
