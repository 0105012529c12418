//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

const (
	question       = `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}`
	streamQuestion = `{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hello"}]}`
)

// platforms are headers that a door writes of its own accord.
var platforms = []string{
	"Connection", "Content-Length", "Date", "Transfer-Encoding", "X-Amzn-Requestid", "X-Amzn-Trace-Id", "X-Llm-Proxy-Request-Id",
	"Www-Authenticate", "X-Amzn-Remapped-Www-Authenticate", "X-Amzn-Remapped-Date", "Server", "X-Amzn-Remapped-Server", // what the platform keeps for itself, it renames
}

// comparable are the headers of an answer that both doors must give alike. X-Request-Id and the like are the upstream's, new each time.
func (a *answer) comparable() http.Header {
	h := a.header.Clone()
	for _, name := range platforms {
		h.Del(name)
	}
	return h
}

func TestBothDoorsGiveTheSameAnswers(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	revoked, revokedToken := s.mint()
	require.NoError(t, s.service.RevokeTokens(t.Context(), llmproxy.Actor{Name: "local"}, revoked.ID))
	_, spent := s.mint(func(n *manage.NewToken) { n.MaxRequests = &manage.Limit{N: 1} })
	s.ask(s.server, "POST", "/v1/chat/completions", question, bearer(spent))

	s.alike(t, token, map[string]doorCase{
		"an answer":                {body: question, status: 200, outcome: llmproxy.Complete},
		"a stream":                 {body: streamQuestion, status: 200, outcome: llmproxy.Complete},
		"a query":                  {path: "/v1/chat/completions?a=%20b&c", body: question, status: 200, outcome: llmproxy.Complete},
		"a list":                   {method: "GET", path: "/v1/models", status: 200, outcome: llmproxy.Complete},
		"a 1xx before":             {body: question, header: demoHeader("interim=103"), status: 200, outcome: llmproxy.Complete},
		"gzip":                     {body: streamQuestion, header: demoHeader("gzip"), status: 200, outcome: llmproxy.Complete},
		"headers and cookies":      {body: question, header: demoHeader("header=X-A:b, header=X-A:c, header=Set-Cookie:a=1, header=X-Stays:1"), status: 200, outcome: llmproxy.Complete},
		"no content":               {body: question, header: demoHeader("status=204"), status: 204, outcome: llmproxy.Complete},
		"a redirect":               {body: question, header: demoHeader("redirect=https://elsewhere.example/"), status: 302, outcome: llmproxy.Complete},
		"the upstream's 400":       {body: question, header: demoHeader("status=400"), status: 400, outcome: llmproxy.Complete},
		"the upstream's 429":       {body: question, header: demoHeader("status=429,retry-after=7"), status: 429, outcome: llmproxy.Complete},
		"the upstream's 401":       {body: question, header: demoHeader("status=401"), status: 502, code: "upstream_auth", outcome: llmproxy.UpstreamError},
		"garbage":                  {body: question, header: demoHeader("garbage"), status: 502, code: "upstream_invalid", outcome: llmproxy.UpstreamError},
		"a stream that is cut":     {body: streamQuestion, header: demoHeader("events=9,cut-after=3"), status: 200, outcome: llmproxy.Cut, broken: true},
		"a stream that is reset":   {body: streamQuestion, header: demoHeader("events=9,reset-after=3"), status: 200, outcome: llmproxy.Cut, broken: true},
		"a body that is cut":       {body: question, header: demoHeader("cut-after=3"), status: 200, outcome: llmproxy.Cut, broken: true},
		"no token":                 {body: question, header: http.Header{"Authorization": nil}, status: 401, code: "token_missing"},
		"another scheme":           {body: question, header: http.Header{"Authorization": {"Basic " + token}}, status: 401},
		"two tokens":               {body: question, header: http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, status: 401, code: "token_invalid"},
		"an unknown token":         {body: question, header: bearer(unknownToken()), status: 401, code: "token_invalid"},
		"a revoked token":          {body: question, header: bearer(revokedToken), status: 401, code: "token_revoked", outcome: llmproxy.Refused},
		"a spent token":            {body: question, header: bearer(spent), status: 429, code: "token_exhausted", outcome: llmproxy.Refused},
		"a token in the query":     {path: "/v1/models?api_key=x", method: "GET", status: 400, code: "credential_in_query"},
		"another method":           {method: "DELETE", path: "/v1/chat/completions", status: 405, code: "method_not_allowed"},
		"a WebSocket":              {method: "GET", path: "/v1/models", header: http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}, status: 426, code: "websocket_not_supported"},
		"a closed group":           {method: "GET", path: "/v1/files", status: 403, code: "endpoint_not_enabled", outcome: llmproxy.Refused},
		"a path that is encoded":   {path: "/v1%2fchat/completions", body: question, status: 404, code: "endpoint_not_allowed"},
		"an encoded letter":        {path: "/v1/ch%61t/completions", body: question, status: 404, code: "endpoint_not_allowed"},
		"a doubled slash":          {path: "/v1//chat/completions", body: question, status: 404, code: "endpoint_not_allowed"},
		"a slash at the end":       {path: "/v1/chat/completions/", body: question, status: 404, code: "endpoint_not_allowed"},
		"dots":                     {path: "/v1/models/../chat/completions", body: question, status: 404, code: "endpoint_not_allowed"},
		"encoded dots":             {path: "/v1/models/%2e%2e/chat/completions", body: question, status: 404, code: "endpoint_not_allowed"},
		"parameters in the path":   {path: "/v1/chat/completions;a=b", body: question, status: 404, code: "endpoint_not_allowed"},
		"another case":             {path: "/V1/chat/completions", body: question, status: 404, code: "endpoint_not_allowed"},
		"credentials of others":    {body: question, header: http.Header{"Openai-Organization": {"org-fake"}, "Cookie": {"a=1"}, "X-Forwarded-For": {"10.0.0.1"}, "X-Goog-Api-Key": {"fake"}}, status: 200, outcome: llmproxy.Complete},
		"headers of organisations": {body: question, header: http.Header{"Openai-Organization": {"org-fake"}, "Openai-Project": {"p"}, "Cookie": {"a=1"}, "X-Http-Method-Override": {"DELETE"}}, status: 200, outcome: llmproxy.Complete},
	})
	require.NotContains(t, s.log.String(), providerKey)
	require.NotContains(t, s.log.String(), token)
	require.Equal(t, 0, strings.Count(s.log.String(), "the process ended"), "the process lives")
}

