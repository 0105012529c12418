package usage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

// captured is what capture keeps of an answer.
func captured(wire string) *llmproxy.Body {
	b := &llmproxy.Body{Size: int64(len(wire))}
	b.Head = []byte(wire[:min(len(wire), plainHead)])
	rest := wire[len(b.Head):]
	b.Tail = []byte(rest[max(0, len(rest)-plainTail):])
	return b
}

// answered is the event of a POST that was answered with this body.
func answered(kind, contentType, body string) *llmproxy.Event {
	return &llmproxy.Event{
		Method: http.MethodPost, Status: 200, Outcome: llmproxy.Complete, UsageKind: kind, Stream: contentType == "text/event-stream",
		Response: llmproxy.Message{ContentType: contentType, Body: captured(body)},
	}
}

// shown is what an event says of usage, for comparison.
func shown(t *testing.T, e *llmproxy.Event) string {
	t.Helper()
	if e.Usage == nil {
		return ""
	}
	out, err := json.Marshal(e.Usage)
	require.NoError(t, err)
	return string(out)
}

const (
	jsonType   = "application/json"
	streamType = "text/event-stream"
)

func TestUsageAndModelOfEachKind(t *testing.T) {
	for _, c := range []struct {
		name, kind, contentType, body string
		usage, model                  string
		created                       int64
	}{
		{
			"chat", "openai-chat", jsonType,
			`{"id":"c1","object":"chat.completion","created":1741569952,"model":"gpt-4.1-2025-04-14","choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"}}],` +
				`"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":4}},"service_tier":"default"}`,
			`{"input":19,"output":10,"total":29,"cached":5,"cache_write":0,"reasoning":4,"source":"upstream"}`, "gpt-4.1-2025-04-14", 1741569952,
		},
		{
			"chat with null details", "openai-chat", "application/json; charset=utf-8",
			`{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":null}}`,
			`{"input":1,"output":2,"total":3,"source":"upstream"}`, "m", 0,
		},
		{
			"chat stream", "openai-chat", streamType,
			"data: {\"created\":7,\"model\":\"gpt-4o\",\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n" +
				"data: {\"created\":7,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n" +
				"data: {\"created\":7,\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29}}\n\ndata: [DONE]\n\n",
			`{"input":19,"output":10,"total":29,"source":"upstream"}`, "gpt-4o", 7,
		},
		{
			"chat stream without usage", "openai-chat", streamType,
			"data: {\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n", "", "gpt-4o", 0,
		},
		{
			"stream with comments, event names, carriage returns and data over two lines", "openai-chat", streamType,
			": ping\r\n\r\nevent: x\r\ndata: {\"model\":\"m\",\r\ndata: \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\r\n\r\n",
			`{"input":1,"output":2,"total":3,"source":"upstream"}`, "m", 0,
		},
		{
			"stream that ends without an empty line", "openai-chat", streamType,
			"data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}",
			`{"input":1,"output":2,"total":3,"source":"upstream"}`, "m", 0,
		},
		{
			"Gemini repeats cumulative usage and hides thinking", "openai-chat", streamType,
			"data: {\"model\":\"gemini\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,\"total_tokens\":6}}\n\n" +
				"data: {\"model\":\"gemini\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":112}}\n\n",
			`{"input":5,"output":107,"total":112,"source":"upstream"}`, "gemini", 0,
		},
		{
			"fields of the last chunk stand, those it does not give stay", "openai-chat", streamType,
			"data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,\"total_tokens\":6,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n" +
				"data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":null,\"completion_tokens\":7,\"total_tokens\":12}}\n\n",
			`{"input":5,"output":7,"total":12,"cached":3,"source":"upstream"}`, "m", 0,
		},
		{
			"completions", "openai-completions", jsonType,
			`{"model":"gpt-3.5-turbo-instruct","usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}`,
			`{"input":5,"output":7,"total":12,"source":"upstream"}`, "gpt-3.5-turbo-instruct", 0,
		},
		{
			"responses", "openai-responses", jsonType,
			`{"object":"response","created_at":1741476542,"model":"o3","output":[],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":1,"cache_write_tokens":2},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":123},"metadata":{}}`,
			`{"input":36,"output":87,"total":123,"cached":1,"cache_write":2,"reasoning":64,"source":"upstream"}`, "o3", 1741476542,
		},
		{
			"responses in the background", "openai-responses", jsonType, `{"object":"response","model":"o3","status":"queued","usage":null}`, "", "o3", 0,
		},
		{
			"responses stream", "openai-responses", streamType,
			"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"created_at\":9,\"model\":\"o3\",\"usage\":null}}\n\n" +
				"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"created_at\":9,\"model\":\"o3\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3}}}\n\n",
			`{"input":1,"output":2,"total":3,"source":"upstream"}`, "o3", 9,
		},
		{
			"embeddings have no output", "openai-embeddings", jsonType,
			`{"object":"list","data":[],"model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}`,
			`{"input":8,"total":8,"source":"upstream"}`, "text-embedding-3-small", 0,
		},
		{
			"transcription", "openai-audio", jsonType,
			`{"text":"hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":45,"total_tokens":59}}`,
			`{"input":14,"output":45,"total":59,"source":"upstream","details":{"input_audio":14}}`, "", 0,
		},
		{"transcription by the second", "openai-audio", jsonType, `{"text":"hi","usage":{"type":"duration","seconds":3}}`, `{"source":"upstream","details":{"seconds":3}}`, "", 0},
		{"transcription as text", "openai-audio", "text/plain", `{"usage":{"input_tokens":1}}`, "", "", 0},
		{
			"transcription stream", "openai-audio", streamType,
			"data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"a\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"output_tokens\":45,\"total_tokens\":59}}\n\n",
			`{"input":14,"output":45,"total":59,"source":"upstream"}`, "", 0,
		},
		{
			"speech stream", "openai-speech", streamType,
			"data: {\"type\":\"speech.audio.delta\",\"audio\":\"AA\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":45,\"total_tokens\":59}}\n\n",
			`{"input":14,"output":45,"total":59,"source":"upstream"}`, "", 0,
		},
		{"speech", "openai-speech", "audio/mpeg", "ID3\x04", "", "", 0},
		{
			"images", "openai-images", jsonType,
			`{"created":1713833628,"data":[{"b64_json":"AA"}],"usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}`,
			`{"input":50,"output":50,"total":100,"source":"upstream","details":{"input_image":40}}`, "", 1713833628,
		},
		{
			"messages", "anthropic-messages", jsonType,
			`{"type":"message","model":"claude-sonnet-4-5","usage":{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,"output_tokens":20,"output_tokens_details":{"thinking_tokens":12},"service_tier":"standard"}}`,
			`{"input":3210,"output":20,"total":3230,"cached":3000,"cache_write":200,"reasoning":12,"source":"upstream"}`, "claude-sonnet-4-5", 0,
		},
		{
			"messages stream is cumulative", "anthropic-messages", streamType,
			"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-x\",\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":5,\"cache_creation_input_tokens\":null,\"output_tokens\":1}}}\n\n" +
				"event: ping\ndata: {\"type\": \"ping\"}\n\n" +
				"event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":10}}\n\n" +
				"event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15,\"input_tokens\":26}}\n\n",
			`{"input":31,"output":15,"total":46,"cached":5,"source":"upstream"}`, "claude-x", 0,
		},
		{
			"messages stream that was cut before its output was counted", "anthropic-messages", streamType,
			"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-x\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\nevent: content_bl",
			`{"input":25,"source":"upstream"}`, "claude-x", 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := answered(c.kind, c.contentType, c.body)
			require.NoError(t, Read(e))
			require.Equal(t, c.usage, shown(t, e))
			require.Equal(t, c.model, e.Model)
			require.Equal(t, c.created, e.Created)
		})
	}
}

