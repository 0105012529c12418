package lambdahttp_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"

	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
)

// seen is a request as its handler saw it.
type seen struct {
	*http.Request
	body []byte
}

// see invokes a function with a payload and returns the request that the handler got, or none.
func see(t testing.TB, payload string) (*seen, answer) {
	t.Helper()
	var s *seen
	a := invoke(t, handle(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s = &seen{r, body}
		w.WriteHeader(http.StatusNoContent)
	}), payload)
	return s, a
}

func TestARequestIsWhatAServerWouldHaveRead(t *testing.T) {
	r, _ := see(t, request("POST", "/v1/chat/completions",
		`"rawQueryString":"a=1&b=%20&a=2"`,
		`"headers":{"host":"`+urlDomain+`","content-type":"application/json","content-length":"999","transfer-encoding":"chunked","x-many":"a,b","user-agent":"test"}`,
		`"cookies":["a=1","b=2"]`, `"body":"{\"x\":\"ä\"}"`, `"isBase64Encoded":false`))
	require.Equal(t, "POST", r.Method)
	require.Equal(t, "/v1/chat/completions?a=1&b=%20&a=2", r.RequestURI)
	require.Equal(t, "/v1/chat/completions", r.URL.Path)
	require.Equal(t, "a=1&b=%20&a=2", r.URL.RawQuery)
	require.Empty(t, r.URL.Host)
	require.Empty(t, r.URL.Scheme)
	require.Equal(t, urlDomain, r.Host)
	require.Equal(t, "192.0.2.7:0", r.RemoteAddr)
	require.True(t, r.ProtoAtLeast(1, 1))
	require.Equal(t, `{"x":"ä"}`, string(r.body))
	require.EqualValues(t, len(r.body), r.ContentLength)
	require.Equal(t, http.Header{
		"Content-Type": {"application/json"}, "X-Many": {"a,b"}, "User-Agent": {"test"}, "Cookie": {"a=1; b=2"},
	}, r.Header)
	require.NotNil(t, r.Context().Value(http.ServerContextKey), "handlers that break an answer off look for it")
	_, err := r.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, r.Body.Close())
	_, err = r.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
}

func TestABinaryBodyIsDecodedOnceAndItsLengthIsKnown(t *testing.T) {
	for _, size := range []int{1, 10 << 10, 1 << 20, 4<<20 + 400<<10} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(i * 7 >> 3)
		}
		r, _ := see(t, request("POST", "/", `"isBase64Encoded":true`, `"body":"`+base64.StdEncoding.EncodeToString(body)+`"`))
		require.EqualValues(t, size, r.ContentLength)
		require.True(t, slices.Equal(body, r.body), "%d bytes", size)
	}
}

func TestARequestWithoutABodyHasNone(t *testing.T) {
	for _, more := range []string{`"body":""`, `"isBase64Encoded":true`, `"body":null`} {
		r, _ := see(t, request("GET", "/", more))
		require.Equal(t, http.NoBody, r.Body)
		require.Zero(t, r.ContentLength)
	}
}

func TestNoPathChangesTheHost(t *testing.T) {
	for raw, path := range map[string]string{
		"//evil.example/v1":       "//evil.example/v1",
		"http://evil.example/v1":  "http://evil.example/v1",
		"@evil.example":           "@evil.example",
		":8080@evil.example/v1":   ":8080@evil.example/v1",
		"/v1/%2e%2e/x":            "/v1/../x",
		"/v1%2fchat":              "/v1/chat",
		"/v1/a?b":                 "/v1/a?b",
		"/v1/a#b":                 "/v1/a#b",
		"/v1/\\evil.example":      "/v1/\\evil.example",
		"":                        "",
		"*":                       "*",
		"/v1/../../x/./y//z;a=b?": "/v1/../../x/./y//z;a=b?",
	} {
		r, a := see(t, request("GET", raw, `"headers":{"host":"`+urlDomain+`"}`))
		require.NotNil(t, r, "%q: %d", raw, a.Status)
		require.Equal(t, raw, r.RequestURI, "the raw target")
		require.Equal(t, path, r.URL.Path, raw)
		require.Equal(t, urlDomain, r.Host, raw)
		require.Empty(t, r.URL.Host, raw)
		require.Empty(t, r.URL.Scheme, raw)
	}
}

