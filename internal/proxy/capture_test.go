package proxy

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// pass reads a body through a capture as sendBody does, and returns the bytes that would have gone out.
func pass(t *testing.T, c *capture, length int64, body []byte, chunk int) []byte {
	t.Helper()
	c.start(length, true)
	var out bytes.Buffer
	for len(body) > 0 {
		space := c.space()
		require.NotEmpty(t, space)
		n := copy(space, body[:min(chunk, len(body))])
		c.advance(space, n)
		out.Write(space[:n])
		body = body[n:]
	}
	return out.Bytes()
}

func TestCaptureKeepsHeadAndTail(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 65536, responseHead - 1, responseHead, responseHead + 1, responseHead + responseTail, responseHead + responseTail + 1, 3 << 20} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rand.Uint32())
		}
		for _, chunk := range []int{777, 16 << 10, 1 << 20} {
			for _, length := range []int64{-1, int64(size)} {
				var c capture
				require.Equal(t, sha256.Sum256(body), sha256.Sum256(pass(t, &c, length, body, chunk)), "what goes on is what came")
				var m llmproxy.Message
				var kept llmproxy.Body
				c.keep(&m, &kept)
				require.Equal(t, int64(size), m.Bytes)
				if size == 0 {
					require.Nil(t, m.Body)
					continue
				}
				require.Equal(t, body[:min(size, responseHead)], kept.Head)
				if size > responseHead {
					require.Equal(t, body[max(responseHead, size-responseTail):], kept.Tail)
				} else {
					require.Empty(t, kept.Tail)
				}
				require.Equal(t, size > responseHead+responseTail, kept.Truncated())
				c.release()
			}
		}
	}
}

func TestCaptureOfAQuietStreamIsSmall(t *testing.T) {
	var c capture
	pass(t, &c, -1, []byte(strings.Repeat("data: {}\n\n", 100)), 10)
	require.Len(t, c.head.b, bufferSizes[0])
	require.Nil(t, c.tail)
}

func TestEventsAreCountedHoweverTheyAreCut(t *testing.T) {
	cases := map[string]int64{
		"":                                            0,
		"data: a\n\n":                                 1,
		"data: a\n\ndata: b\n\n":                      2,
		"data: a\r\n\r\ndata: b\r\n\r\n":              2,
		"data: a\r\rdata: b\r\r":                      2,
		"event: x\ndata: a\ndata: b\n\n":              1,
		": ping\n\n: ping\n\n":                        0,
		": ping\ndata: a\n\n":                         1,
		"data: a\n: comment\n\n":                      1,
		"\n\n\n\ndata: a\n\n\n\n":                     1,
		"data: a\n\ndata: unfinished":                 1,
		"data: a\n\ndata: unfinished\n":               1,
		"data: a\r\n\rdata: b\n\r\n":                  2,
		"data: " + strings.Repeat("x", 5000) + "\n\n": 1,
	}
	for stream, want := range cases {
		for _, chunk := range []int{1, 2, 3, 7, 1 << 20} {
			var c eventCounter
			for rest := []byte(stream); len(rest) > 0; {
				n := min(chunk, len(rest))
				c.write(rest[:n])
				rest = rest[n:]
			}
			require.Equal(t, want, c.n, "%q in pieces of %d", stream, chunk)
		}
	}
}

func FuzzEventCounter(f *testing.F) {
	f.Add([]byte("data: a\r\n\r\n: x\n\ndata: b\n\n"), uint8(3))
	f.Add([]byte("\r\n\r\r\n\n:"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, chunk uint8) {
		var whole, pieces eventCounter
		whole.write(stream)
		r := iotest.OneByteReader(bytes.NewReader(stream))
		buf := make([]byte, int(chunk)+1)
		for {
			n, err := r.Read(buf)
			pieces.write(buf[:n])
			if err != nil {
				break
			}
		}
		if whole.n != pieces.n {
			t.Fatalf("%d events at once, %d in pieces, of %q", whole.n, pieces.n, stream)
		}
	})
}
