package demo_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

const (
	toolsOfChat     = `,"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"unit":{"enum":["C","F"]},"now":{"type":"boolean"},"tags":{"type":"array"},"at":{"type":"object"}}}}}]}`
	toolsOfResponse = `,"tools":[{"type":"function","name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}]}`
	toolsOfMessages = `,"tools":[{"name":"weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}]}`
)

func with(body, more string) string { return strings.TrimSuffix(body, "}") + more }

const (
	askResponse = `{"model":"gpt-4o","instructions":"Be brief","input":[{"role":"user","content":[{"type":"input_text","text":"Hello there"}]}]}`
	askText     = `{"model":"gpt-3.5-turbo-instruct","prompt":"Hello there"}`
	askMessage  = `{"model":"claude-sonnet-4-5","max_tokens":200,"system":"Be brief","messages":[{"role":"user","content":"Hello there"}]}`
	askVectors  = `{"model":"text-embedding-3-small","input":["Hello","there"],"dimensions":8}`
	askPicture  = `{"model":"gpt-image-1","prompt":"Hello there","n":2}`
)

// TestUsageIsThereAndAddsUp asks each endpoint that reports usage, and reads the numbers as the proxy does.
func TestUsageIsThereAndAddsUp(t *testing.T) {
	up := demo.Serve(t)
	for _, c := range []struct{ name, kind, path, body string }{
		{"chat", "openai-chat", "/v1/chat/completions", hello},
		{"chat with choices", "openai-chat", "/v1/chat/completions", with(hello, `,"n":3}`)},
		{"chat with a tool", "openai-chat", "/v1/chat/completions", with(hello, toolsOfChat)},
		{"streamed chat", "openai-chat", "/v1/chat/completions", streamed(hello)},
		{"streamed chat with choices", "openai-chat", "/v1/chat/completions", streamed(with(hello, `,"n":2}`))},
		{"streamed chat with a tool", "openai-chat", "/v1/chat/completions", streamed(with(hello, toolsOfChat))},
		{"completions", "openai-completions", "/v1/completions", askText},
		{"streamed completions", "openai-completions", "/v1/completions", streamed(askText)},
		{"responses", "openai-responses", "/v1/responses", askResponse},
		{"streamed responses", "openai-responses", "/v1/responses", with(askResponse, `,"stream":true}`)},
		{"streamed responses with a tool", "openai-responses", "/v1/responses", with(with(askResponse, `,"stream":true}`), toolsOfResponse)},
		{"embeddings", "openai-embeddings", "/v1/embeddings", askVectors},
		{"speech as events", "openai-speech", "/v1/audio/speech", `{"model":"gpt-4o-mini-tts","input":"Hello","voice":"alloy","stream_format":"sse"}`},
		{"images", "openai-images", "/v1/images/generations", askPicture},
		{"streamed images", "openai-images", "/v1/images/generations", with(askPicture, `,"stream":true}`)},
		{"messages", "anthropic-messages", "/v1/messages", askMessage},
		{"streamed messages", "anthropic-messages", "/v1/messages", with(askMessage, `,"stream":true}`)},
		{"messages with a tool", "anthropic-messages", "/v1/messages", with(askMessage, toolsOfMessages)},
		{"streamed messages with a tool", "anthropic-messages", "/v1/messages", with(with(askMessage, `,"stream":true}`), toolsOfMessages)},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := ask(t, up, c.path, c.body, "")
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode, "%s", body)
			e := llmproxy.Event{
				Method: http.MethodPost, Status: resp.StatusCode, Outcome: llmproxy.Complete, UsageKind: c.kind,
				Stream:   strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream"),
				Response: llmproxy.Message{ContentType: resp.Header.Get("Content-Type"), Body: &llmproxy.Body{Head: body, Size: int64(len(body))}},
			}
			require.NoError(t, usage.Read(&e))
			require.NotNil(t, e.Usage, "%s", body)
			require.Positive(t, *e.Usage.Input)
			if e.Usage.Output == nil { // embeddings
				require.Equal(t, *e.Usage.Input, *e.Usage.Total)
				return
			}
			require.Positive(t, *e.Usage.Output)
			require.Equal(t, *e.Usage.Input+*e.Usage.Output, *e.Usage.Total)
		})
	}
}

