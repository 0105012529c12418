package dispatch

import (
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
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