// doorCase is a request that is sent to both doors, and what comes of it.
type doorCase struct {
	method, path, body string // zero: POST, /v1/chat/completions, none
	header             http.Header
	status             int
	code               string           // of our own error
	outcome            llmproxy.Outcome // empty: there is no event
	broken             bool
	usage              bool // the event must have it
}

// alike sends each request to both doors and compares status, headers and bytes of the answers, what reached the upstream, and the events.
func (s *stack) alike(t *testing.T, token string, cases map[string]doorCase) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			header := bearer(token)
			if c.body != "" {
				header["Content-Type"] = []string{"application/json"}
			}
			for k, v := range c.header {
				header[k] = v
			}
			method, path := orElse(c.method, "POST"), orElse(c.path, "/v1/chat/completions")
			before := len(s.upstream.Requests())
			local := s.ask(s.server, method, path, c.body, header)
			between := len(s.upstream.Requests())
			got := s.ask(s.url, method, path, c.body, header)
			after := len(s.upstream.Requests())

			require.Equal(t, c.status, local.status, local.body)
			require.Equal(t, local.status, got.status, got.body)
			require.Equal(t, between-before, after-between, "requests that reached the upstream")
			if c.code != "" {
				require.Contains(t, local.body, `"code":"`+c.code+`"`)
			}
			require.Equal(t, c.broken, local.err != nil, "%v", local.err)
			require.Equal(t, c.broken, got.err != nil, "%v", got.err)
			require.Equal(t, sha256.Sum256([]byte(local.body)), sha256.Sum256([]byte(got.body)), "%.300q beside %.300q", local.body, got.body)
			gotHeader, localHeader := got.comparable(), local.comparable()
			if localHeader.Get("Content-Type") == "" { // where there is none, the platform names one
				gotHeader.Del("Content-Type")
			}
			for name := range localHeader {
				if slices.Contains(volatile, name) {
					require.NotEmpty(t, gotHeader[name], name)
					localHeader.Del(name)
					gotHeader.Del(name)
					continue
				}
				require.Equal(t, strings.Join(localHeader[name], ", "), strings.Join(gotHeader[name], ", "), name)
			}
			require.Len(t, gotHeader, len(localHeader), "%v beside %v", gotHeader, localHeader)
			if after > between {
				s.sameRequests(t, s.upstream.Requests()[between-1], s.upstream.Requests()[after-1])
			}

			require.NotEmpty(t, got.id)
			if c.outcome == "" {
				s.log.await(t, "END RequestId")
				require.NotContains(t, s.cloud.onBus, got.id, "a stranger makes no event")
				return
			}
			e := s.cloud.event(t, s.cloud.onBus, got.id)
			require.Equal(t, c.outcome, e.Outcome)
			s.log.await(t, `{"end":"`+got.id+`"}`)
			s.recorded.mu.Lock()
			recorded := s.recorded.events[local.id]
			s.recorded.mu.Unlock()
			require.Len(t, recorded, 1)
			require.Equal(t, recorded[0].Outcome, e.Outcome)
			require.Equal(t, recorded[0].Status, e.Status)
			require.Equal(t, recorded[0].Code, e.Code)
			require.Equal(t, recorded[0].Response.Bytes, e.Response.Bytes)
			require.Equal(t, recorded[0].Stream, e.Stream)
			if c.usage {
				require.NotNil(t, e.Usage)
				require.NotNil(t, recorded[0].Usage)
				require.Equal(t, recorded[0].Usage.Output, e.Usage.Output)
				require.Equal(t, recorded[0].Usage.Input, e.Usage.Input)
			}
		})
	}
}