func TestAStreamSaysWhatThePlainAnswerSays(t *testing.T) {
	up := demo.Serve(t)
	for _, c := range []struct{ path, body, whole, delta string }{
		{"/v1/chat/completions", with(hello, `,"n":2}`), "choices.#.message.content", "choices.#.delta.content"},
		{"/v1/chat/completions", with(hello, toolsOfChat), "choices.0.message.tool_calls.#.function.arguments", "choices.0.delta.tool_calls.#.function.arguments"},
		{"/v1/completions", askText, "choices.#.text", "choices.#.text"},
		{"/v1/responses", askResponse, "output.0.content.#.text", "delta"},
		{"/v1/responses", with(askResponse, toolsOfResponse), "output.#.arguments", "delta"},
		{"/v1/messages", askMessage, "content.#.text", "delta.text"},
		{"/v1/messages", with(askMessage, toolsOfMessages), "content.#.input", "delta.partial_json"},
	} {
		join := func(r gjson.Result) (all string) {
			if r.IsArray() {
				for _, item := range r.Array() {
					all += item.String()
				}
				return all
			}
			return r.Str
		}
		whole := join(gjson.Get(answer(t, up, c.path, c.body, ""), c.whole))
		var joined string
		for _, e := range events(answer(t, up, c.path, with(c.body, `,"stream":true}`), "")) {
			joined += join(gjson.Get(e, c.delta))
		}
		require.NotEmpty(t, whole, c.path)
		require.Equal(t, whole, joined, c.path)
	}
}

// TestAStreamedResponseHasAllItsEventsInOrder: SDKs build the response from them.
func TestAStreamedResponseHasAllItsEventsInOrder(t *testing.T) {
	up := demo.Serve(t, demo.Events(2))
	for more, wants := range map[string]string{
		`,"stream":true}`:                       "created in_progress output_item.added content_part.added output_text.delta output_text.delta output_text.done content_part.done output_item.done completed",
		`,"stream":true,"max_output_tokens":2}`: "created in_progress output_item.added content_part.added output_text.delta output_text.done content_part.done output_item.done incomplete",
		`,"stream":true` + toolsOfResponse:      "created in_progress output_item.added function_call_arguments.delta function_call_arguments.done output_item.done completed",
	} {
		body := answer(t, up, "/v1/responses", with(`{"model":"gpt-4o","input":"Hi"}`, more), "")
		var got []string
		for i, e := range events(body) {
			assert.EqualValues(t, i, gjson.Get(e, "sequence_number").Int())
			got = append(got, strings.TrimPrefix(gjson.Get(e, "type").Str, "response."))
			assert.Contains(t, body, "event: "+gjson.Get(e, "type").Str+"\n")
		}
		if strings.Contains(more, "max_output_tokens") && !strings.Contains(body, "incomplete_details") {
			t.Error("an incomplete response says why")
		}
		require.Equal(t, wants, strings.Join(got, " "))
	}
}

