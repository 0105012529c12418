package dispatch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// handOver opens a destination on the backend and delivers metered events, once.
func handOver(t *testing.T, name string, s Settings, events ...*llmproxy.Event) []Result {
	t.Helper()
	d, err := Open(name, s)
	require.NoError(t, err)
	meter := Meter(price.Embedded())
	for _, e := range events {
		require.NoError(t, meter(e))
		if !d.WantsBodies() {
			e.Request.Body, e.Response.Body = nil, nil
		}
	}
	require.NoError(t, d.Start(t.Context(), nil))
	results := d.Deliver(t.Context(), events)
	require.NoError(t, d.Close())
	require.Len(t, results, len(events))
	return results
}

func whole(s string) *llmproxy.Body { return &llmproxy.Body{Head: []byte(s), Size: int64(len(s))} }

// asked is a chat with its request and its answer.
func asked(question, contentType, answer string) *llmproxy.Event {
	e := request(0)
	e.Request.Body, e.Response.Body = whole(question), whole(answer)
	e.Response.ContentType, e.Stream = contentType, contentType == "text/event-stream"
	e.Timing.FirstByte = 212 * time.Millisecond
	return e
}

const (
	askHi     = `{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"stream":true,"stream_options":{"include_usage":true}}`
	saysHello = `{"id":"x","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}`
	// a stream of which the upstream told no usage
	streamsHello = "data: {\"id\":\"x\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n" +
		"data: {\"id\":\"x\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo!\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
)

func TestAHeliconeLogHasTheShapeOfItsClients(t *testing.T) {
	backend := newStub(t, takesHeliconeLogs)
	s := Settings{Helicone: HeliconeConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL + "/"}}
	e := asked(askHi, "application/json", saysHello)
	e.Response.Headers = []llmproxy.Header{{Name: "x-request-id", Value: "req_1"}}
	require.Equal(t, []Result{{}}, handOver(t, "helicone", s, e))
	require.Equal(t, "Bearer "+fakeSecret, backend.last.Get("Authorization"))
	require.Equal(t, "application/json", backend.last.Get("Content-Type"))
	require.JSONEq(t, `{
		"providerRequest": {"url": "https://api.openai.com/v1/chat/completions", "json": {"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}],"temperature":0.5}, "meta": {
			"Helicone-Request-Id": "`+heliconeID(e.ID)+`", "Helicone-User-Id": "`+e.TokenID.String()+`", "Helicone-Property-Project": "`+e.ProjectID.String()+`",
			"Helicone-Property-Event": "`+e.ID.String()+`", "Helicone-Property-Outcome": "complete", "Helicone-Property-Stream": "false", "Helicone-Property-Usage": "upstream"}},
		"providerResponse": {"status": 200, "headers": {"x-request-id": "req_1"}, "json": `+saysHello+`, "cost": 0.00004},
		"timing": {"startTime": {"seconds": 1795342830, "milliseconds": 456}, "endTime": {"seconds": 1795342831, "milliseconds": 690}}}`, string(backend.body(t, 0)))

	// The members that @helicone/helpers 1.8.3 sends, captured, are there with the types that they have there.
	captured := gjson.Parse(`{"providerRequest":{"url":"custom-model-nopath","json":{"model":"gpt-4o","messages":[]},"meta":{}},"providerResponse":{"headers":{},"status":200,"json":{"id":"x","usage":{}}},"timing":{"startTime":{"seconds":1763798400,"milliseconds":123},"endTime":{"seconds":1763798401,"milliseconds":7}}}`)
	sameShape(t, "", captured, gjson.ParseBytes(backend.body(t, 0)))
}

// sameShape asserts that each member of want is in got, with the same type.
func sameShape(t *testing.T, path string, want, got gjson.Result) {
	t.Helper()
	require.Equal(t, want.Type, got.Type, "%s: %s", path, got.Raw)
	if !want.IsObject() {
		return
	}
	want.ForEach(func(key, value gjson.Result) bool {
		sameShape(t, path+"/"+key.Str, value, got.Get(key.Str))
		return true
	})
}