func TestNumbersThatAreNoCountsAreUnknown(t *testing.T) {
	for number, want := range map[string]string{
		"-1":                         `{"output":2,"total":3,"source":"upstream"}`,
		"1.5":                        `{"output":2,"total":3,"source":"upstream"}`,
		"1e3":                        `{"output":2,"total":3,"source":"upstream"}`,
		"9007199254740992":           `{"output":2,"total":3,"source":"upstream"}`,
		"99999999999999999999999999": `{"output":2,"total":3,"source":"upstream"}`,
		`"5"`:                        `{"output":2,"total":3,"source":"upstream"}`,
		`[5]`:                        `{"output":2,"total":3,"source":"upstream"}`,
		`true`:                       `{"output":2,"total":3,"source":"upstream"}`,
		"null":                       `{"output":2,"total":3,"source":"upstream"}`,
		"NaN":                        "",
		"0":                          `{"input":0,"output":3,"total":3,"source":"upstream"}`,
		"9007199254740991":           `{"input":9007199254740991,"output":2,"total":3,"source":"upstream"}`,
	} {
		t.Run(number, func(t *testing.T) {
			e := answered("openai-chat", jsonType, `{"usage":{"prompt_tokens":`+number+`,"completion_tokens":2,"total_tokens":3}}`)
			require.NoError(t, Read(e))
			require.Equal(t, want, shown(t, e))
		})
	}
	for parts, want := range map[string]string{
		`"input_tokens":-1,"cache_read_input_tokens":4`:                           `{"output":2,"cached":4,"source":"upstream"}`,
		`"input_tokens":1,"cache_read_input_tokens":4.5`:                          `{"output":2,"source":"upstream"}`,
		`"cache_read_input_tokens":4`:                                             `{"output":2,"cached":4,"source":"upstream"}`,
		`"input_tokens":9007199254740991,"cache_read_input_tokens":1`:             `{"output":2,"cached":1,"source":"upstream"}`,
		`"input_tokens":1,"cache_creation_input_tokens":null,"extra":{"deep":[]}`: `{"input":1,"output":2,"total":3,"source":"upstream"}`,
	} {
		t.Run(parts, func(t *testing.T) {
			e := answered("anthropic-messages", jsonType, `{"usage":{`+parts+`,"output_tokens":2}}`)
			require.NoError(t, Read(e))
			require.Equal(t, want, shown(t, e))
		})
	}
	e := answered("anthropic-messages", jsonType, `{"usage":{"input_tokens":9007199254740991,"output_tokens":2}}`)
	require.NoError(t, Read(e))
	require.Nil(t, e.Usage.Total, "a sum that no reader holds exactly")
}