func TestAPathThatAnAPIHasDecodedIsNotDecodedAgain(t *testing.T) {
	var got *http.Request
	f := lambdahttp.Buffered(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }), nil)
	invoke(t, f, viaAPI(request("GET", "/manage/a b%41?c", `"rawQueryString":"q=%20"`)))
	require.Equal(t, "/manage/a b%41?c", got.URL.Path)
	require.Equal(t, "/manage/a%20b%2541%3Fc?q=%20", got.RequestURI)
}

func TestWhatNoServerWouldReadIs400(t *testing.T) {
	for name, payload := range map[string]string{
		"a broken escape":          request("GET", "/%zz"),
		"a space in the path":      request("GET", "/a b"),
		"a line break in the path": request("GET", "/a\r\nX: y"),
		"a control in the query":   request("GET", "/", `"rawQueryString":"a\u0000"`),
		"no method":                request("", "/"),
		"a method with a space":    request("GET /", "/"),
		"a header name":            request("GET", "/", `"headers":{"a b":"c"}`),
		"a header value":           request("GET", "/", `"headers":{"a":"b\nc"}`),
		"a cookie":                 request("GET", "/", `"cookies":["a\nb"]`),
		"not base64":               request("POST", "/", `"isBase64Encoded":true`, `"body":"%"`),
	} {
		r, a := see(t, payload)
		require.Nil(t, r, name)
		require.Equal(t, http.StatusBadRequest, a.Status, name)
		require.Equal(t, "400 Bad Request\n", string(a.body), name)
	}
}

func TestTheHostFallsBackToTheDomain(t *testing.T) {
	for _, headers := range []string{`{}`, `{"host":""}`, `{"host":"a b"}`} {
		r, _ := see(t, request("GET", "/", `"headers":`+headers))
		require.Equal(t, urlDomain, r.Host)
		require.NotContains(t, r.Header, "Host")
	}
	r, _ := see(t, request("GET", "/", `"headers":{"host":"proxy.example"}`))
	require.Equal(t, "proxy.example", r.Host)
}

func TestNamesThatDifferInCaseAloneAreOneHeader(t *testing.T) {
	r, _ := see(t, request("GET", "/", `"headers":{"x-a":"1","X-A":"2","x-b":"3"}`))
	require.ElementsMatch(t, []string{"1", "2"}, r.Header["X-A"])
	require.Equal(t, []string{"3"}, r.Header["X-B"])
}

func FuzzEventToRequest(f *testing.F) {
	seeds, err := filepath.Glob("testdata/events/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, seeds)
	for _, name := range seeds {
		payload, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var e lambdahttp.Event
		if json.Unmarshal(payload, &e) != nil {
			return // not an event
		}
		var r *seen
		h := http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
			body, err := io.ReadAll(got.Body)
			if err != nil {
				t.Error(err)
			}
			r = &seen{got, body}
		})
		body, err := lambdahttp.Stream(h, nil)(t.Context(), &e)
		require.NoError(t, err)
		raw, err := io.ReadAll(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		a := parse(t, body, raw, err)
		if r == nil {
			require.Equal(t, http.StatusBadRequest, a.Status)
			return
		}
		require.Equal(t, http.StatusOK, a.Status)
		require.Empty(t, r.URL.Host)
		if r.Host != e.RequestContext.DomainName {
			require.True(t, httpguts.ValidHostHeader(r.Host))
		}
		require.False(t, strings.ContainsAny(r.RequestURI, " \r\n\x00"), "a target that could end a request line: %q", r.RequestURI)
		if strings.Contains(e.RequestContext.DomainName, ".lambda-url.") {
			require.True(t, strings.HasPrefix(r.RequestURI, e.RawPath))
		}
		if e.RawQueryString != "" {
			require.True(t, strings.HasSuffix(r.RequestURI, "?"+e.RawQueryString))
		}
		require.EqualValues(t, len(r.body), r.ContentLength)
		if !e.IsBase64Encoded {
			require.Equal(t, e.Body, string(r.body))
		}
		for name, values := range r.Header {
			require.True(t, httpguts.ValidHeaderFieldName(name), name)
			require.NotContains(t, []string{"Host", "Content-Length", "Transfer-Encoding"}, name)
			for _, value := range values {
				require.True(t, httpguts.ValidHeaderFieldValue(value), value)
			}
		}
	})
}