func TestAStreamIsLoggedAssembledWithItsEstimate(t *testing.T) {
	backend := newStub(t, takesHeliconeLogs)
	s := Settings{Helicone: HeliconeConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}
	require.Equal(t, []Result{{}}, handOver(t, "helicone", s, asked(askHi, "text/event-stream", streamsHello)))
	log := gjson.ParseBytes(backend.body(t, 0))
	require.False(t, log.Get("providerRequest.json.stream").Exists(), "with it, the usage would be lost")
	require.Equal(t, "true", log.Get("providerRequest.meta.Helicone-Property-Stream").Str)
	require.Equal(t, "estimate", log.Get("providerRequest.meta.Helicone-Property-Usage").Str)
	require.JSONEq(t, `{"id":"x","model":"gpt-4o-2024-08-06","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!"},"finish_reason":"stop"}],
		"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}`, log.Get("providerResponse.json").Raw)
	require.EqualValues(t, 212, log.Get("timing.timeToFirstToken").Int())
}

func TestTheIDsOfHeliconesLogsAreOnesItKeeps(t *testing.T) {
	kept := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	a, b := heliconeID(request(1).ID), heliconeID(request(2).ID)
	require.Regexp(t, kept, a)
	require.NotEqual(t, a, b)
	require.Equal(t, "7c644413-ced0-5da3-8916-f8395cd8f605", a, "the id of an event never changes: it is what tells a repetition")
}