func TestUsageAtTheEndOfALargeAnswerIsReadFromItsTail(t *testing.T) {
	megabytes := func(n int) string { return strings.Repeat(`\"usage\":{\"input_tokens\":7},A`, n<<20/31) }
	usageJSON := `"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}`
	responsesJSON := `"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}`
	want := `{"input":3,"output":4,"total":7,"source":"upstream"}`
	chunk := `data: {"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"hello"},"obfuscation":"aaaaaaaaaaaaaaaa"}],"usage":null}` + "\n\n"

	for _, c := range []struct{ name, kind, contentType, body, usage, model string }{
		{
			"stream of 5 MB", "openai-chat", streamType,
			strings.Repeat(chunk, 5<<20/len(chunk)) + `data: {"model":"gpt-4o","choices":[],` + usageJSON + "}\n\ndata: [DONE]\n\n", want, "gpt-4o",
		},
		{
			"JSON of 20 MB", "openai-chat", jsonType,
			`{"model":"m","choices":[{"message":{"content":"` + megabytes(20) + `"}}],` + usageJSON + "}\n", want, "m",
		},
		{
			"embeddings name the model behind the data", "openai-embeddings", jsonType,
			`{"object":"list","data":[{"embedding":[` + strings.Repeat("0.123456789,", 2<<20/12) + `1]}],"model":"text-embedding-3-large","usage":{"prompt_tokens":8,"total_tokens":8}}`,
			`{"input":8,"total":8,"source":"upstream"}`, "text-embedding-3-large",
		},
		{
			"what looks like usage stands in a string, in a deeper object and behind", "openai-images", jsonType,
			`{"data":[{"b64_json":"` + megabytes(2) + `"}],` + responsesJSON + `,"x":"\"usage\":{\"input_tokens\":9}\\","y":{"usage":{"input_tokens":9}},"z":[{"usage":{}}]}`, want, "",
		},
		{
			"usage only in a deeper object", "openai-images", jsonType,
			`{"data":[{"b64_json":"` + megabytes(2) + `"}],"y":{` + responsesJSON + `}}`, "", "",
		},
		{
			"usage before the data", "openai-images", jsonType,
			`{"model":"m",` + responsesJSON + `,"data":[{"b64_json":"` + megabytes(2) + `"}]}`, want, "m",
		},
		{
			"image stream of one event", "openai-images", streamType,
			`event: image_generation.completed` + "\n" + `data: {"type":"image_generation.completed","b64_json":"` + megabytes(20) + `","created_at":5,"size":"1024x1024", "usage" : {"input_tokens":3,"output_tokens":4,"total_tokens":7} }` + "\r\n\r\n", want, "",
		},
		{
			"responses stream whose last event is large", "openai-responses", streamType,
			`data: {"type":"response.created","response":{"model":"o3","usage":null}}` + "\n\n" + `data: {"type":"response.completed","response":{"model":"o3","output":[{"result":"` + megabytes(2) + `"}],` + responsesJSON + `,"user":null,"metadata":{"usage":"no"}},"sequence_number":4}` + "\n\n", want, "o3",
		},
		{
			"responses stream whose large event has usage elsewhere", "openai-responses", streamType,
			`data: {"type":"x","response":{"model":"o3"},"other":{"a":"` + megabytes(2) + `","b":1},"more":{` + responsesJSON + `},"n":4}` + "\n\n", "", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := answered(c.kind, c.contentType, c.body)
			require.True(t, e.Response.Body.Truncated(), "the middle is missing")
			require.NoError(t, Read(e))
			require.Equal(t, c.usage, shown(t, e))
			require.Equal(t, c.model, e.Model)
		})
	}
}

