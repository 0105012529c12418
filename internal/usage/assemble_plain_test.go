package usage

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// usualChunk is a chunk as OpenAI sends them, in the middle of a stream.
const usualChunk = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763798400,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x7"}`

// TestAPlainChunkAddsWhatAnyChunkWouldAdd puts streams together twice, once without the way for plain chunks.
func TestAPlainChunkAddsWhatAnyChunkWouldAdd(t *testing.T) {
	pool := []string{
		usualChunk, usualChunk, usualChunk, strings.Replace(usualChunk, "x7", "content", 1), strings.Replace(usualChunk, "x7", "", 1), strings.Replace(usualChunk, "x7", `","usage":{"prompt_tokens":1},"b":"`, 1),
		strings.Replace(usualChunk, "x7", `a\"b`, 1), strings.Replace(usualChunk, "x7", "a\xffb", 1), strings.Replace(usualChunk, "x7", "a\nb", 1), strings.Replace(usualChunk, `"x7"`, "7", 1), strings.Replace(usualChunk, `,"obfuscation":"x7"`, "", 1),
		strings.Replace(usualChunk, `"x7"`, `"x7","obfuscation":"x8"`, 1), strings.Replace(usualChunk, `"x7"`, `{"obfuscation":"x7"}`, 1), strings.Replace(usualChunk, " word", `a\"b`, 1), strings.Replace(usualChunk, " word", "漢", 1),
		strings.Replace(usualChunk, " word", "a\xffb", 1), strings.Replace(usualChunk, " word", "a\nb", 1), strings.Replace(usualChunk, " word", `","refusal":"no`, 1),
		`{"note":{"content":"elsewhere"},"choices":[{"index":0,"delta":{"content":"x"}}]}`, `{"note":{"content":"moved"},"choices":[{"index":0,"delta":{"content":"x"}}]}`,
		`{"choices":[{"index":0,"delta":{"content" : "spaced"}}]}`, `{"choices":[{"index":0,"delta":{"content":"plain"}}]}`, `{"choices":[{"index":0,"delta":{"content":"plain too"}}]}`, `{"choices":[{"index":0,"delta":{"content":""}}]}`,
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763798400,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`,
		`{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"a\n\"b\\ é 漢 🙂"}}]}`,
		`{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"\ud83d\ude42 \ud800"}}]}`,
		"{\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\"}}]}",
		`{"choices":[{"index":1,"delta":{"content":"second"}}]}`, `{"choices":[{"index":1,"delta":{"role":"assistant"},"finish_reason":null}]}`,
		`{"choices":[{"index":0,"delta":{"content":"one"}},{"index":1,"delta":{"content":"two"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":null}}]}`, `{"choices":[{"index":0,"delta":{}}]}`, `{"choices":[{"index":0}]}`, `{"choices":[]}`, `{"choices":null}`, `{"choices":{"index":0}}`,
		`{"choices":[{"index":0,"delta":{"content":"x","refusal":"y"}}]}`, `{"choices":[{"index":0,"delta":{"refusal":"no"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}`, `{"choices":[{"index":0,"delta":{"content":"x"},"logprobs":{"content":[{"token":"x"}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"x"},"other":1}]}`, `{"choices":[{"index":0,"delta":{"content":"x"}}],"new":{"member":1}}`,
		`{"choices":[{"index":0,"delta":{"content":"x"}}],"system_fingerprint":null}`, `{"choices":[{"index":0,"delta":{"content":"x"}}],"system_fingerprint":"fp_2"}`,
		`{"choices":[{"index":-0,"delta":{"content":"x"}}]}`, `{"choices":[{"index":"0","delta":{"content":"x"}}]}`, `{"choices":[{"index":9999,"delta":{"content":"x"}}]}`, `{"choices":[{"delta":{"content":"x"}}]}`,
		`{"choices":[{"index":0,"index":1,"delta":{"content":"x"}}]}`, `{"choices":[{"index":0,"delta":{"content":"x"},"delta":{"content":"y"}}]}`, `{"choices":[{"index":0,"delta":{"content":"x","content":"y"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"x"}}],"choices":[{"index":0,"delta":{"content":"y"}}]}`, `{"choices":[{"index":0,"delta":"x"}]}`, `{"choices":["x"]}`, `{"choices":[{"index":0,"delta":["x"]}]}`,
		`{"choices":[],"usage":{"prompt_tokens":1}}`, `{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":1}}`,
		`{"error":{"message":"no"}}`, `[{"choices":[]}]`, `{"choices":[{"index":0,"delta":{"content":"x"}`, `{"choices":[{"index":0,"delta":{"content":"x"}}]} `, `"choices"`, ``,
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		with, without := &chunks{chat: true}, &chunks{chat: true}
		var stream []string
		for range 1 + random.IntN(8) {
			chunk := pool[random.IntN(len(pool))]
			stream = append(stream, chunk)
			require.NoError(t, with.add("", []byte(chunk), false))
			require.NoError(t, without.addAny([]byte(chunk), false))
		}
		got, gotEnded := with.answer()
		want, wantEnded := without.answer()
		gotJSON, err := encode(got)
		require.NoError(t, err)
		wantJSON, err := encode(want)
		require.NoError(t, err)
		require.Equal(t, string(wantJSON), string(gotJSON), "%q", stream)
		require.Equal(t, wantEnded, gotEnded)
	}
}

func TestTheUsualChunkIsPlain(t *testing.T) {
	c := &chunks{chat: true}
	require.False(t, c.addPlain([]byte(usualChunk)), "the first says whose answer it is")
	require.NoError(t, c.add("", []byte(usualChunk), false))
	require.True(t, c.addPlain([]byte(usualChunk)))
	require.True(t, c.addLike([]byte(usualChunk)), "and now it is known what the next one looks like")
	require.True(t, c.addLike([]byte(strings.Replace(usualChunk, "x7", "of another length", 1))), "whatever hides the length of its content")
	answer, _ := c.answer()
	doc, err := encode(answer)
	require.NoError(t, err)
	require.Contains(t, string(doc), `"content":" word word word word"`)
}