func TestAToolIsCalledOnceAndItsResultIsAnswered(t *testing.T) {
	up := demo.Serve(t)
	first := answer(t, up, "/v1/chat/completions", with(hello, toolsOfChat), "")
	call := gjson.Get(first, "choices.0.message.tool_calls.0")
	assert.Equal(t, "weather", call.Get("function.name").Str)
	assert.JSONEq(t, `{"city":"Hello there","days":11,"unit":"C","now":true,"tags":[],"at":{}}`, call.Get("function.arguments").Str)
	assert.Equal(t, "tool_calls", gjson.Get(first, "choices.0.finish_reason").Str)
	assert.Equal(t, gjson.Null, gjson.Get(first, "choices.0.message.content").Type)

	for _, second := range []string{
		fmt.Sprintf(`{"model":"gpt-4o","messages":[{"role":"user","content":"Hello there"},%s,{"role":"tool","tool_call_id":%s,"content":"sunny"}]`, gjson.Get(first, "choices.0.message").Raw, call.Get("id").Raw) + toolsOfChat,
		with(hello, `,"tool_choice":"none"`+toolsOfChat),
	} {
		said := answer(t, up, "/v1/chat/completions", second, "")
		assert.Equal(t, "stop", gjson.Get(said, "choices.0.finish_reason").Str)
		assert.NotEmpty(t, gjson.Get(said, "choices.0.message.content").Str)
	}
	said := answer(t, up, "/v1/responses", `{"model":"m","input":[{"role":"user","content":"Hi"},{"type":"function_call_output","call_id":"c","output":"sunny"}]`+toolsOfResponse, "")
	assert.Contains(t, gjson.Get(said, "output.0.content.0.text").Str, "sunny")
	said = answer(t, up, "/v1/messages", `{"model":"m","max_tokens":100,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"sunny"}]}]`+toolsOfMessages, "")
	assert.Contains(t, gjson.Get(said, "content.0.text").Str, "sunny")
}

func TestALimitOfTokensIsKept(t *testing.T) {
	up := demo.Serve(t)
	for path, body := range map[string]string{
		"/v1/chat/completions": with(hello, `,"max_completion_tokens":5}`),
		"/v1/completions":      with(askText, `,"max_tokens":5}`),
	} {
		got := answer(t, up, path, body, "")
		assert.Equal(t, "length", gjson.Get(got, "choices.0.finish_reason").Str)
		assert.LessOrEqual(t, gjson.Get(got, "usage.completion_tokens").Int(), int64(5))
	}
	got := answer(t, up, "/v1/messages", strings.Replace(askMessage, "200", "5", 1), "")
	assert.Equal(t, "max_tokens", gjson.Get(got, "stop_reason").Str)
}

func TestAnEmbeddingSaysTheSameAsNumbersAndInBase64(t *testing.T) {
	up := demo.Serve(t)
	numbers := gjson.Get(answer(t, up, "/v1/embeddings", askVectors, ""), "data").Array()
	coded := gjson.Get(answer(t, up, "/v1/embeddings", with(askVectors, `,"encoding_format":"base64"}`), ""), "data").Array()
	require.Len(t, numbers, 2)
	require.NotEqual(t, numbers[0].Get("embedding").Raw, numbers[1].Get("embedding").Raw)
	for i := range numbers {
		raw, err := base64.StdEncoding.DecodeString(coded[i].Get("embedding").Str)
		require.NoError(t, err)
		require.Len(t, raw, 8*4)
		for j, f := range numbers[i].Get("embedding").Array() {
			require.InDelta(t, f.Float(), math.Float32frombits(binary.LittleEndian.Uint32(raw[j*4:])), 1e-7)
		}
	}
	for input, tokens := range map[string]int64{`"12345678"`: 2, `[1,2,3]`: 3, `[[1,2],[3]]`: 3} {
		got := answer(t, up, "/v1/embeddings", `{"model":"m","input":`+input+`}`, "")
		assert.Equal(t, tokens, gjson.Get(got, "usage.prompt_tokens").Int(), input)
		assert.Len(t, gjson.Get(got, "data.0.embedding").Array(), 1536)
	}
}