func TestHeliconeIsToldWhatCallsThatDoNotFitLookLike(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*llmproxy.Event)
		path   string
		want   map[string]string // by path in the log
	}{
		"no bodies": {func(e *llmproxy.Event) { e.Request.Body, e.Response.Body = nil, nil }, "/oai/v1/log", map[string]string{
			"providerRequest.meta.Helicone-Omit-Request": `"true"`, "providerRequest.meta.Helicone-Omit-Response": `"true"`,
			"providerRequest.json": `{"model":"gpt-4o"}`, "providerResponse.json": `{"model":"gpt-4o","usage":{"completion_tokens":4,"prompt_tokens":3}}`,
		}},
		"an answer that is text": {func(e *llmproxy.Event) { e.Response.ContentType, e.Response.Body = "text/plain", whole("no") }, "/oai/v1/log", map[string]string{
			"providerResponse.json": `{}`, "providerResponse.textBody": `"no"`,
		}},
		"a caller who left": {func(e *llmproxy.Event) { e.Outcome = llmproxy.ClientGone }, "/oai/v1/log", map[string]string{
			"providerResponse.status": "-3", "providerRequest.meta.Helicone-Property-Outcome": `"client_gone"`,
		}},
		"a request that was cut": {func(e *llmproxy.Event) { e.Request.Body.Size += 9 }, "/oai/v1/log", map[string]string{"providerRequest.meta.Helicone-Property-Partial": `"true"`}},
		"Anthropic": {func(e *llmproxy.Event) {
			e.Provider, e.Path, e.UsageKind = "anthropic", "/anthropic/v1/messages", "anthropic-messages"
		}, "/anthropic/v1/log", map[string]string{"providerRequest.url": `"https://api.anthropic.com/v1/messages"`}},
		"another provider": {func(e *llmproxy.Event) { e.Provider, e.Path = "groq", "/groq/v1/chat/completions" }, "/custom/v1/log", map[string]string{"providerRequest.url": `"custom-model-nopath"`}},
		"an upstream's error": {func(e *llmproxy.Event) { e.Status, e.Response.Body = 429, whole(`{"error":{"message":"slow"}}`) }, "/oai/v1/log", map[string]string{
			"providerResponse.status": "429", "providerResponse.json": `{"error":{"message":"slow"}}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := ""
			backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
				path = r.URL.Path
				return takesHeliconeLogs(w, r, body)
			})
			e := asked(askHi, "application/json", saysHello)
			three, four := int64(3), int64(4)
			if name == "no bodies" {
				e.Model, e.Usage = "gpt-4o", &llmproxy.Usage{Input: &three, Output: &four, Source: llmproxy.SourceUpstream}
			}
			c.change(e)
			require.Equal(t, []Result{{}}, handOver(t, "helicone", Settings{Helicone: HeliconeConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}, e))
			require.Equal(t, c.path, path)
			for at, want := range c.want {
				require.Equal(t, want, gjson.GetBytes(backend.body(t, 0), at).Raw, at)
			}
		})
	}
}

func TestHeliconeHasALogOnlyIfItSaysOk(t *testing.T) {
	for answer, want := range map[string]struct {
		status int
		poison bool
	}{
		`{"error":"could not be stored"}`: {200, false}, `ok, more or less`: {200, false}, ``: {202, false},
		`{"error":"bad"}`: {400, true}, `Payload too large`: {400, true}, `unauthorized`: {401, false}, `slow`: {429, false}, `boom`: {500, false}, `moved`: {302, false},
	} {
		backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
			w.WriteHeader(want.status)
			_, _ = io.WriteString(w, answer)
			return nil
		})
		r := handOver(t, "helicone", Settings{Helicone: HeliconeConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}, asked(askHi, "application/json", saysHello))[0]
		require.Error(t, r.Err, answer)
		require.Equal(t, want.poison, r.Poison, answer)
	}
}

func TestALunaryRunHasTheShapeOfItsClients(t *testing.T) {
	backend := newStub(t, (&lunaryStore{started: map[string]bool{}}).take)
	s := Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}
	e := asked(askHi, "text/event-stream", streamsHello)
	require.Equal(t, []Result{{}}, handOver(t, "lunary", s, e))
	require.Equal(t, "Bearer "+fakeSecret, backend.last.Get("Authorization"))
	id, token, project := e.ID.String(), e.TokenID.String(), e.ProjectID.String()
	require.JSONEq(t, `{"events":[
		{"type":"llm","event":"start","runId":"`+id+`","name":"gpt-4o-2024-08-06","timestamp":"2026-11-22T10:20:30.456Z","input":[{"role":"user","content":"Hi"}],
			"params":{"temperature":0.5,"stream":true},"userId":"`+token+`","tags":["project:`+project+`"],"runtime":"llm-proxy",
			"metadata":{"path":"/v1/chat/completions","outcome":"complete","project_id":"`+project+`","provider":"openai","status":200,"usage_source":"estimate","cost_usd":0.00004}},
		{"type":"llm","event":"end","runId":"`+id+`","name":"gpt-4o-2024-08-06","timestamp":"2026-11-22T10:20:31.690Z","output":{"role":"assistant","content":"Hello!"},"tokensUsage":{"prompt":8,"completion":2}}]}`,
		string(backend.body(t, 0)))

	// The members that the JavaScript client 1.0.18 sends, captured, are there; its times are numbers, ours ISO 8601 as the Python client's.
	captured := gjson.Parse(`{"events":[{"event":"start","type":"llm","userId":"u1","runtime":"lunary-js","runId":"019345ab-0000-7000-8000-000000000001","name":"gpt-4o","input":[{"role":"user","content":"Hi"}],"tags":["t"],"params":{"temperature":0.5}},
		{"event":"end","type":"llm","runId":"019345ab-0000-7000-8000-000000000001","name":"gpt-4o","output":{"role":"assistant","content":"Hello!"},"tokensUsage":{"prompt":8,"completion":2}}]}`)
	for i := range 2 {
		sameShape(t, "", captured.Get(fmt.Sprintf("events.%d", i)), gjson.GetBytes(backend.body(t, 0), fmt.Sprintf("events.%d", i)))
	}
}

func TestLunaryGetsEachKindOfCall(t *testing.T) {
	for name, c := range map[string]struct {
		kind, request, answer string
		status                int
		want                  map[string]string
	}{
		"embeddings":      {"openai-embeddings", `{"model":"e","input":["a"]}`, `{"data":[],"usage":{"prompt_tokens":1,"total_tokens":1}}`, 200, map[string]string{"0.type": `"embed"`, "1.type": `"embed"`, "0.input": `["a"]`, "1.tokensUsage": `{"prompt":1,"completion":0}`, "1.output": ""}},
		"several choices": {"openai-chat", askHi, `{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}`, 200, map[string]string{"1.output": `[{"content":"a"},{"content":"b"}]`, "1.tokensUsage": `{"prompt":9,"completion":2,"promptCached":4}`}},
		"completions":     {"openai-completions", `{"model":"m","prompt":"Hi"}`, `{"choices":[{"text":"a"}]}`, 200, map[string]string{"0.input": `"Hi"`, "1.output": `"a"`}},
		"responses":       {"openai-responses", `{"model":"m","input":"Hi"}`, `{"output":[{"type":"message"}]}`, 200, map[string]string{"0.input": `"Hi"`, "1.output": `[{"type":"message"}]`}},
		"messages":        {"anthropic-messages", `{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":9}`, `{"content":[{"type":"text","text":"a"}]}`, 200, map[string]string{"0.params.max_tokens": "9", "1.output": `{"role":"assistant","content":[{"type":"text","text":"a"}]}`}},
		"an error":        {"openai-chat", askHi, `{"error":{"message":"slow down"}}`, 429, map[string]string{"1.event": `"error"`, "1.error": `{"message":"slow down","stack":"status 429, complete"}`, "1.output": ""}},
		"our own error":   {"openai-chat", askHi, ``, 504, map[string]string{"1.event": `"error"`, "1.error.message": `"upstream_timeout"`}},
	} {
		t.Run(name, func(t *testing.T) {
			backend := newStub(t, (&lunaryStore{started: map[string]bool{}}).take)
			e := asked(c.request, "application/json", c.answer)
			e.UsageKind, e.Status = c.kind, c.status
			if c.status == 504 {
				e.Outcome, e.Code, e.Response.Body = llmproxy.UpstreamError, "upstream_timeout", nil
			}
			require.Equal(t, []Result{{}}, handOver(t, "lunary", Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}, e))
			for at, want := range c.want {
				require.Equal(t, want, gjson.GetBytes(backend.body(t, 0), "events."+at).Raw, at)
			}
		})
	}
}

func TestARunOfWhichLunaryHasNoPartIsSentAgainAsAPair(t *testing.T) {
	events := requests(4)
	id := func(i int) string { return events[i].ID.String() }
	backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
		_, _ = fmt.Fprintf(w, `{"results":[{"id":%q,"success":true},{"id":%q,"success":false,"error":"Run with this ID already exists in the database."},{"id":%q,"success":true},
			{"id":%q,"success":true},{"id":%q,"success":true},{"id":%q,"success":false,"error":"database %s is gone"},{"id":%q,"success":true}]}`,
			id(1), id(1), id(0), id(0), id(2), id(2), fakeSecret, id(2))
		return nil
	})
	results := handOver(t, "lunary", Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: backend.URL}}, events...)
	require.Equal(t, Result{}, results[0])
	require.Equal(t, Result{}, results[1], "it was there before")
	require.EqualError(t, results[2].Err, "status 200: database REDACTED is gone")
	require.False(t, results[2].Poison)
	require.ErrorContains(t, results[3].Err, "does not name the run")
}

