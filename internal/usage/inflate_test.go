package usage

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

var codings = []string{"gzip", "x-gzip", "br", "zstd", "deflate", "raw deflate"}

// header is the coding as a header names it.
func header(coding string) string { return strings.TrimPrefix(coding, "raw ") }

func compressed(t testing.TB, coding, body string) string {
	t.Helper()
	var (
		b   bytes.Buffer
		w   io.WriteCloser
		err error
	)
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw deflate":
		w, err = flate.NewWriter(&b, flate.DefaultCompression)
	}
	require.NoError(t, err)
	_, err = io.WriteString(w, body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// noise is text that compresses as prose does.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 500)
	for i := range words {
		words[i] = strconv.FormatUint(r.Uint64()>>(8*r.IntN(8)), 36)
	}
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()[:n]
}

func TestUsageOfCompressedAnswers(t *testing.T) {
	usageJSON := `"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}`
	for _, coding := range codings {
		for name, c := range map[string]struct{ contentType, body string }{
			"JSON":                    {jsonType, `{"model":"m","choices":[],` + usageJSON + `}`},
			"stream":                  {streamType, "data: {\"model\":\"m\"}\n\ndata: {\"choices\":[]," + usageJSON + "}\n\ndata: [DONE]\n\n"},
			"stream of equal chunks":  {streamType, strings.Repeat("data: {\"model\":\"m\"}\n\n", 9000) + "data: {\"choices\":[]," + usageJSON + "}\n\ndata: [DONE]\n\n"},
			"JSON beyond the window":  {jsonType, `{"model":"m","choices":["` + noise(400<<10) + `"],` + usageJSON + `}`},
			"JSON just over the head": {jsonType, `{"model":"m","choices":["` + noise(plainHead) + `"],` + usageJSON + `}`},
		} {
			t.Run(coding+" "+name, func(t *testing.T) {
				e := answered("openai-chat", c.contentType, "")
				e.Response.Encoding = strings.ToUpper(header(coding))
				e.Response.Body = captured(compressed(t, coding, c.body))
				require.NoError(t, Read(e))
				require.Equal(t, `{"input":3,"output":4,"total":7,"source":"upstream"}`, shown(t, e))
				require.Equal(t, "m", e.Model)
			})
		}
	}
}

func TestACutCompressedAnswerIsUnknown(t *testing.T) {
	body := `{"model":"m","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7},"x":"` + noise(4000) + `"}`
	for _, coding := range codings {
		t.Run(coding, func(t *testing.T) {
			wire := compressed(t, coding, body)
			for _, cut := range []int{0, 1, 5, len(wire) / 2, len(wire) - 1} {
				e := answered("openai-chat", jsonType, "")
				e.Response.Encoding, e.Response.Body = header(coding), captured(wire[:cut])
				if err := Read(e); cut > 0 || coding != "zstd" { // no frame at all is a zstd stream
					require.ErrorIs(t, err, ErrCut, "cut to %d of %d bytes", cut, len(wire))
				}
				require.Nil(t, e.Usage, "cut to %d of %d bytes", cut, len(wire))
			}
			e := answered("openai-chat", jsonType, "")
			e.Response.Encoding, e.Response.Body = header(coding), captured(wire)
			e.Response.Body.Size += 1 << 20
			require.ErrorIs(t, Read(e), ErrCut, "its middle is missing")
			require.Nil(t, e.Usage)
		})
	}
}

func TestABombIsNotInflated(t *testing.T) {
	bomb := `{"a":"` + strings.Repeat("A", 64<<20) + `","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}`
	for _, coding := range codings {
		t.Run(coding, func(t *testing.T) {
			e := answered("openai-chat", jsonType, "")
			e.Response.Encoding, e.Response.Body = header(coding), captured(compressed(t, coding, bomb))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			require.ErrorIs(t, Read(e), ErrBomb)
			runtime.ReadMemStats(&after)
			require.Nil(t, e.Usage)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20<<20), "memory stays bounded")
		})
	}
}

func TestDamagedAnswersAreErrors(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
		e := answered("openai-chat", jsonType, "\xff\xfe garbage that is no such coding \x00\x01")
		e.Response.Encoding = coding
		require.Error(t, Read(e), coding)
		require.Nil(t, e.Usage)
	}
	e := answered("openai-chat", jsonType, `{"usage":{"prompt_tokens":3}}`)
	e.Response.Encoding = "gzip, br"
	require.ErrorContains(t, Read(e), `no content coding "gzip, br"`)
	e.Response.Encoding = "identity"
	require.NoError(t, Read(e))
	require.NotNil(t, e.Usage)
}

func TestInflateGivesTheBeginningOfACutBody(t *testing.T) {
	text := strings.Repeat("the key ends in 1234; ", 100) + noise(100<<10)
	for _, coding := range codings {
		wire := []byte(compressed(t, coding, text))
		require.Equal(t, text[:1000], string(Inflate(header(coding), wire, 1000)), coding)
		got := string(Inflate(header(coding), wire[:len(wire)*3/4], len(text)))
		require.True(t, strings.HasPrefix(text, got), coding)
		if coding != "zstd" { // it decodes block by block, of 128 KiB
			require.NotEmpty(t, got, coding)
		}
	}
	require.Empty(t, Inflate("zip", []byte("x"), 10), "a coding that is not known")
	require.Empty(t, Inflate("gzip", []byte("x"), 10), "damaged")
	require.Equal(t, "abc", string(Inflate("", []byte("abcdef"), 3)))
}

func TestAWindowKeepsHeadAndTailOfAnyWrites(t *testing.T) {
	text := noise(3 * maxPlain)
	for _, size := range []int{1, 1000, plainTail - 1, plainTail, plainTail + 1, maxPlain, len(text)} {
		for _, total := range []int{0, 10, plainHead, plainHead + 1, maxPlain, maxPlain + 1, len(text)} {
			var w window
			for rest := text[:total]; rest != ""; {
				n, err := w.Write([]byte(rest[:min(size, len(rest))]))
				require.NoError(t, err)
				rest = rest[n:]
			}
			require.Equal(t, captured(text[:total]).Size, w.body().Size)
			require.Equal(t, string(captured(text[:total]).Head), string(w.body().Head))
			require.Equal(t, string(captured(text[:total]).Tail), string(w.body().Tail))
		}
	}
}
