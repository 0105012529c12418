package usage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

// sseOf writes events as a stream has them; one that begins with "event:" has its name in front.
func sseOf(events ...string) string {
	var b strings.Builder
	for _, e := range events {
		name, data, named := strings.Cut(e, "|")
		if named {
			fmt.Fprintf(&b, "event: %s\n", name)
		} else {
			data = e
		}
		fmt.Fprintf(&b, "data: %s\n\n", data)
	}
	return b.String()
}

func assembled(t *testing.T, kind, stream string) (string, Answer) {
	t.Helper()
	e := answered(kind, streamType, stream)
	e.Stream = true
	a, err := Assemble(e)
	require.NoError(t, err)
	return string(a.JSON), a
}

func TestAStreamIsPutTogetherAsTheCallWithoutOneAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		kind   string
		stream []string
		want   string
	}{
		"chat": {"openai-chat", []string{
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp","choices":[],"usage":null,"obfuscation":"xx"}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Grüß "},"finish_reason":null}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"<Gott>"},"finish_reason":null}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`,
			`[DONE]`,
		}, `{"id":"c1","object":"chat.completion","created":1,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp","choices":[{"index":0,"message":{"role":"assistant","content":"Grüß <Gott>","refusal":null},"logprobs":null,"finish_reason":"stop"}],
			"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`},
		"two choices with tools, out of order": {"openai-chat", []string{
			`{"id":"c","choices":[{"index":1,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","refusal":"I "}}]}`,
			`{"id":"c","choices":[{"index":1,"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]}}]}`,
			`{"id":"c","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}},{"index":0,"delta":{"refusal":"won't"},"finish_reason":"stop"}]}`,
			`{"id":"c","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]}`,
		}, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":"I won't"},"finish_reason":"stop"},
			{"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`},
		"audio and log probabilities": {"openai-chat", []string{
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","audio":{"id":"a1","transcript":"Good "}},"logprobs":{"content":[{"token":"Good"}]}}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"audio":{"data":"QUJD","transcript":"day"}},"logprobs":{"content":[{"token":" day"}]}}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"audio":{"data":"REVG","expires_at":7}},"finish_reason":"stop"}]}`,
		}, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"audio":{"id":"a1","transcript":"Good day","data":"QUJDREVG","expires_at":7}},"logprobs":{"content":[{"token":"Good"},{"token":" day"}]},"finish_reason":"stop"}]}`},
		"completions": {"openai-completions", []string{
			`{"id":"c","object":"text_completion","model":"m","choices":[{"text":"a","index":0,"logprobs":null,"finish_reason":null}]}`,
			`{"id":"c","object":"text_completion","model":"m","choices":[{"text":"b","index":0,"logprobs":null,"finish_reason":"length"}]}`,
			`[DONE]`,
		}, `{"id":"c","object":"text_completion","model":"m","choices":[{"text":"ab","index":0,"logprobs":null,"finish_reason":"length"}]}`},
		"responses": {"openai-responses", []string{
			`response.created|{"type":"response.created","response":{"id":"r","status":"in_progress","output":[],"usage":null}}`,
			`response.output_text.delta|{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hi","obfuscation":"x"}`,
			`response.completed|{"type":"response.completed","response":{"id":"r","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":1}}}`,
		}, `{"id":"r","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":1}}`},
		"messages": {"anthropic-messages", []string{
			`message_start|{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"claude","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}}`,
			`content_block_start|{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
			`ping|{"type":"ping"}`,
			`content_block_delta|{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}`,
			`content_block_delta|{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}`,
			`content_block_stop|{"type":"content_block_stop","index":0}`,
			`content_block_start|{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}`,
			`content_block_delta|{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hel"}}`,
			`content_block_delta|{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"lo"}}`,
			`content_block_delta|{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"n":1}}}`,
			`content_block_start|{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}`,
			`content_block_delta|{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}`,
			`content_block_delta|{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}`,
			`content_block_delta|{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}}`,
			`content_block_start|{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"u","name":"g","input":{}}}`,
			`message_delta|{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":9}}`,
			`message_stop|{"type":"message_stop"}`,
		}, `{"id":"m","type":"message","role":"assistant","model":"claude","stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":9},
			"content":[{"type":"thinking","thinking":"Hm","signature":"sig"},{"type":"text","text":"Hello","citations":[{"n":1}]},{"type":"tool_use","id":"t","name":"f","input":{"a":1}},{"type":"tool_use","id":"u","name":"g","input":{}}]}`},
		"transcript": {"openai-audio", []string{
			`{"type":"transcript.text.delta","delta":"He"}`, `{"type":"transcript.text.done","text":"Hello","usage":{"type":"tokens","input_tokens":3}}`,
		}, `{"text":"Hello","usage":{"type":"tokens","input_tokens":3}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, a := assembled(t, c.kind, sseOf(c.stream...))
			require.JSONEq(t, c.want, got)
			require.False(t, a.Partial)
			require.EqualValues(t, len(c.stream), a.Events)
			windows := strings.ReplaceAll(sseOf(c.stream...), "\n", "\r\n")
			got, _ = assembled(t, c.kind, ": hello\r\n\r\n"+windows)
			require.JSONEq(t, c.want, got)
		})
	}
}

func TestAStreamThatBrokeOffGivesWhatCame(t *testing.T) {
	for name, c := range map[string]struct {
		kind   string
		stream []string
		want   string
	}{
		"chat": {"openai-chat", []string{
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}`, `{"id":"c","choices":[{"ind`,
		}, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hel"},"finish_reason":null}]}`},
		"an error in mid-stream": {"openai-chat", []string{
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}`, `{"error":{"message":"overloaded"}}`,
		}, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hel"},"finish_reason":null}]}`},
		"responses": {"openai-responses", []string{
			`{"type":"response.created","response":{"id":"r","output":[],"usage":null}}`,
			`{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","summary":[]}}`,
			`{"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}`,
			`{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"Hm"}`,
			`{"type":"response.output_item.added","output_index":1,"item":{"type":"message","role":"assistant","content":[]}}`,
			`{"type":"response.content_part.added","output_index":1,"content_index":0,"part":{"type":"output_text","text":""}}`,
			`{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"a"}`,
			`{"type":"response.output_item.done","output_index":1,"item":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ab"}]}}`,
			`{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","name":"f","arguments":""}}`,
			`{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"a"}`,
			`{"type":"response.output_item.added","output_index":3,"item":{"type":"message","content":[]}}`,
			`{"type":"response.refusal.delta","output_index":3,"content_index":0,"delta":"No"}`,
		}, `{"id":"r","usage":null,"output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ab"}]},
			{"type":"function_call","name":"f","arguments":"{\"a"},{"type":"message","content":[{"type":"refusal","refusal":"No"}]}]}`},
		"messages": {"anthropic-messages", []string{
			`{"type":"message_start","message":{"id":"m","usage":{"input_tokens":5,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"f","input":{}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}`,
			`{"type":"error","error":{"type":"overloaded_error"}}`,
		}, `{"id":"m","usage":{"input_tokens":5,"output_tokens":1},"content":[{"type":"tool_use","name":"f","input":"{\"a\":"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, a := assembled(t, c.kind, sseOf(c.stream...))
			require.JSONEq(t, c.want, got)
			require.True(t, a.Partial)
		})
	}
}

func TestAGapLeavesTheTextBeforeItAndTheEndBehindIt(t *testing.T) {
	piece := func(s, finish string) string {
		return `{"id":"c","choices":[{"index":0,"delta":{"content":"` + s + `"},"finish_reason":` + finish + `}]}`
	}
	stream := sseOf(piece("a", "null"), piece("b", "null"), piece("gone", "null"), piece("late", "null"), piece("", `"stop"`), `{"id":"c","choices":[],"usage":{"prompt_tokens":3}}`, `[DONE]`)
	e := answered("openai-chat", streamType, stream)
	e.Stream = true
	gone := strings.Index(stream, "gone")
	e.Response.Body.Head, e.Response.Body.Tail = []byte(stream[:gone]), []byte(stream[gone+2:])
	a, err := Assemble(e)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"ab"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}`, string(a.JSON))
	require.True(t, a.Partial)
	require.EqualValues(t, 2, a.Events)

	whole := `{"type":"response.completed","response":{"id":"r","output":[1]}}`
	stream = sseOf(`{"type":"response.created","response":{"id":"r"}}`, `{"type":"response.output_text.delta","delta":"`+strings.Repeat("x", 100)+`"}`, whole)
	e = answered("openai-responses", streamType, stream)
	e.Stream = true
	e.Response.Body.Head, e.Response.Body.Tail = []byte(stream[:80]), []byte(stream[130:])
	a, err = Assemble(e)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"r","output":[1]}`, string(a.JSON), "the last event holds the whole answer")
	require.False(t, a.Partial)
}

func TestAnAnswerInJSONStaysAsItIs(t *testing.T) {
	e := answered("openai-chat", jsonType, ` {"b":1, "a":1.0} `)
	a, err := Assemble(e)
	require.NoError(t, err)
	require.Equal(t, Answer{JSON: []byte(`{"b":1, "a":1.0}`)}, a)

	e.Response.Encoding, e.Response.Body = "gzip", captured(compressed(t, "gzip", `{"a":1}`))
	a, err = Assemble(e)
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, string(a.JSON))

	e.Response.Body = captured(compressed(t, "gzip", `{"a":1}`)[:20])
	_, err = Assemble(e)
	require.ErrorIs(t, err, ErrCut)

	for contentType, body := range map[string]string{"text/plain": `{"a":1}`, jsonType: `[1]`, "application/problem+json": `nonsense`} {
		a, err = Assemble(answered("openai-chat", contentType, body))
		require.NoError(t, err)
		require.Nil(t, a.JSON, contentType)
	}
	e.Response.Body = nil
	a, err = Assemble(e)
	require.NoError(t, err)
	require.Zero(t, a)
}

func TestJSONThatIsCutIsClosed(t *testing.T) {
	doc := `{"a":[1,2.5e3,{"b":"x\"y\u00e9\ud83d\ude00 \\"},true,null],"messages":[{"role":"user","content":"Grüße"}], "c" : {} }`
	for i := 1; i < len(doc); i++ {
		got := closeJSON([]byte(doc[:i]))
		require.True(t, json.Valid(got), "%s\n%s", doc[:i], got)
	}
	for cut, want := range map[string]string{
		`{"a":"xy`:              `{"a":"xy"}`,
		`{"a":"xy\`:             `{"a":"xy"}`,
		`{"a":"xy\\`:            `{"a":"xy\\"}`,
		`{"a":"xy\u00`:          `{"a":"xy"}`,
		`{"a":"x` + "\xc3":      `{"a":"x"}`,
		`{"a":1,"b`:             `{"a":1}`,
		`{"a":1,"b":tr`:         `{"a":1}`,
		`[{"a":12`:              `[{}]`,
		`[1,2`:                  `[1]`,
		`{"m":[{"c":"x"},{"c":`: `{"m":[{"c":"x"},{}]}`,
		`]`:                     ``,
	} {
		require.Equal(t, want, string(closeJSON([]byte(cut))), cut)
	}
	body := captured(`{"messages":["` + strings.Repeat("x", 100))
	body.Size = 5000
	got, cut := Whole(body)
	require.True(t, cut)
	require.JSONEq(t, `{"messages":["`+strings.Repeat("x", 100)+`"]}`, string(got))
}