func TestWhatIsNoModelCallIsPassedOver(t *testing.T) {
	e := request(0)
	e.Method, e.Path, e.UsageKind = http.MethodGet, "/v1/models", ""
	none := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string { return badRequest(w, "no") })
	require.Equal(t, []Result{{}}, handOver(t, "lunary", Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret("k"), BaseURL: none.URL}}, e))
	require.Equal(t, []Result{{}}, handOver(t, "helicone", Settings{Helicone: HeliconeConfig{Key: llmproxy.NewSecret("k"), BaseURL: none.URL}}, e))
	require.Zero(t, none.calls)
}

func TestAWebhookIsSignedAsStandardWebhooksHasIt(t *testing.T) {
	// from the example of the specification's libraries
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)))

	backend := newStub(t, takesWebhooks)
	e := request(0)
	before := time.Now().Unix()
	s := Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Secret: llmproxy.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Authorization: llmproxy.NewSecret("Bearer x")}}
	require.Equal(t, []Result{{}}, handOver(t, "webhook", s, e))
	body := backend.body(t, 0)
	require.JSONEq(t, string(e.AppendMeta(nil)), string(body))
	require.Equal(t, e.ID.String(), backend.last.Get("Webhook-Id"))
	require.Equal(t, "Bearer x", backend.last.Get("Authorization"))
	at := backend.last.Get("Webhook-Timestamp")
	require.GreaterOrEqual(t, at, fmt.Sprint(before))
	require.Equal(t, signature(key, e.ID.String(), at, body), backend.last.Get("Webhook-Signature"))

	s.Webhook = WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Batch: 3, Bodies: true}
	require.Equal(t, make([]Result, 4), handOver(t, "webhook", s, requests(4)...))
	require.Empty(t, backend.last.Get("Webhook-Signature"), "without a secret there is none")
	list := map[int64]bool{}
	for i := 1; i <= 2; i++ {
		posted := gjson.ParseBytes(backend.body(t, i))
		list[posted.Get("#").Int()] = true
		require.True(t, posted.Get("0.request.body").Exists())
	}
	require.Equal(t, map[int64]bool{3: true, 1: true}, list)
}

func TestAnswersOfWebhooksMeanWhatTheyShould(t *testing.T) {
	for status, poison := range map[int]bool{201: false, 204: false, 301: false, 400: true, 401: false, 403: false, 404: false, 413: true, 422: true, 429: false, 500: false, 503: false} {
		backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			return nil
		})
		r := handOver(t, "webhook", Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL)}}, request(0))[0]
		require.Equal(t, poison, r.Poison, status)
		require.Equal(t, status >= 300, r.Err != nil, status)
		if r.Err != nil && !poison {
			require.Equal(t, 7*time.Second, r.After, status)
		}
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{"": 0, "30": 30 * time.Second, "-1": 0, "x": 0, "Sun, 22 Nov 2026 08:01:00 GMT": time.Minute, "Sun, 22 Nov 2026 07:00:00 GMT": 0, "1e99": maxRetryAfter} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
}

