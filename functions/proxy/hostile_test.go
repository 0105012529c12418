//go:build unix

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

func TestCredentialsAreReadAlikeAtBothDoors(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	authorization := func(lines ...string) http.Header { return http.Header{"Authorization": lines} }
	cases := map[string]doorCase{
		"a scheme in lower case":        {body: question, header: authorization("bearer " + token), status: 200, outcome: llmproxy.Complete},
		"a space behind":                {body: question, header: authorization("Bearer " + token + " "), status: 200, outcome: llmproxy.Complete}, // HTTP itself drops it
		"a tab between":                 {body: question, header: authorization("Bearer\t" + token), status: 401},
		"two spaces":                    {body: question, header: authorization("Bearer  " + token), status: 401},
		"two in one line":               {body: question, header: authorization("Bearer " + token + ", Bearer " + token), status: 401},
		"a word behind":                 {body: question, header: authorization("Bearer " + token + " x"), status: 401},
		"10 KB":                         {body: question, header: authorization("Bearer " + strings.Repeat("x", 10<<10)), status: 401},
		"empty":                         {body: question, header: authorization(""), status: 401},
		"the scheme alone":              {body: question, header: authorization("Bearer"), status: 401},
		"half a token":                  {body: question, header: authorization("Bearer " + token[:len(token)/2]), status: 401},
		"one letter changed":            {body: question, header: authorization("Bearer " + flip(token)), status: 401, code: "token_invalid"},
		"stripped by Connection":        {body: question, header: http.Header{"Connection": {"Authorization"}}, status: 200, outcome: llmproxy.Complete},
		"where it came from":            {body: question, header: http.Header{"Forwarded": {"for=10.0.0.1"}, "X-Forwarded-Host": {"a.example"}, "X-Forwarded-For": {"10.0.0.1"}, "X-Real-Ip": {"10.0.0.1"}, "X-Original-Url": {"/manage"}, "Via": {"1.1 a"}}, status: 200, outcome: llmproxy.Complete},
		"another host and method":       {body: question, header: http.Header{"X-Http-Method-Override": {"DELETE"}, "X-Http-Method": {"DELETE"}, "X-Method-Override": {"DELETE"}, "X-Original-Url": {"/v1/files"}, "X-Rewrite-Url": {"/v1/files"}}, status: 200, outcome: llmproxy.Complete},
		"what ends here":                {body: question, header: http.Header{"Te": {"trailers"}, "Trailer": {"X-A"}, "Proxy-Authorization": {"Basic eDp5"}, "Keep-Alive": {"timeout=5"}}, status: 200, outcome: llmproxy.Complete},
		"tenants and keys of others":    {body: question, header: http.Header{"Openai-Organization": {"org-fake"}, "Openai-Project": {"proj-fake"}, "Api-Key": {"fake"}, "X-Api-Key": {"fake"}, "X-Goog-Api-Key": {"fake"}, "Cookie": {"a=1; b=2"}}, status: 200, outcome: llmproxy.Complete},
		"a key in the query":            {path: "/v1/models?key=x", method: "GET", status: 400, code: "credential_in_query"},
		"a key in the query, encoded":   {path: "/v1/models?%61pi_key=x", method: "GET", status: 400, code: "credential_in_query"},
		"cookies of the upstream":       {body: question, header: demoHeader("header=Set-Cookie:a=1,header=Server:x,header=Alt-Svc:h2,header=Openai-Organization:org-fake"), status: 200, outcome: llmproxy.Complete},
		"that switch a retry on":        {body: question, header: http.Header{"Idempotency-Key": {"a"}, "X-Idempotency-Key": {"a"}, "X-Demo": {"close-before-head"}}, status: 502, outcome: llmproxy.UpstreamError},
		"a retry of what is only asked": {method: "GET", path: "/v1/models", header: demoHeader("status=500"), status: 500, outcome: llmproxy.Complete},
	}
	s.alike(t, token, cases)
	for _, r := range s.upstream.Requests() {
		require.Equal(t, []string{"Bearer " + providerKey}, r.Header["Authorization"])
		for _, name := range []string{
			"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url", "Via", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
			"Te", "Trailer", "Proxy-Authorization", "Keep-Alive", "Openai-Organization", "Openai-Project", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "Cookie", "X-Amzn-Trace-Id",
		} {
			require.NotContains(t, r.Header, name)
		}
	}
}

// flip changes the last letter of a token but one.
func flip(token string) string {
	b := []byte(token)
	i := len(b) - 2
	if b[i]++; b[i] > 'y' {
		b[i] = 'a'
	}
	return string(b)
}