// form sends a multipart request with a file, which stands before the other fields.
func form(t *testing.T, up *demo.Server, path string, file []byte, fields ...string) *http.Response {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if file != nil {
		part, err := w.CreateFormFile("file", "speech \"1\".wav")
		require.NoError(t, err)
		_, err = part.Write(file)
		require.NoError(t, err)
	}
	for i := 0; i < len(fields); i += 2 {
		require.NoError(t, w.WriteField(fields[i], fields[i+1]))
	}
	require.NoError(t, w.Close())
	sum := sha256.Sum256(body.Bytes())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, up.URL+path, &body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Authorization", "Bearer sk-fake")
	resp, err := caller(t).Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	require.Equal(t, hex.EncodeToString(sum[:]), resp.Header.Get("X-Demo-Body-Sha256"), "the body came as it was sent")
	return resp
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}

func TestAnUploadedFileComesBack(t *testing.T) {
	up := demo.Serve(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	sum := sha256.Sum256(content)
	resp := form(t, up, "/v1/files", content, "purpose", "assistants")
	uploaded := read(t, resp)
	require.Equal(t, http.StatusOK, resp.StatusCode, uploaded)
	require.Equal(t, hex.EncodeToString(sum[:]), resp.Header.Get("X-Demo-File-Sha256"))
	kept := up.Requests()[0]
	require.Equal(t, []demo.File{{Field: "file", Name: "speech \"1\".wav", Size: 1 << 20, SHA256: hex.EncodeToString(sum[:])}}, kept.Files)
	require.Greater(t, kept.Size, int64(1<<20))
	require.Equal(t, resp.Header.Get("X-Demo-Body-Sha256"), kept.SHA256)

	id := gjson.Get(uploaded, "id").Str
	require.JSONEq(t, uploaded, answer(t, up, "/v1/files/"+id, "", ""))
	require.Equal(t, string(content), answer(t, up, "/v1/files/"+id+"/content", "", ""))
	require.Equal(t, id, gjson.Get(answer(t, up, "/v1/files", "", ""), "data.0.id").Str)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, up.URL+"/v1/files/"+id, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer sk-fake")
	deleted, err := caller(t).Do(r)
	require.NoError(t, err)
	defer deleted.Body.Close()
	require.True(t, gjson.Get(read(t, deleted), "deleted").Bool())
	for _, path := range []string{"/v1/files/" + id, "/v1/files/" + id + "/content"} {
		resp, err := ask(t, up, path, "", "")
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
	}
	require.Equal(t, "[]", gjson.Get(answer(t, up, "/v1/files", "", ""), "data").Raw)
}

func TestOldFilesMakeRoomForNewOnes(t *testing.T) {
	up := demo.Serve(t)
	var ids []string
	for range 4 {
		ids = append(ids, gjson.Get(read(t, form(t, up, "/v1/files", make([]byte, 5<<20), "purpose", "batch")), "id").Str)
	}
	list := gjson.Get(answer(t, up, "/v1/files", "", ""), "data.#.id").Raw
	require.NotContains(t, list, ids[0], "no more than 16 MiB are kept")
	require.Contains(t, list, ids[1])
}

func TestATranscriptionDependsOnTheFile(t *testing.T) {
	up := demo.Serve(t)
	one := read(t, form(t, up, "/v1/audio/transcriptions", []byte("one"), "model", "gpt-4o-transcribe"))
	require.Equal(t, one, read(t, form(t, up, "/v1/audio/transcriptions", []byte("one"), "model", "gpt-4o-transcribe")))
	heard := gjson.Get(one, "text").Str
	require.NotEmpty(t, heard)
	require.NotEqual(t, heard, gjson.Get(read(t, form(t, up, "/v1/audio/transcriptions", []byte("two"), "model", "gpt-4o-transcribe")), "text").Str)
	require.Equal(t, "tokens", gjson.Get(one, "usage.type").Str)
	require.Equal(t, gjson.Get(one, "usage.total_tokens").Int(), gjson.Get(one, "usage.input_tokens").Int()+gjson.Get(one, "usage.output_tokens").Int())

	in := func(path, format string) string {
		return read(t, form(t, up, path, []byte("one"), "model", "whisper-1", "response_format", format))
	}
	require.Equal(t, heard+"\n", in("/v1/audio/transcriptions", "text"))
	require.Contains(t, in("/v1/audio/transcriptions", "srt"), "00:00:01,000\n"+heard)
	require.Contains(t, in("/v1/audio/transcriptions", "vtt"), "00:00:01.000\n"+heard)
	require.EqualValues(t, 1, gjson.Get(in("/v1/audio/transcriptions", "verbose_json"), "usage.seconds").Int())
	require.False(t, gjson.Get(in("/v1/audio/translations", "verbose_json"), "usage").Exists())
	require.JSONEq(t, `{"text":"`+heard+`"}`, in("/v1/audio/translations", "json"))

	var joined string
	all := events(read(t, form(t, up, "/v1/audio/transcriptions", []byte("one"), "model", "gpt-4o-transcribe", "stream", "true")))
	for _, e := range all {
		joined += gjson.Get(e, "delta").Str
	}
	require.Equal(t, heard, joined)
	require.JSONEq(t, gjson.Get(one, "usage").Raw, gjson.Get(all[len(all)-1], "usage").Raw)
}

func TestSpeechIsBytes(t *testing.T) {
	up := demo.Serve(t)
	const say = `{"model":"tts-1","input":"Hello","voice":"alloy"}`
	resp, err := ask(t, up, "/v1/audio/speech", with(say, `,"response_format":"wav"}`), "size=100000")
	require.NoError(t, err)
	sound := read(t, resp)
	require.Equal(t, "audio/wav", resp.Header.Get("Content-Type"))
	require.EqualValues(t, 100000, resp.ContentLength)
	require.Len(t, sound, 100000)
	var joined []byte
	for _, e := range events(answer(t, up, "/v1/audio/speech", with(say, `,"stream_format":"sse"}`), "size=100000")) {
		b, err := base64.StdEncoding.DecodeString(gjson.Get(e, "audio").Str)
		require.NoError(t, err)
		joined = append(joined, b...)
	}
	require.Equal(t, sound, string(joined))
}

func TestImagesAndModerations(t *testing.T) {
	up := demo.Serve(t)
	pictures := gjson.Get(answer(t, up, "/v1/images/generations", askPicture, ""), "data").Array()
	require.Len(t, pictures, 2)
	png, err := base64.StdEncoding.DecodeString(pictures[0].Get("b64_json").Str)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(png, []byte("\x89PNG")))
	require.Contains(t, answer(t, up, "/v1/images/generations", with(askPicture, `,"response_format":"url"}`), ""), `"url":"https://`)
	edited := read(t, form(t, up, "/v1/images/edits", png, "model", "gpt-image-1", "prompt", "bluer", "n", "3"))
	require.Len(t, gjson.Get(edited, "data").Array(), 3)
	require.Positive(t, gjson.Get(edited, "usage.input_tokens_details.image_tokens").Int())

	judged := answer(t, up, "/v1/moderations", `{"input":["a","b"]}`, "")
	require.Equal(t, "[false,false]", gjson.Get(judged, "results.#.flagged").Raw)
	require.Equal(t, "omni-moderation-latest", gjson.Get(judged, "model").Str)
}