func TestABackendThatIsDownIsNotAskedForEachEvent(t *testing.T) {
	backend := newStub(t, nil)
	backend.mood = func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }
	results := handOver(t, "webhook", Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Parallel: 1}}, requests(50)...)
	require.Equal(t, failuresInARow, backend.calls)
	for _, r := range results {
		require.Error(t, r.Err)
		require.False(t, r.Poison)
	}
}

func TestS3ObjectsAreLinesByTheHour(t *testing.T) {
	objects := map[string][]string{}
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return badRequest(w, err.Error())
		}
		lines, err := io.ReadAll(z)
		if err != nil {
			return badRequest(w, err.Error())
		}
		objects[r.URL.Path] = strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")
		return nil
	})
	events := requests(3)
	events[1].Time = events[1].Time.Add(time.Hour).In(time.FixedZone("", 3600))
	s := Settings{S3: S3Config{Bucket: "archive", AWS: onAWS(backend.URL), PathStyle: true}}
	require.Equal(t, make([]Result, 3), handOver(t, "s3", s, events...))
	require.Len(t, objects, 2)
	for path, lines := range objects {
		require.Regexp(t, `^/archive/events/dt=2026-11-22/hour=1[01]/[0-9a-f]{24}\.jsonl\.gz$`, path)
		if strings.Contains(path, "hour=10") {
			require.Equal(t, []string{string(events[0].AppendMeta(nil)), string(events[2].AppendMeta(nil))}, lines)
		} else {
			require.Equal(t, []string{string(events[1].AppendMeta(nil))}, lines)
		}
	}
	require.Equal(t, make([]Result, 3), handOver(t, "s3", s, events...))
	require.Len(t, objects, 2, "the same batch writes the same objects")
}

func TestCloudWatchLinesAreMetrics(t *testing.T) {
	backend := newStub(t, takesLogEvents)
	backend.mood = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n > 0 || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".CreateLogStream") {
			return false
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		badRequest(w, `{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}`)
		return true
	}
	late, early := request(5), request(1)
	early.Status, early.Response.Body, early.Model = 401, nil, "a name that a caller made up"
	results := handOver(t, "cloudwatch", Settings{CloudWatch: CloudWatchConfig{Group: "g", AWS: onAWS(backend.URL)}}, late, early)
	require.Equal(t, make([]Result, 2), results)
	require.JSONEq(t, `{"logGroupName":"g"}`, string(backend.body(t, 0)), "the group is made when it is not there")
	put := gjson.ParseBytes(backend.body(t, len(backend.bodies)-1))
	require.Equal(t, early.Time.UnixMilli(), put.Get("logEvents.0.timestamp").Int(), "in the order of time")
	line := gjson.Parse(put.Get("logEvents.1.message").Str)
	require.JSONEq(t, `{"Timestamp":`+fmt.Sprint(late.Time.UnixMilli())+`,"CloudWatchMetrics":[{"Namespace":"LlmProxy","Dimensions":[[],["project_id"],["project_id","model"]],"Metrics":[
		{"Name":"requests","Unit":"Count"},{"Name":"errors","Unit":"Count"},{"Name":"latency","Unit":"Milliseconds"},{"Name":"input_units","Unit":"Count"},{"Name":"output_units","Unit":"Count"},{"Name":"cost_usd","Unit":"None"}]}]}`, line.Get("_aws").Raw)
	for _, metric := range line.Get("_aws.CloudWatchMetrics.0.Metrics.#.Name").Array() {
		require.Equal(t, gjson.Number, line.Get(metric.Str).Type, metric.Str)
	}
	require.Equal(t, gjson.String, line.Get("project_id").Type)
	require.Equal(t, "gpt-4o", line.Get("model").Str)
	require.Equal(t, late.ID.String(), line.Get("id").Str)
	require.False(t, line.Get("request.body").Exists())
	require.Len(t, gjson.Get(put.Get("logEvents.0.message").Str, "_aws.CloudWatchMetrics.0.Dimensions").Array(), 2, "no metric for a model that only a caller has named")
}

