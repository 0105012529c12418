package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hostilePaths are ways to write a path that some server, framework or provider takes for another one. None may pass.
var hostilePaths = []string{
	"/v1/models%2fm", "/v1%2fmodels", "/v1%2Fmodels", "%2fv1%2fmodels", "/v1/models/%2fm", // an encoded slash
	"//v1/models", "/v1//models", "/v1/models//m", "/v1/models//", "///v1/models", // empty segments
	"/./v1/models", "/v1/./models", "/v1/models/.", "/v1/models/./m", // dot segments
	"/../v1/models", "/v1/../v1/models", "/v1/models/..", "/v1/models/../files", "/v1/models/m/../../files", "/v1/models/...", "/v1/models/....",
	"/v1/models/%2e%2e", "/v1/models/%2E%2E/files", "/v1/%2e/models", "/v1/models/.%2e", "/v1/models/%2e.", // encoded dots
	"/v1/models;a=b", "/v1;x/models", "/v1/models/m;a=b", "/v1/models;", // parameters
	"/V1/models", "/v1/Models", "/v1/MODELS", "/v1/chat/Completions", // case
	"/v1/models.", "/v1./models", "/v1/models/", "/v1/chat/completions/", "/v1/chat/completions.", "/v1/models.json", // trailing dot and slash
	`\v1\models`, `/v1\models`, `/v1/models\m`, `/v1/models/..\files`, "/v1%5cmodels", "/v1/models%5Cm", // backslashes
	"/%76%31/models", "/v1/m%6fdels", "/v1/models/%6d", "/v1/models/a%2fb", "/v1/models/a%252fb", "/v1%252fmodels", "/%2576%2531/models", // single and double encoding
	"/v1/models%00", "/v1/models/m%00", "/v1/models/%0a", "/v1/models/m%0d%0aX-A:1", "/v1/models%20", "/v1/models%09", "/v1/models/%7f", // control characters
	"/v1/models%3fx", "/v1/models/m%3fx=1", "/v1/models%23x", "/v1/models#x", "/v1/models/m#x", // encoded delimiters
	"/v1/mod\xc3\xa9ls", "/v1/models/\xff", "/v1/models/%c0%ae%c0%ae", "/v1/models/%ef%bc%8e%ef%bc%8e", "/v1/models/%u002e", // other characters
	"/v1", "/v1/", "/", "/v1/models/a/b", "/v1/files/f/content/x", "/v1/modelsx", "/xv1/models", "/v1/v1/models", // too much and too little
	"/openai", "/openai/", "/openai/models", "/openai//v1/models", "/OpenAI/v1/models", "/openai/openai/v1/models", "/other/v1/models", "/anthropic/v1/chat/completions", "/manage/projects", "/admin/", "/health",
	"/v1/models/" + strings.Repeat("m", 129), "/v1/models/m@x", "/v1/models/m,x", "/v1/models/m+x", "/v1/models/~m", "/v1/models/m*", "/v1/models/$m", "/v1/models/{model}", "/v1/models/(m)", "/v1/models/m'x", "/v1/models/m!", "/v1/models/m&x=1", "/v1/models/m=1",
	"/v1/organization/admin_api_keys", "/v1/realtime/sessions", "/v1/fine_tuning/jobs/../../organization/users", "/v1/files/f/content/../../../organization",
}