func TestALargeAnswerThatWasCutHasNoUsage(t *testing.T) {
	e := answered("openai-images", jsonType, `{"data":["`+strings.Repeat("A", 1<<20)+`",{"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}`)
	e.Outcome = llmproxy.Cut
	require.NoError(t, Read(e))
	require.Nil(t, e.Usage, "how deep the last brace stands is not known")

	e = answered("openai-images", streamType, "data: {\"b64_json\":\""+strings.Repeat("A", 1<<20)+`","x":{"usage":{"input_tokens":3,"output_tokens":4}}`)
	e.Outcome = llmproxy.Cut
	require.NoError(t, Read(e))
	require.Nil(t, e.Usage)
}

func TestACutNumberDoesNotCount(t *testing.T) {
	whole := `{"model":"m","usage":{"prompt_tokens":12,"completion_tokens":345,"total_tokens":357}}`
	for cut := range len(whole) - 2 {
		for _, contentType := range []string{jsonType, streamType} {
			body := whole[:cut]
			if contentType == streamType {
				body = "data: " + body
			}
			e := answered("openai-chat", contentType, body)
			e.Outcome = llmproxy.Cut
			require.NoError(t, Read(e))
			require.Nil(t, e.Usage, "cut to %q", body)
		}
	}
}

func TestOnlyASuccessfulPostCounts(t *testing.T) {
	body := `{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`
	for _, c := range []struct {
		name   string
		change func(*llmproxy.Event)
		counts bool
	}{
		{"POST answered 201", func(e *llmproxy.Event) { e.Status = 201 }, true},
		{"GET repeats usage", func(e *llmproxy.Event) { e.Method = http.MethodGet }, false},
		{"error", func(e *llmproxy.Event) { e.Status = 500 }, false},
		{"no status", func(e *llmproxy.Event) { e.Status = 0 }, false},
		{"endpoint without usage", func(e *llmproxy.Event) { e.UsageKind = "" }, false},
		{"nothing captured", func(e *llmproxy.Event) { e.Response.Body = nil }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := answered("openai-chat", jsonType, body)
			c.change(e)
			require.NoError(t, Read(e))
			require.Equal(t, c.counts, e.Usage != nil)
			require.Equal(t, c.counts, e.Model == "m")
		})
	}
}

func TestWhatIsKnownStays(t *testing.T) {
	e := answered("openai-chat", jsonType, `{"created":5,"model":"m","usage":{"prompt_tokens":1}}`)
	require.NoError(t, Read(e))
	known := e.Usage
	e.Response.Body = nil
	require.NoError(t, Read(e), "a second reading without bodies")
	require.Same(t, known, e.Usage)
	require.Equal(t, "m", e.Model)
	require.EqualValues(t, 5, e.Created)
}

func TestAnUnknownKindIsAnError(t *testing.T) {
	e := answered("openai-telepathy", jsonType, `{}`)
	require.ErrorContains(t, Read(e), `"openai-telepathy"`)
	require.Contains(t, Kinds(), "openai-chat")
	require.Len(t, Kinds(), 8)
}

