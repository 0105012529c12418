package usage

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"
)

// TestEventsAreThoseOfTheLibrary puts streams together from what a stream may have, cuts them in two, and holds what is read of them against what the
// library alone reads.
func TestEventsAreThoseOfTheLibrary(t *testing.T) {
	pieces := []string{
		"data: {\"a\":1}\n\n", "data: {\"a\":1}\n\n", "data: [DONE]\n\n", "data: x\n", "data: x\r\n\r\n", "data: x\r\r", "data: a\rb\n\n", "data:x\n\n", "data:  two spaces\n\n", "data: \n\n", "data\n\n",
		"data: one\ndata: two\n\n", "event: named\ndata: x\n\n", "event: named\n\n", "event: \ndata: x\n\n", "event: a\nevent: b\ndata: x\n\n", "event: a\r\ndata: x\n\n", "event:  a\ndata: x\n\n", "id: 7\ndata: x\n\n", "id: \x00\n", "retry: 10\n", ": comment\n", ": comment\n\n", "\n", "\n\n\n", "\r\n", "\ufeff", "dat", "data: ", "data: \xff\x00\n\n", "other: x\n\n",
		"data: " + strings.Repeat("long ", 2000) + "\n\n",
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 30_000 {
		var stream strings.Builder
		for range random.IntN(7) {
			stream.WriteString(pieces[random.IntN(len(pieces))])
		}
		whole := stream.String()
		cut := len(whole)
		if random.IntN(2) == 0 && cut > 0 {
			cut = random.IntN(cut)
		}
		var want, got []string
		for e, err := range sse.Read(io.MultiReader(strings.NewReader(whole), strings.NewReader("\n\n")), &sse.ReadConfig{MaxEventSize: 1 << 20}) {
			require.NoError(t, err)
			if e.Data != "" {
				want = append(want, e.Type+"|"+e.Data)
			}
		}
		for e, err := range events([]byte(whole[:cut]), []byte(whole[cut:])) {
			require.NoError(t, err)
			got = append(got, e.name+"|"+string(e.data))
		}
		require.Equal(t, want, got, "%q cut at %d", whole, cut)
	}
}

func TestReadingEventsCanEndEarly(t *testing.T) {
	for _, stream := range []string{"data: a\n\ndata: b\n\n", "data:a\n\ndata:b\n\n"} {
		n := 0
		for range events([]byte(stream), nil) {
			n++
			break
		}
		require.Equal(t, 1, n)
	}
}