func TestCloudWatchCallsStayWithinItsLimits(t *testing.T) {
	var sizes []int
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		list := gjson.GetBytes(body, "logEvents")
		if !list.Exists() {
			return takesLogEvents(w, r, body)
		}
		size := 0
		for _, e := range list.Array() {
			size += len(e.Get("message").Str) + logEventExtra
		}
		sizes = append(sizes, size)
		return takesLogEvents(w, r, body)
	})
	events := requests(8)
	for _, e := range events[:6] {
		e.Response.Body = whole(strings.Repeat("x", 250_000))
	}
	events[6].Response.Body = whole(strings.Repeat("\x01", 250_000)) // six bytes each as JSON
	events[7].Time = events[7].Time.Add(25 * time.Hour)
	require.Equal(t, make([]Result, 8), handOver(t, "cloudwatch", Settings{CloudWatch: CloudWatchConfig{Group: "g", Bodies: true, AWS: onAWS(backend.URL)}}, events...))
	require.Len(t, sizes, 3, "two by size, one for the next day")
	for _, size := range sizes {
		require.LessOrEqual(t, size, logCallBytes)
	}
	require.Len(t, backend.ids(), 8)
}

func TestCloudWatchRejectsAreDeadLettersWithTheirReason(t *testing.T) {
	for rejected, want := range map[string][]string{
		`{"tooOldLogEventEndIndex":1}`:                               {"too old", "", ""},
		`{"expiredLogEventEndIndex":2}`:                              {"older than the log group keeps", "older than the log group keeps", ""},
		`{"tooNewLogEventStartIndex":2}`:                             {"", "", "in the future"},
		`{"tooOldLogEventEndIndex":1,"tooNewLogEventStartIndex":-9}`: {"in the future", "in the future", "in the future"},
		`{"tooOldLogEventEndIndex":99}`:                              {"too old", "too old", "too old"},
	} {
		backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = io.WriteString(w, `{"rejectedLogEventsInfo":`+rejected+`}`)
			return nil
		})
		results := handOver(t, "cloudwatch", Settings{CloudWatch: CloudWatchConfig{Group: "g", AWS: onAWS(backend.URL)}}, requests(3)...)
		for i, reason := range want {
			if reason == "" {
				require.Equal(t, Result{}, results[i], rejected)
				continue
			}
			require.True(t, results[i].Poison)
			require.ErrorContains(t, results[i].Err, reason, rejected)
		}
	}
}

func TestEventBridgeEntriesAreThoseOfTheProxyOnAWS(t *testing.T) {
	var entries [][]gjson.Result
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		entries = append(entries, gjson.GetBytes(body, "Entries").Array())
		return takesEntries(w, r, body)
	})
	events := requests(23)
	events[1].Response.Body = whole(strings.Repeat("x", 250_000))
	results := handOver(t, "eventbridge", Settings{EventBridge: EventBridgeConfig{Bus: "events", AWS: onAWS(backend.URL)}}, events...)
	require.Equal(t, make([]Result, 23), results)
	require.Equal(t, []int{10, 10, 3}, []int{len(entries[0]), len(entries[1]), len(entries[2])})
	first := entries[0][0]
	require.Equal(t, "llm-proxy", first.Get("Source").Str)
	require.Equal(t, "request", first.Get("DetailType").Str)
	require.Equal(t, "events", first.Get("EventBusName").Str)
	require.JSONEq(t, string(events[0].AppendJSON(nil)), first.Get("Detail").Str)
	require.Equal(t, born.Unix(), first.Get("Time").Int())
	require.False(t, gjson.Get(entries[0][1].Get("Detail").Str, "response.body").Exists(), "a record that is too long goes without bodies")
}