// volatile are headers whose value is another one each time.
var volatile = []string{"X-Request-Id", "Openai-Processing-Ms", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"}

// sameRequests compares what the upstream got through one door and the other.
func (s *stack) sameRequests(t *testing.T, want, got demo.Request) {
	t.Helper()
	require.Equal(t, want.Method, got.Method)
	require.Equal(t, want.Path, got.Path)
	require.Equal(t, want.Query, got.Query)
	require.Equal(t, want.Host, got.Host)
	require.Equal(t, want.SHA256, got.SHA256)
	require.Equal(t, want.ContentLength, got.ContentLength)
	require.Equal(t, want.Header, got.Header)
	require.Equal(t, []string{"Bearer " + providerKey}, got.Header["Authorization"])
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func demoHeader(words string) http.Header { return http.Header{demo.Header: {words}} }

func unknownToken() string {
	return llmproxy.NewTokenSecret(llmproxy.NewTokenID(time.Now())).Reveal()
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func TestAMultipartBodyReachesTheUpstreamUnchanged(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	for _, size := range []int{10 << 10, 1 << 20, 4<<20 + 300<<10} {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		file, err := form.CreateFormFile("file", "speech.mp3")
		require.NoError(t, err)
		content := bytes.Repeat([]byte{0xff, 0xfb, 0, 1, 2, 3, 4, 5}, size/8)
		_, err = file.Write(content)
		require.NoError(t, err)
		require.NoError(t, form.WriteField("model", "whisper-1"))
		require.NoError(t, form.Close())
		header := bearer(token)
		header.Set("Content-Type", form.FormDataContentType())
		a := s.ask(s.url, "POST", "/v1/audio/transcriptions", body.String(), header)
		require.Equal(t, 200, a.status, a.body)
		all := s.upstream.Requests()
		got := all[len(all)-1]
		sum := sha256.Sum256(body.Bytes())
		require.Equal(t, hex.EncodeToString(sum[:]), got.SHA256)
		require.EqualValues(t, body.Len(), got.ContentLength)
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, s.askOnce(s.url, "POST", "/v1/audio/transcriptions", strings.Repeat("\xff", 5<<20), bearer(token)).status, "the platform's own")
}

func TestNobodyWaitsForTheBus(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	held := make(chan struct{})
	s.cloud.set(func(c *cloud) { c.held = held })
	a := s.ask(s.url, "POST", "/v1/chat/completions", streamQuestion, bearer(token)) // to its end
	require.Equal(t, 200, a.status)
	require.NoError(t, a.err)
	s.cloud.set(func(c *cloud) {
		require.Empty(t, c.onBus, "the caller has its last byte before the bus has anything")
		c.held = nil
	})
	require.NotContains(t, s.log.String(), "REPORT RequestId", "and the process is not frozen before the bus has answered")
	close(held)
	require.Equal(t, llmproxy.Complete, s.cloud.event(t, s.cloud.onBus, a.id).Outcome)
	s.log.await(t, "REPORT RequestId")
}

func TestAnEventWithoutABusIsSpilledAndThenLogged(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	s.cloud.set(func(c *cloud) { c.busDown = true })
	a := s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token))
	e := s.cloud.event(t, s.cloud.inQueue, a.id)
	require.Equal(t, llmproxy.Complete, e.Outcome)
	require.NotNil(t, e.Usage)

	s.cloud.set(func(c *cloud) { c.allDown = true })
	a = s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token))
	s.log.await(t, `{"event":{"version":1,"id":"`+a.id)
	require.Contains(t, s.log.String(), `{"begin":"`+a.id)
	require.NotContains(t, s.log.String(), `{"end":"`+a.id)
	require.NotContains(t, s.log.String(), "hello", "no body is in the log")
}