func TestFaultsOfTheUpstreamEndAlikeAtBothDoors(t *testing.T) {
	s := setup{providers: "  dead: {preset: openai, base_url: \"http://127.0.0.1:1\"}\n" +
		"  hasty: {preset: openai, base_url: %UPSTREAM%, timeouts: {response_header: 300ms, idle: 300ms}}\n"}.start(t)
	_, token := s.mint()
	stream := func(words string) doorCase {
		return doorCase{body: streamQuestion, header: demoHeader("events=9," + words), status: 200, outcome: llmproxy.Complete}
	}
	cut := func(words string) doorCase {
		c := stream(words)
		c.outcome, c.broken = llmproxy.Cut, true
		return c
	}
	metered := func(c doorCase) doorCase { c.usage = true; return c }
	s.alike(t, token, map[string]doorCase{
		"FIN":                       cut("cut-after=4"),
		"RST":                       cut("reset-after=4"),
		"bad chunks":                cut("bad-chunk-after=4"),
		"FIN before the first byte": cut("cut-after=0"),
		"too long a promise":        {body: question, header: demoHeader("lie-content-length=100"), status: 200, outcome: llmproxy.Cut, broken: true},
		"a head of a megabyte":      {body: question, header: demoHeader("big-head"), status: 502, outcome: llmproxy.UpstreamError},
		"no answer":                 {body: question, header: demoHeader("close-before-head"), status: 502, outcome: llmproxy.UpstreamError},
		"its 500":                   {body: question, header: demoHeader("status=500"), status: 500, outcome: llmproxy.Complete},
		"its 503":                   {body: question, header: demoHeader("status=503"), status: 503, outcome: llmproxy.Complete},
		"a drip":                    {body: question, header: demoHeader("drip=100us"), status: 200, outcome: llmproxy.Complete, usage: true},
		"a stream":                  metered(stream("")),
		"a stream in gzip":          metered(stream("gzip")),
		"a stream in Brotli":        metered(stream("br")),
		"a stream in Zstandard":     metered(stream("zstd")),
		"an answer":                 {body: question, status: 200, outcome: llmproxy.Complete, usage: true},
		"an answer in gzip":         {body: question, header: demoHeader("gzip"), status: 200, outcome: llmproxy.Complete, usage: true},
		"an answer in Brotli":       {body: question, header: demoHeader("br"), status: 200, outcome: llmproxy.Complete, usage: true},
		"an answer in Zstandard":    {body: question, header: demoHeader("zstd"), status: 200, outcome: llmproxy.Complete, usage: true},
		"a cut stream in gzip":      cut("gzip,cut-after=4"),
		"4 MB":                      {body: question, header: demoHeader("size=4000000"), status: 200, outcome: llmproxy.Complete},
		"4 MB in gzip":              {body: question, header: demoHeader("size=4000000,gzip"), status: 200, outcome: llmproxy.Complete},
	})

	of := func(provider string) string {
		project, err := s.service.CreateProject(t.Context(), llmproxy.Actor{Name: "local"}, manage.NewProject{Name: provider, Provider: provider, APIKey: llmproxy.NewSecret(providerKey)})
		require.NoError(t, err)
		_, token := s.mint(func(n *manage.NewToken) { n.ProjectID = project.ID })
		return token
	}
	s.alike(t, of("dead"), map[string]doorCase{
		"nobody there": {path: "/dead/v1/chat/completions", body: question, status: 502, outcome: llmproxy.UpstreamError},
	})
	hasty := cut("hang-after=4")
	hasty.path = "/hasty/v1/chat/completions"
	s.alike(t, of("hasty"), map[string]doorCase{
		"no head in time": {path: hasty.path, body: question, header: demoHeader("hang"), status: 504, outcome: llmproxy.UpstreamError},
		"silence":         hasty,
	})
	require.NotContains(t, s.log.String(), "the process ended")
}

// A redirect is the caller's to follow or not: nobody else gets the key, and where it leads to another origin the caller is not told.
func TestARedirectLeadsNobodyElsewhere(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	cases := map[string]doorCase{}
	for _, status := range []int{301, 302, 303, 307, 308} {
		cases[fmt.Sprint(status)] = doorCase{body: question, header: demoHeader(fmt.Sprintf("redirect=%s/v1,status=%d", elsewhere.URL, status)), status: status, outcome: llmproxy.Complete}
	}
	s.alike(t, token, cases)
	for _, status := range []int{301, 307} {
		header := bearer(token)
		header.Set("X-Demo", fmt.Sprintf("redirect=%s/v1,status=%d", elsewhere.URL, status))
		require.Empty(t, s.ask(s.url, "POST", "/v1/chat/completions", question, header).header.Get("Location"))
	}
	require.Zero(t, asked.Load())
	require.Len(t, s.upstream.Requests(), 2*len(cases)+2)
}

// Targets and methods that name nothing of ours reach nobody.
func TestNothingIsAskedOfWhatNoEndpointNames(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	long := "/v1/models/" + strings.Repeat("x", 100<<10)
	for _, c := range []struct{ method, target string }{
		{"GET", "http://elsewhere.example/v1/models"},
		{"POST", "https://elsewhere.example/v1/chat/completions"},
		{"POST", "http://user:pass@elsewhere.example/v1/chat/completions"},
		{"OPTIONS", "*"},
		{"GET", "*"},
		{"CONNECT", "elsewhere.example:443"},
		{"CONNECT", "/v1/models"},
		{"TRACE", "/v1/models"},
		{"TRACE", "/v1/chat/completions"},
		{"OPTIONS", "/v1/chat/completions"},
		{"PUT", "/v1/chat/completions"},
		{"PATCH", "/v1/models"},
		{"FOO", "/v1/chat/completions"},
		{"get", "/v1/models"},
		{"GET", "/"},
		{"GET", "/?"},
		{"GET", long},
		{"POST", long},
	} {
		for _, door := range []string{s.server, s.url} {
			status := s.raw(t, door, c.method, c.target, token)
			require.Contains(t, []int{400, 404, 405, 414}, status, "%s %.60q at %s", c.method, c.target, door)
		}
	}
	require.Empty(t, s.upstream.Requests())
	require.NotContains(t, s.log.String(), `"begin"`, "and nothing was counted")
}