func FuzzAssemble(f *testing.F) {
	f.Add([]byte(sseOf(`{"id":"c","choices":[{"index":0,"delta":{"content":"a","tool_calls":[{"index":0,"function":{"arguments":"x"}}]}}]}`)), uint8(0), 10)
	f.Add([]byte(sseOf(`{"type":"response.output_text.delta","output_index":1,"content_index":2,"delta":"a"}`)), uint8(2), 100)
	f.Add([]byte(sseOf(`{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"a"}}`)), uint8(7), 100)
	f.Add([]byte(sseOf(`{"type":"response.content_part.added","output_index":1,"content_index":4000,"part":{}}`)), uint8(2), 100)
	f.Add([]byte(`{"a":[1,{"b":"c\\ud83d"},-2e5 , true],"d" : "e"}`), uint8(0), 20)
	f.Fuzz(func(t *testing.T, body []byte, kindIndex uint8, cut int) {
		e := &llmproxy.Event{UsageKind: kinds[int(kindIndex)%len(kinds)].name, Stream: true, Outcome: llmproxy.Complete}
		e.Response.Body = torn(body, cut)
		a, err := Assemble(e)
		if err != nil && strings.Contains(err.Error(), "panic") {
			t.Fatal(err)
		}
		if a.JSON != nil && !json.Valid(a.JSON) {
			t.Fatalf("not JSON: %q", a.JSON)
		}
		if doc := bytes.TrimSpace(body); isObject(string(doc)) && cut > 0 && cut < len(doc) {
			if closed := closeJSON(doc[:cut]); !json.Valid(closed) {
				t.Fatalf("%q closed: %q", doc[:cut], closed)
			}
		}
	})
}