func TestADeadlineInMidStreamEndsItBrokenWithItsEvent(t *testing.T) {
	s := start(t, 5*time.Second)
	_, token := s.mint()
	warm := s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token))
	s.log.await(t, `{"end":"`+warm.id)
	header := bearer(token)
	header.Set(demo.Header, "events=9,hang-after=3")
	a := s.ask(s.url, "POST", "/v1/chat/completions", streamQuestion, header)
	require.Equal(t, 200, a.status)
	require.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
	require.Contains(t, a.body, "data: ")
	require.NotContains(t, a.body, "[DONE]")
	require.Equal(t, llmproxy.Deadline, s.cloud.event(t, s.cloud.onBus, a.id).Outcome)
	require.NotContains(t, s.log.String(), "Task timed out")
	require.Equal(t, 200, s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token)).status)
}

func TestAProcessThatIsKilledHasLoggedItsBegin(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	header := bearer(token)
	header.Set(demo.Header, "events=9,hang-after=3")
	done := make(chan answer, 1)
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/chat/completions", strings.NewReader(streamQuestion))
		r.Header = header
		got, err := s.client.Do(r)
		if err != nil {
			done <- answer{err: err}
			return
		}
		defer got.Body.Close()
		_, err = io.ReadAll(got.Body)
		done <- answer{status: got.StatusCode, err: err, id: got.Header.Get("X-Llm-Proxy-Request-Id")}
	}()
	s.upstream.WaitFor(t, 1, func(demo.Request) bool { return true })
	pids := s.host.Processes()
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
	a := <-done
	if a.status == http.StatusOK {
		require.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
	} else {
		require.Equal(t, http.StatusBadGateway, a.status, "it had not begun to answer")
	}
	s.log.await(t, `{"begin":"`)
	require.NotContains(t, s.log.String(), `{"end":"`)
	require.Equal(t, 200, s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token)).status, "another process takes over")
}

func TestWhatIsMissingOrWrongIsNamedAtOnce(t *testing.T) {
	_, err := loadSettings([]string{"LLM_PROXY_EVENT_BUS=bus"})
	for _, name := range []string{"TOKENS_TABLE", "CONTROL_TABLE", "SPILL_QUEUE", "EVENT_BUCKET", "SEALING_SECRET", "KEYS_PREFIX"} {
		require.ErrorContains(t, err, "LLM_PROXY_"+name)
	}
	require.NotContains(t, err.Error(), "EVENT_BUS\"")
	all := []string{}
	for _, name := range []string{"TOKENS_TABLE", "CONTROL_TABLE", "EVENT_BUS", "SPILL_QUEUE", "EVENT_BUCKET", "SEALING_SECRET", "KEYS_PREFIX"} {
		all = append(all, "LLM_PROXY_"+name+"=x")
	}
	s, err := loadSettings(all)
	require.NoError(t, err)
	require.Equal(t, llmproxy.CaptureFull, s.Capture)
	_, err = loadSettings(append(all, "LLM_PROXY_CAPTURE=some"))
	require.ErrorContains(t, err, "LLM_PROXY_CAPTURE")
	_, err = loadSettings(append(all, "LLM_PROXY_LOG_LEVEL=loud"))
	require.ErrorContains(t, err, "loud")
	t.Setenv("AWS_REGION", "us-east-1") // as Lambda does
	_, _, err = join(t.Context(), append(all, "LLM_PROXY_PROVIDERS=/none.yaml"))
	require.ErrorContains(t, err, "/none.yaml")
}
