package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestTheTablesNameWhatIsPromised: the tests below take what may change from the tables of forward.go, so the tables themselves are
// held to the words of the documentation.
func TestTheTablesNameWhatIsPromised(t *testing.T) {
	require.ElementsMatch(t, []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
	}, hopByHop)
	require.ElementsMatch(t, []string{"Authorization", "Proxy-Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "Cookie"}, removedCredentials)
	require.ElementsMatch(t, []string{
		"Forwarded", "X-Real-Ip", "Via", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	}, removedRouting)
	require.ElementsMatch(t, []string{"X-Forwarded-", "X-Amz"}, removedPrefixes)
	require.ElementsMatch(t, []string{"Set-Cookie"}, removedAnswer)
}

// passing are headers that a proxy might be tempted to touch, and must not.
const passing = "Content-Type: application/json\r\n" +
	"X-Twice: first\r\n" +
	"User-Agent: OpenAI/Python 2.1.0\r\n" +
	"X-Twice: second, with a comma\r\n" +
	"accept-encoding: gzip, br;q=0.5\r\n" +
	"ACCEPT: text/event-stream\r\n" +
	"x-stainless-retry-count: 0\r\n" +
	"X-Twice: first\r\n" +
	"Idempotency-Key: abc\r\n" +
	"X-Request-Id: mine\r\n" +
	"X-Llm-Proxy-Request-Id: of a proxy before us\r\n" +
	"OpenAI-Beta: assistants=v2\r\n" +
	"X-Empty:\r\n" +
	"X-Amount: 5\r\n" + // begins almost like a removed family
	"X-Forwardedness: 1\r\n" +
	"X-Method: 1\r\n" +
	"Cookies: none\r\n" +
	"Range: bytes=0-\r\n" +
	"If-None-Match: \"x\"\r\n" +
	"Cache-Control: no-cache\r\n" +
	"Accept-Language: de, en;q=0.7\r\n" +
	"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n" +
	"Origin: https://app.example\r\n" +
	"Referer: https://app.example/\r\n" +
	"X-Obs: b\xc3\xa4r \xff\r\n" +
	"X-Long: " + "0123456789abcdef0123456789abcdef0123456789abcdef\r\n"

// removed are headers of which none may arrive, one for each entry of the tables.
func removed() string {
	var b strings.Builder
	for _, list := range [][]string{hopByHop, removedCredentials, removedRouting} {
		for _, name := range list {
			switch name {
			case "Authorization", "X-Api-Key", "Transfer-Encoding", "Upgrade", "Expect", "Connection", "Trailer": // each needs its own request
				continue
			}
			fmt.Fprintf(&b, "%s: removed\r\n", name)
		}
	}
	for _, prefix := range removedPrefixes {
		fmt.Fprintf(&b, "%sfor: removed\r\n%sN-Trace: removed\r\n", strings.ToLower(prefix), prefix)
	}
	return b.String()
}

// fields reads header lines as a multiset: the values of each name in their order.
func fields(lines string) map[string][]string {
	all := map[string][]string{}
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\r\n"), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			name = strings.ToLower(name)
			all[name] = append(all[name], textproto.TrimString(value))
		}
	}
	return all
}

func (r *received) fields() map[string][]string {
	all := map[string][]string{}
	for _, f := range r.Fields {
		name := strings.ToLower(f.Name)
		all[name] = append(all[name], f.Value)
	}
	return all
}

// arrives is the head that the upstream must see of a head that was sent: by the tables, and by nothing else.
func arrives(sent map[string][]string, host string, drop []string, add map[string][]string) map[string][]string {
	want := map[string][]string{"host": {host}}
	named := strings.ToLower(strings.Join(sent["connection"], ","))
	for name, values := range sent {
		gone := name == "host" || slices.ContainsFunc(drop, func(d string) bool { return strings.EqualFold(d, name) })
		for _, list := range [][]string{hopByHop, removedCredentials, removedRouting} {
			gone = gone || slices.ContainsFunc(list, func(d string) bool { return strings.EqualFold(d, name) })
		}
		for _, prefix := range removedPrefixes {
			gone = gone || strings.HasPrefix(name, strings.ToLower(prefix))
		}
		for n := range strings.SplitSeq(named, ",") {
			gone = gone || strings.TrimSpace(n) == name
		}
		if !gone || name == "content-length" {
			want[name] = values
		}
	}
	if slices.Contains(sent["transfer-encoding"], "chunked") {
		want["transfer-encoding"] = []string{"chunked"} // the length stays unknown
	}
	for name, values := range add {
		want[name] = values
	}
	return want
}