// TestARecordTooLargeForTheBusLiesInTheBucket: under the name and in the form that the proxy on AWS gives it, so that dispatchers there
// read it back whole.
func TestARecordTooLargeForTheBusLiesInTheBucket(t *testing.T) {
	var details []string
	objects, refuse := map[string]string{}, 1
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		if r.Method != http.MethodPut {
			for _, entry := range gjson.GetBytes(body, "Entries").Array() {
				details = append(details, entry.Get("Detail").Str)
			}
			return takesEntries(w, r, body)
		}
		if refuse--; refuse >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return nil
		}
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
		objects[r.URL.Path] = string(body)
		return nil
	})
	events := requests(3)
	events[1].Request.Body, events[1].Response.Body = whole(`{"model":"gpt-4o"}`), whole(strings.Repeat("x", 250_000))
	settings := Settings{EventBridge: EventBridgeConfig{Bus: "events", Bucket: "claims", AWS: onAWS(backend.URL), PathStyle: true}}
	results := handOver(t, "eventbridge", settings, events...)
	require.ErrorContains(t, results[1].Err, "s3://claims")
	require.False(t, results[1].Poison, "it is tried again, with its bodies")
	require.Equal(t, []Result{{}, {}}, []Result{results[0], results[2]}, "the others do not wait for it")
	require.Len(t, details, 2)
	require.Len(t, events[1].Response.Body.Head, 250_000, "the event is as it was")

	require.Equal(t, []Result{{}}, handOver(t, "eventbridge", settings, events[1]))
	key := events[1].ClaimKey()
	require.Len(t, objects, 1)
	require.True(t, objects["/claims/"+key] == string(events[1].AppendJSON(nil)), "the whole record") //nolint:testifylint // too long to show
	detail := details[2]
	require.Less(t, len(detail), llmproxy.MaxOnBus)
	for body, size := range map[string]int64{"request.body": 18, "response.body": 250_000} {
		require.JSONEq(t, fmt.Sprintf(`{"s3":%q,"size":%d}`, key, size), gjson.Get(detail, body).Raw)
	}
	require.Equal(t, events[1].ID.String(), gjson.Get(detail, "id").Str)
}