func TestModelsOfAnyName(t *testing.T) {
	up := demo.Serve(t)
	require.Greater(t, len(gjson.Get(answer(t, up, "/v1/models", "", ""), "data").Array()), 3)
	require.Equal(t, "ft:gpt-4o:acme::17", gjson.Get(answer(t, up, "/v1/models/ft:gpt-4o:acme::17", "", ""), "id").Str)
	require.Positive(t, gjson.Get(answer(t, up, "/v1/messages/count_tokens", askMessage, ""), "input_tokens").Int())
}

// TestMistakesAreErrorsInTheClientsShape: OpenAI's for its endpoints, Anthropic's for its own.
func TestMistakesAreErrorsInTheClientsShape(t *testing.T) {
	up := demo.Serve(t)
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/v1/chat/completions", `{"model":`, 400, "could not parse"},
		{"/v1/chat/completions", `[]`, 400, "could not parse"},
		{"/v1/chat/completions", `{"messages":[]}`, 400, "'model'"},
		{"/v1/chat/completions", `{"model":"m","messages":[]}`, 400, "empty array"},
		{"/v1/chat/completions", with(hello, `,"n":0}`), 400, "'n'"},
		{"/v1/completions", with(askText, `,"n":1000}`), 400, "'n'"},
		{"/v1/completions", `{"model":"m"}`, 400, "'prompt'"},
		{"/v1/responses", `{"model":"m"}`, 400, "'input'"},
		{"/v1/embeddings", `{"model":"m"}`, 400, "'input'"},
		{"/v1/embeddings", `{"model":"m","input":[]}`, 400, "inputs"},
		{"/v1/embeddings", `{"model":"m","input":"x","dimensions":0}`, 400, "dimensions"},
		{"/v1/moderations", `{}`, 400, "'input'"},
		{"/v1/images/generations", `{}`, 400, "'prompt'"},
		{"/v1/images/generations", `{"prompt":"x","n":11}`, 400, "'n'"},
		{"/v1/audio/transcriptions", `{}`, 400, "'file'"},
		{"/v1/audio/speech", `{"model":"m"}`, 400, "'input'"},
		{"/v1/audio/speech", `{"model":"m","input":"i","voice":"v","response_format":"8-track"}`, 400, "response_format"},
		{"/v1/files", `{}`, 400, "'file'"},
		{"/v1/nothing", `{}`, 404, "Unknown request URL"},
		{"/v1/models", `{}`, 404, "Unknown request URL"},
		{"/v1//models", "", 404, "Unknown request URL"},
		{"/v1/messages", `{"model":"m","messages":[]}`, 400, "'max_tokens'"},
		{"/v1/messages/count_tokens", `{"model":"m"}`, 400, "'messages'"},
	} {
		resp, err := ask(t, up, c.path, c.body, "")
		require.NoError(t, err)
		body := read(t, resp)
		assert.Equal(t, c.status, resp.StatusCode, "%s %s: %s", c.path, c.body, body)
		assert.Contains(t, gjson.Get(body, "error.message").Str, c.says, "%s %s", c.path, c.body)
		assert.NotEmpty(t, gjson.Get(body, "error.type").Str)
		assert.Equal(t, strings.HasPrefix(c.path, "/v1/messages"), gjson.Get(body, "type").Str == "error", "%s %s", c.path, body)
		assert.NotEmpty(t, resp.Header.Get("X-Request-Id"))
		assert.NotEmpty(t, resp.Header.Get("Openai-Processing-Ms"))
	}
	missing := form(t, up, "/v1/files", []byte("x"))
	assert.Equal(t, 400, missing.StatusCode)
	assert.Contains(t, read(t, missing), "'purpose'")
	missing = form(t, up, "/v1/audio/transcriptions", []byte("x"))
	assert.Contains(t, read(t, missing), "'model'")
}

func TestAKeyIsNeededAndAnyWillDo(t *testing.T) {
	up := demo.Serve(t)
	for header, status := range map[string]int{"": 401, "Authorization: Basic abc": 401, "Authorization: Bearer ": 401, "Authorization: Bearer x": 200, "X-Api-Key: x": 200, "Api-Key: x": 200} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, up.URL+"/v1/models", nil)
		require.NoError(t, err)
		if name, value, ok := strings.Cut(header, ": "); ok {
			r.Header.Set(name, value)
		}
		resp, err := caller(t).Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, status, resp.StatusCode, header)
	}
}

func TestABrokenFormIsAMistakeOfItsSender(t *testing.T) {
	up := demo.Serve(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, up.URL+"/v1/files", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\ncut"))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer sk-fake")
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	resp, err := caller(t).Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Contains(t, read(t, resp), "read the form")
}
