package lambdahttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is what a caller gets of a function URL or an API.
type answer struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Cookies []string          `json:"cookies"`
	Text    *string           `json:"body"`
	Base64  bool              `json:"isBase64Encoded"`

	body   []byte
	broken error // how reading ended, if not with io.EOF
}

// event decodes a payload as the runtime does.
func event(t testing.TB, payload string) *lambdahttp.Event {
	t.Helper()
	var e lambdahttp.Event
	require.NoError(t, json.Unmarshal([]byte(payload), &e))
	return &e
}

const (
	urlDomain = "abcdefghij.lambda-url.eu-central-1.on.aws"
	apiDomain = "abcdefghij.execute-api.eu-central-1.amazonaws.com"
)

// request is the event of a request to a function URL, of those members that a test is about.
func request(method, path string, more ...string) string {
	members := append([]string{
		`"version":"2.0"`,
		`"rawPath":` + quote(path),
		`"requestContext":{"domainName":"` + urlDomain + `","http":{"method":` + quote(method) + `,"path":` + quote(path) + `,"protocol":"HTTP/1.1","sourceIp":"192.0.2.7"}}`,
	}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// viaAPI is the same request as it comes through API Gateway.
func viaAPI(payload string) string { return strings.ReplaceAll(payload, urlDomain, apiDomain) }

// deadline is an invocation's context as the runtime makes it.
func deadline(t testing.TB, in time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), in)
	t.Cleanup(cancel)
	return ctx
}

// invoke calls a function as the runtime does: read to the end, then close.
func invoke(t testing.TB, f lambdahttp.Function, payload string) answer {
	t.Helper()
	body, err := f(deadline(t, time.Minute), event(t, payload))
	require.NoError(t, err)
	raw, err := io.ReadAll(body)
	require.NoError(t, body.Close())
	return parse(t, body, raw, err)
}

func parse(t testing.TB, from io.Reader, raw []byte, err error) answer {
	t.Helper()
	a := answer{broken: err}
	if from.(interface{ ContentType() string }).ContentType() == "application/json" {
		require.NoError(t, json.Unmarshal(raw, &a))
		if a.Text != nil {
			a.body = []byte(*a.Text)
		}
		if a.Base64 {
			var text []byte
			require.NoError(t, json.Unmarshal([]byte(quote(*a.Text)), &text))
			a.body = text
		}
		return a
	}
	head, body, found := bytes.Cut(raw, make([]byte, 8))
	if !found {
		require.Error(t, err, "an answer without a head")
		return a
	}
	require.NoError(t, json.Unmarshal(head, &a), "%s", head)
	a.body = body
	return a
}

// handle makes a function that streams.
func handle(h http.HandlerFunc) lambdahttp.Function { return lambdahttp.Stream(h, nil) }