func TestEventBridgeResendsOnlyWhatFailed(t *testing.T) {
	backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"FailedEntryCount":2,"Entries":[{"EventId":"a"},{"ErrorCode":"InternalFailure","ErrorMessage":"again"},{"ErrorCode":"MalformedDetail","ErrorMessage":"never"}]}`)
		return nil
	})
	results := handOver(t, "eventbridge", Settings{EventBridge: EventBridgeConfig{Bus: "events", AWS: onAWS(backend.URL)}}, requests(3)...)
	require.Equal(t, Result{}, results[0])
	require.Equal(t, Retry(results[1].Err, 0), results[1])
	require.EqualError(t, results[1].Err, "InternalFailure: again")
	require.True(t, results[2].Poison)
	for _, r := range handOver(t, "eventbridge", Settings{EventBridge: EventBridgeConfig{Bus: "events", AWS: onAWS(backend.URL)}}, requests(2)...) {
		require.ErrorContains(t, r.Err, "answered for 3 of 2")
	}
}

func TestAWSThatThrottlesIsLeftAlone(t *testing.T) {
	backend := newStub(t, nil)
	backend.mood = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	for _, r := range handOver(t, "s3", Settings{S3: S3Config{Bucket: "archive", AWS: onAWS(backend.URL), PathStyle: true}}, requests(2)...) {
		require.Equal(t, 5*time.Second, r.After)
		require.False(t, r.Poison)
	}
	require.Equal(t, 1, backend.calls, "the SDK does not try again by itself")
}

func TestSettingsThatCannotWorkAreErrors(t *testing.T) {
	key := llmproxy.NewSecret(fakeSecret)
	failing := AWSConfig(func(context.Context) (aws.Config, error) { return aws.Config{}, errors.New("no region") })
	for name, s := range map[string]Settings{
		"webhook":     {Webhook: WebhookConfig{URL: llmproxy.NewSecret("ftp://" + fakeSecret)}},
		"helicone":    {Helicone: HeliconeConfig{BaseURL: "https://example.com"}},
		"lunary":      {Lunary: LunaryConfig{}},
		"s3":          {},
		"cloudwatch":  {},
		"eventbridge": {},
	} {
		_, err := Open(name, s)
		require.ErrorContains(t, err, "the "+name+" destination")
		require.NotContains(t, err.Error(), fakeSecret)
	}
	for name, s := range map[string]Settings{
		"helicone": {Helicone: HeliconeConfig{Key: key, BaseURL: "nowhere"}},
		"lunary":   {Lunary: LunaryConfig{Key: key, BaseURL: "://"}},
		"webhook":  {Webhook: WebhookConfig{URL: llmproxy.NewSecret("https://example.com"), Secret: llmproxy.NewSecret("whsec_" + fakeSecret + "!")}},
	} {
		_, err := Open(name, s)
		require.Error(t, err)
		require.NotContains(t, err.Error(), fakeSecret)
	}
	for name, s := range map[string]Settings{
		"s3": {S3: S3Config{Bucket: "b", AWS: failing}}, "cloudwatch": {CloudWatch: CloudWatchConfig{Group: "g", AWS: failing}}, "eventbridge": {EventBridge: EventBridgeConfig{Bus: "b", AWS: failing}},
	} {
		d, err := Open(name, s)
		require.NoError(t, err)
		require.ErrorContains(t, d.Start(t.Context(), nil), "no region", "it is tried again by the loop")
	}
}

// TestNoCredentialIsInLogsOrDeadLetters: each backend quotes what it was sent in errors, once as a failure and then as poison.
func TestNoCredentialIsInLogsOrDeadLetters(t *testing.T) {
	for _, c := range destinationCases {
		t.Run(c.name, func(t *testing.T) {
			backend := newStub(t, nil)
			backend.mood = func(n int, w http.ResponseWriter, r *http.Request) bool {
				status := http.StatusBadRequest
				if n < 2 {
					status = http.StatusInternalServerError
				}
				http.Error(w, fmt.Sprintf("no: %s %s %s", r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Webhook-Signature")), status)
				return true
			}
			core, logs := observer.New(zap.DebugLevel)
			dead := filepath.Join(t.TempDir(), "dead.jsonl")
			address := backend.URL
			for range 2 { // the second time nobody listens
				dst, err := Open(c.name, c.open(address))
				require.NoError(t, err)
				src := newSource(requests(3)...)
				l := New(Config{Name: c.name, Source: src, Destination: dst, DeadLetters: dead, MaxAttempts: 3, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond, Log: zap.New(core)})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- l.Run(ctx) }()
				require.Eventually(t, func() bool { // CloudWatch fails before its first event
					return src.committed() == 3 || c.name == "cloudwatch" && l.Stats().Failing
				}, 30*time.Second, time.Millisecond)
				cancel()
				require.NoError(t, <-ended)
				require.NotContains(t, l.Stats().LastError, fakeSecret)
				backend.Close()
			}
			require.NotEmpty(t, logs.All())
			told := ""
			for _, entry := range logs.All() {
				fields, err := json.Marshal(entry.ContextMap())
				require.NoError(t, err)
				told += entry.Message + string(fields)
			}
			if c.name != "cloudwatch" {
				written, err := os.ReadFile(dead)
				require.NoError(t, err)
				require.NotEmpty(t, written)
				told += string(written)
			}
			require.NotContains(t, told, fakeSecret)
			require.NotContains(t, fmt.Sprintf("%+v %#v", c.open(address), c.open(address)), fakeSecret)
		})
	}
}

// TestNoPromptLeavesWhereBodiesAreNotWanted is H15: what is captured goes nowhere unless a destination needs it or is told to send it,
// and where nothing is captured there is nothing.
func TestNoPromptLeavesWhereBodiesAreNotWanted(t *testing.T) {
	const canary = "prompt-canary-0815"
	for _, c := range destinationCases {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex // calls may come several at once
			var sent []byte
			take := c.take()
			backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
				mu.Lock()
				defer mu.Unlock()
				if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
					plain, err := io.ReadAll(z)
					if err == nil {
						sent = append(sent, plain...)
					}
				}
				sent = append(sent, body...)
				return take(w, r, body)
			})
			poison, good := asked(strings.ReplaceAll(askHi, "Hi", canary), "text/event-stream", strings.ReplaceAll(streamsHello, "Hel", canary)), request(1)
			good.Request.Body, good.Response.Body = poison.Request.Body, poison.Response.Body
			poison.Path = poisonPath
			if c.name == "cloudwatch" {
				poison.Time = poison.Time.Add(-30 * 24 * time.Hour)
			}
			metadataOnly := c.name == "helicone" || c.name == "lunary" || c.name == "eventbridge" // they always get what was captured
			if metadataOnly {
				for _, e := range []*llmproxy.Event{poison, good} {
					e.Request.Body, e.Response.Body = nil, nil
				}
			}
			dst, err := Open(c.name, c.open(backend.URL))
			require.NoError(t, err)
			require.Equal(t, metadataOnly, dst.WantsBodies())
			src, dead := newSource(poison, good), filepath.Join(t.TempDir(), "dead.jsonl")
			core, logs := observer.New(zap.DebugLevel)
			l := New(Config{Name: c.name, Source: src, Destination: dst, DeadLetters: dead, Meter: Meter(price.Embedded()), Log: zap.New(core)})
			ctx, cancel := context.WithCancel(t.Context())
			src.onCommit = cancel
			require.NoError(t, l.Run(ctx))
			cancel()
			require.Contains(t, backend.ids(), good.ID.String())
			require.NotContains(t, string(sent), canary)
			if c.hasPoison {
				written, err := os.ReadFile(dead)
				require.NoError(t, err)
				require.NotContains(t, string(written), canary)
			}
			require.NotContains(t, fmt.Sprint(logs.All()), canary)
		})
	}
}