func TestModelComesFromTheRequestIfTheAnswerIsSilent(t *testing.T) {
	form := func(fields ...string) (contentType, body string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for i := 0; i < len(fields); i += 2 {
			require.NoError(t, w.WriteField(fields[i], fields[i+1]))
		}
		require.NoError(t, w.Close())
		return w.FormDataContentType(), b.String()
	}
	formType, formBody := form("prompt", "x", "model", "whisper-1")
	longType, longBody := form("model", strings.Repeat("x", maxModel+1))
	noneType, noneBody := form("prompt", "x")

	for _, c := range []struct{ name, contentType, body, want string }{
		{"JSON", jsonType, `{"messages":[{"model":"no"}],"model":"gpt-4o"}`, "gpt-4o"},
		{"no JSON", jsonType, `garbage`, ""},
		{"cut in the name", jsonType, `{"model":"gpt-4`, ""},
		{"cut behind a quote of the name", jsonType, `{"model":"gpt\"`, ""},
		{"a number", jsonType, `{"model":4}`, ""},
		{"a name beyond measure", jsonType, `{"model":"` + strings.Repeat("x", maxModel+1) + `"}`, ""},
		{"form", formType, formBody, "whisper-1"},
		{"form with a name beyond measure", longType, longBody, ""},
		{"form without model", noneType, noneBody, ""},
		{"form that is cut", formType, formBody[:len(formBody)-20], ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := answered("openai-audio", jsonType, `{"text":"hi"}`)
			e.Request = llmproxy.Message{ContentType: c.contentType, Body: captured(c.body)}
			require.NoError(t, Read(e))
			require.Equal(t, c.want, e.Model)
		})
	}

	e := answered("openai-chat", jsonType, `{"error":{"message":"no"}}`)
	e.Status, e.Request = 500, llmproxy.Message{ContentType: jsonType, Body: captured(`{"model":"gpt-4o"}`)}
	require.NoError(t, Read(e))
	require.Equal(t, "gpt-4o", e.Model, "also of a request that failed")
}

func TestHostileNestingIsHarmless(t *testing.T) {
	deep := strings.Repeat("[", 1<<20)
	for _, contentType := range []string{jsonType, streamType} {
		for _, body := range []string{
			`{"usage":{"prompt_tokens":` + deep, `{"usage":` + deep + strings.Repeat("]", len(deep)) + "}", deep, strings.Repeat("}", 1<<20),
			`{"a":` + strings.Repeat(`{"usage":`, 1<<17) + "1" + strings.Repeat("}", 1<<17+1), strings.Repeat(`\"`, 1<<19) + `"}`, strings.Repeat(`\`, 1<<20) + `"}`,
		} {
			e := answered("openai-chat", contentType, "data: "+body+"\n\n")
			require.NoError(t, Read(e))
			require.Nil(t, e.Usage, "%.40s", body)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	word := strings.Fields(noise(200 << 10))
	chunk := func(i int) string {
		return `data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" ` + word[i] + `"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"` + word[i+1] + word[i+2] + `"}` + "\n\n"
	}
	last := `data: {"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}` + "\n\ndata: [DONE]\n\n"
	for _, n := range []int{10, 300, 1000, 20000} {
		var chunks strings.Builder
		for i := range n {
			chunks.WriteString(chunk(i))
		}
		stream := chunks.String() + last
		b.Run(fmt.Sprintf("stream of %d chunks", n), func(b *testing.B) { benchmark(b, answered("openai-chat", streamType, stream)) })
		if n > 1000 {
			continue // compressed it is cut
		}
		b.Run(fmt.Sprintf("gzip stream of %d chunks", n), func(b *testing.B) {
			e := answered("openai-chat", streamType, "")
			e.Response.Encoding, e.Response.Body = "gzip", captured(compressed(b, "gzip", stream))
			benchmark(b, e)
		})
	}
	b.Run("JSON of 3 kB", func(b *testing.B) {
		benchmark(b, answered("openai-chat", jsonType, `{"model":"m","choices":[{"message":{"content":"`+strings.Repeat("word ", 600)+`"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`))
	})
	b.Run("JSON of 20 MB", func(b *testing.B) {
		benchmark(b, answered("openai-images", jsonType, `{"data":[{"b64_json":"`+strings.Repeat("A", 20<<20)+`"}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}`))
	})
	b.Run("event of 20 MB", func(b *testing.B) {
		benchmark(b, answered("openai-images", streamType, `data: {"b64_json":"`+strings.Repeat("A", 20<<20)+`","usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}`+"\n\n"))
	})
}

func benchmark(b *testing.B, e *llmproxy.Event) {
	b.ReportAllocs()
	for b.Loop() {
		e.Usage, e.Model = nil, ""
		if err := Read(e); err != nil || e.Usage == nil {
			b.Fatal("no usage", err)
		}
	}
}