// exchangeRaw writes a request by hand and reads the answer.
func (p *testProxy) exchangeRaw(t testing.TB, raw string) answer {
	t.Helper()
	conn := p.dial(t)
	_, err := io.WriteString(conn, raw)
	require.NoError(t, err)
	method, _, _ := strings.Cut(raw, " ")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	for err == nil && res.StatusCode == http.StatusContinue {
		res, err = http.ReadResponse(r, &http.Request{Method: method})
	}
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	return answer{res, string(body), err}
}

func TestTheUpstreamGetsTheRequestUnchanged(t *testing.T) {
	o := serveOrigin(t, answerOK)
	host := strings.TrimPrefix(o.URL, "http://")
	p := newProxy(t, o.URL, stanza("request_headers: {drop: [OpenAI-Organization, X-Dropped-By-Provider], set: {X-Set-By-Provider: 'yes', X-Also-Set: '1'}}"))
	token := p.mint(t, func(g *llmproxy.Gate, _ *llmproxy.Project) {
		g.RequestHeadersDrop = []string{"x-dropped-by-token", "Accept-Language"}
	})
	other := p.mint(t, of("anthropic"))
	drop := []string{"OpenAI-Organization", "X-Dropped-By-Provider", "x-dropped-by-token", "Accept-Language"}
	dropped := "openai-organization: org\r\nX-Dropped-By-Provider: 1\r\nX-dropped-by-TOKEN: 1\r\nX-Dropped-By-Token: 2\r\n"
	add := map[string][]string{"authorization": {"Bearer " + fakeKey}, "x-set-by-provider": {"yes"}, "x-also-set": {"1"}}
	bearer := "Authorization: Bearer " + token + "\r\n"
	large := strings.Repeat("\x00\xff{}\r\n", 40<<10)
	const query = "?a=1&&b=%2f%2F&c=+%20x&d=\xc3\xa4;e&a=1&sig='\"<>[]{}|^`\\"

	for name, c := range map[string]struct {
		line, head, body string
		out              string // request line
		drop             []string
		add              map[string][]string
		arrived          string // body
	}{
		"everything at once": {
			line: "POST /v1/chat/completions" + query, head: bearer + passing + removed() + dropped, body: `{"a": 1 }`, arrived: `{"a": 1 }`,
			out: "POST /v1/chat/completions" + query, drop: drop, add: add,
		},
		"a set header replaces the caller's": {
			line: "POST /v1/chat/completions", head: bearer + "x-set-by-provider: mine\r\nX-Also-Set: mine\r\n", body: "{}", arrived: "{}",
			out: "POST /v1/chat/completions", drop: drop, add: add,
		},
		"what Connection names, the credential never": {
			line: "POST /v1/responses", head: bearer + "Connection: X-Named, authorization\r\nconnection: Also-Named ,, close, X-Set-By-Provider\r\nX-Named: 1\r\nAlso-Named: 2\r\nStays: 3\r\n",
			body: "{}", arrived: "{}", out: "POST /v1/responses", drop: drop, add: add,
		},
		"GET": {line: "GET /v1/models", head: bearer + passing, out: "GET /v1/models", drop: drop, add: add},
		"an id and a query without a value": {
			line: "GET /v1/models/ft:gpt-4o:x?", head: bearer, out: "GET /v1/models/ft:gpt-4o:x?", drop: drop, add: add,
		},
		"DELETE with a body":    {line: "DELETE /v1/files/f", head: bearer, body: "x", arrived: "x", out: "DELETE /v1/files/f", drop: drop, add: add},
		"POST without a body":   {line: "POST /v1/responses/r/cancel", head: bearer + "Content-Length: 0\r\n", out: "POST /v1/responses/r/cancel", drop: drop, add: add},
		"a large body":          {line: "POST /v1/files", head: bearer, body: large, arrived: large, out: "POST /v1/files", drop: drop, add: add},
		"Expect":                {line: "POST /v1/files", head: bearer + "Expect: 100-continue\r\n", body: "{}", arrived: "{}", out: "POST /v1/files", drop: drop, add: add},
		"an upgrade to h2c":     {line: "GET /v1/models", head: bearer + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\nConnection: Upgrade, HTTP2-Settings\r\n", out: "GET /v1/models", drop: drop, add: add},
		"chunks":                {line: "POST /v1/files", head: bearer + "Transfer-Encoding: chunked\r\n", body: "3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n", arrived: `{"a":1}`, out: "POST /v1/files", drop: drop, add: add},
		"chunks and trailers":   {line: "POST /v1/files", head: bearer + "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nTE: trailers\r\n", body: "2;ext=1\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n", arrived: "{}", out: "POST /v1/files", drop: drop, add: add},
		"chunks without a byte": {line: "POST /v1/files", head: bearer + "Transfer-Encoding: chunked\r\n", body: "0\r\n\r\n", out: "POST /v1/files", drop: drop, add: add},
		"the provider's own header": {
			line: "POST /anthropic/v1/messages", head: "X-Api-Key: " + other + "\r\nanthropic-version: 2023-06-01\r\n" + passing + removed(), body: "{}", arrived: "{}",
			out: "POST /v1/messages", drop: []string{"X-Dropped-By-Provider"},
			add: map[string][]string{"x-api-key": {fakeKey}, "x-set-by-provider": {"yes"}, "x-also-set": {"1"}},
		},
		"a bearer token for a provider with a header of its own": {
			line: "POST /anthropic/v1/messages", head: "authorization: bearer " + other + "\r\n", body: "{}", arrived: "{}", out: "POST /v1/messages",
			add: map[string][]string{"x-api-key": {fakeKey}, "x-set-by-provider": {"yes"}, "x-also-set": {"1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			head := "Host: whatever.example\r\n" + c.head
			if c.body != "" && !strings.Contains(head, "Transfer-Encoding") {
				head += fmt.Sprintf("Content-Length: %d\r\n", len(c.body))
			}
			res := p.exchangeRaw(t, c.line+" HTTP/1.1\r\n"+head+"\r\n"+c.body)
			require.Equal(t, 200, res.StatusCode, res.Body)
			got := o.last(t)
			require.Equal(t, c.out+" HTTP/1.1", got.Line)
			require.Equal(t, arrives(fields(head), host, c.drop, c.add), got.fields())
			require.Equal(t, c.arrived, string(got.Body))
		})
	}
}

// TestNoHeaderIsInvented: a request with next to nothing arrives with the credential, the provider's list and framing.
func TestNoHeaderIsInvented(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	host := strings.TrimPrefix(o.URL, "http://")
	auth := "Bearer " + fakeKey
	require.Equal(t, 200, p.exchangeRaw(t, "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+p.mint(t)+"\r\n\r\n").StatusCode)
	require.Equal(t, map[string][]string{"host": {host}, "authorization": {auth}}, o.last(t).fields())
	require.Equal(t, 200, p.exchangeRaw(t, "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+p.mint(t)+"\r\n\r\n").StatusCode)
	require.Equal(t, map[string][]string{"host": {host}, "authorization": {auth}, "content-length": {"0"}}, o.last(t).fields())
}

// TestAnOldClientIsServed: HTTP/1.0 knows no chunks, and its connection ends with the answer.
func TestAnOldClientIsServed(t *testing.T) {
	o := serveOrigin(t, answerWith(streamHead, "4\r\ndata\r\n0\r\n\r\n"))
	p := newProxy(t, o.URL)
	conn := p.dial(t)
	fmt.Fprintf(conn, "POST /v1/completions HTTP/1.0\r\nAuthorization: Bearer %s\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", p.mint(t))
	all, err := io.ReadAll(conn)
	require.NoError(t, err)
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	require.Regexp(t, `^HTTP/1\.[01] 200 OK\r\n`, head)
	require.Equal(t, "data", body)
	require.Contains(t, head, "Connection: close")
	require.Equal(t, "{}", string(o.last(t).Body))
}