// raw sends a request line by hand with a good token, and returns the status and the code of our error; status 0 is a connection that
// was closed without an answer.
func (p *testProxy) rawTarget(t testing.TB, token, method, target string) (status int, answer string) {
	t.Helper()
	conn := p.dial(t)
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", method, target, token)
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func TestOnlyExactPathsReachTheUpstream(t *testing.T) {
	require.GreaterOrEqual(t, len(hostilePaths), 100)
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	token := p.mint(t)
	for _, path := range hostilePaths {
		for _, method := range []string{"GET", "POST"} {
			status, body := p.rawTarget(t, token, method, path)
			require.Contains(t, []int{400, 404}, status, "%s %s: %s", method, path, body)
		}
	}
	require.Empty(t, o.requests())
	require.Zero(t, p.Store.calls(), "refused before the token is looked at")
	require.Empty(t, p.Events.begins)
}

// TestTheOutgoingPathIsTheEndpoints: of what the caller wrote only a checked id is in it.
func TestTheOutgoingPathIsTheEndpoints(t *testing.T) {
	o := serveOrigin(t, answerOK)
	for base, prefix := range map[string][2]string{"": {"", "/v1"}, "/deep/base": {"", "/deep/base/v1"}, "/azure": {"path_prefix: /openai/v2", "/azure/openai/v2"}, "/none": {"path_prefix: ''", "/none"}} {
		p := newProxy(t, o.URL+base, func(s *setup) {
			if prefix[0] != "" {
				s.lines = append(s.lines, prefix[0])
			}
		})
		token := p.mint(t)
		for in, out := range map[string]string{
			"/v1/models": "/models", "/openai/v1/models": "/models", "/v1/models/ft:gpt-4o_x.1": "/models/ft:gpt-4o_x.1", "/v1/files/..f/content": "/files/..f/content",
			"/v1/models/" + strings.Repeat("m", 128): "/models/" + strings.Repeat("m", 128), "/openai/v1/models/m?a=/../b": "/models/m?a=/../b",
		} {
			status, body := p.rawTarget(t, token, "GET", in)
			require.Equal(t, 200, status, "%s: %s", in, body)
			require.Equal(t, "GET "+prefix[1]+out+" HTTP/1.1", o.last(t).Line)
		}
		for _, path := range []string{"/v1/chat/completions", "/openai/v1/chat/completions"} {
			status, _ := p.rawTarget(t, token, "POST", path)
			require.Equal(t, 200, status)
			require.Equal(t, "POST "+prefix[1]+"/chat/completions HTTP/1.1", o.last(t).Line)
		}
	}
}

func TestMethodsOfAPath(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	for _, c := range [][2]string{
		{"PUT", "/v1/models"},
		{"HEAD", "/v1/models"},
		{"DELETE", "/v1/chat/completions"},
		{"PATCH", "/v1/files/f"},
		{"get", "/v1/models"},
		{"POST", "/v1/models"},
		{"OPTIONS", "/v1/models"},
		{"TRACE", "/v1/models"},
		{"PROPFIND", "/v1/models"},
		{"M-SEARCH", "/v1/models"},
	} {
		conn := p.dial(t)
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: GET\r\nAuthorization: Bearer %s\r\n\r\n", c[0], c[1], p.mint(t))
		res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c[0]})
		require.NoError(t, err)
		require.Equal(t, 405, res.StatusCode, c)
		if c[0] != "TRACE" {
			require.NotEmpty(t, res.Header["Allow"], c)
		}
	}
	require.Empty(t, o.requests())
	require.Zero(t, p.Store.calls())
}

// TestTargetsThatAreNoPath (RFC 9112, section 3.2) are never taken for a destination, and the connection ends.
func TestTargetsThatAreNoPath(t *testing.T) {
	o := serveOrigin(t, answerOK)
	elsewhere := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	host := strings.TrimPrefix(elsewhere.URL, "http://")
	for _, line := range []string{
		"GET http://" + host + "/v1/models", "GET https://" + host + "/v1/models", "GET " + o.URL + "/v1/models", "GET http://api.openai.com/v1/models", "GET http://user:pass@" + host + "/v1/models",
		"GET HTTP://" + host + "/v1/models", "GET //" + host + "/v1/models", "GET file:///etc/passwd", "GET gopher://" + host, "POST http://" + host + "/v1/chat/completions",
		"OPTIONS *", "GET *", "POST *", "GET " + host, "CONNECT " + host, "CONNECT /v1/models", "CONNECT api.openai.com:443", "TRACE /v1/models", "TRACE *", "TRACE http://" + host,
		"GET ", "GET v1/models", "GET ?x=1", "GET #", "GET @" + host, "GET :80/v1/models", "GET " + strings.Repeat("/v1", 40_000), "GET /v1/models?" + strings.Repeat("a", 100_000), "GET /v1/models HTTP/1.1 x",
	} {
		conn := p.dial(t)
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", line, host, p.mint(t))
		r := bufio.NewReader(conn)
		method, _, _ := strings.Cut(line, " ")
		if method == "CONNECT" {
			method = "GET" // the answer's body is one all the same
		}
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		require.NoError(t, err, "%.60s", line)
		require.Contains(t, []int{400, 404, 405, 414, 431}, res.StatusCode, "%.60s", line)
		_, _ = io.Copy(io.Discard, res.Body)
		if res.StatusCode != 404 && !strings.HasPrefix(line, "OPTIONS /") {
			_, err = r.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection ends after %.60s", line)
		}
		conn.Close()
	}
	require.Empty(t, o.requests())
	require.Zero(t, elsewhere.conns.Load())
	require.Zero(t, p.Store.calls())
}

func TestWebSocketsAreRefusedInWords(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	for _, value := range []string{"websocket", "WebSocket"} {
		res := p.exchangeRaw(t, "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+p.mint(t)+"\r\nConnection: Upgrade\r\nUpgrade: "+value+"\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n")
		requireError(t, res, 426, "invalid_request_error", "websocket_not_supported")
	}
	require.Empty(t, o.requests())
}

func TestACredentialInTheURLIsRefused(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	token := p.mint(t)
	for _, query := range []string{
		"api_key=x", "key=" + token, "API-Key=x", "a=1&access_token=x", "a=1;token=x", "%6b%65%79=x", "x=" + token, "x=sk%2dllmp-" + token[8:], token, "authorization=Bearer%20x", "X-Goog-Api-Key=x",
	} {
		res := p.ask(t, token, "GET", "/v1/models?"+query, "")
		requireError(t, res, 400, "invalid_request_error", "credential_in_query")
	}
	require.Empty(t, o.requests())
	require.Zero(t, p.Store.calls())
	require.NotContains(t, p.Log.String(), token[8:20], "nor is it logged")
}
