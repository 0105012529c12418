package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestExactlyOneCredential: of one form, whole, and nothing else is taken for one.
func TestExactlyOneCredential(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	token, other := p.mint(t), p.mint(t)
	anthropic := p.mint(t, of("anthropic"))
	flipped := []byte(token)
	flipped[20] ^= 1
	for _, c := range []struct {
		path, head string
		code       string // "" is let through
	}{
		{"/v1/models", "Authorization: Bearer " + token, ""},
		{"/v1/models", "authorization: bearer " + token, ""},
		{"/v1/models", "AUTHORIZATION: BEARER " + token, ""},
		{"/v1/models", "Authorization:Bearer " + token + " \t", ""}, // white space around a value is none of it
		{"/v1/models", "", "token_missing"},
		{"/v1/models", "X-Api-Key: " + token, "token_missing"},
		{"/v1/models", "Api-Key: " + token, "token_missing"},
		{"/v1/models", "X-Goog-Api-Key: " + token, "token_missing"},
		{"/v1/models", "Proxy-Authorization: Bearer " + token, "token_missing"},
		{"/v1/models", "Cookie: token=" + token, "token_missing"},
		{"/v1/models", "X-Forwarded-Authorization: Bearer " + token, "token_missing"},
		{"/v1/models", "Authorization:", "token_invalid"},
		{"/v1/models", "Authorization: Bearer", "token_invalid"},
		{"/v1/models", "Authorization: " + token, "token_invalid"},
		{"/v1/models", "Authorization: Basic " + token, "token_invalid"},
		{"/v1/models", "Authorization: Basic dXNlcjpwYXNz", "token_invalid"},
		{"/v1/models", "Authorization: Bearer  " + token, "token_invalid"},
		{"/v1/models", "Authorization: Bearer\t" + token, "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token + " x", "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token + ", Bearer " + other, "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token + "," + other, "token_invalid"},
		{"/v1/models", "Authorization: Bearer \"" + token + "\"", "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + strings.ToUpper(token), "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token[:len(token)-1], "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token + "A", "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token + "=", "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + string(flipped), "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + strings.Repeat("a", 10<<10), "token_invalid"},
		{"/v1/models", "Authorization: Bearer sk-proj-fakefakefake", "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + fakeKey, "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token + "\r\nAuthorization: Bearer " + token, "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token + "\r\nauthorization: Bearer " + other, "token_invalid"},
		{"/v1/models", "Authorization: Bearer " + token + "\r\nConnection: Authorization", ""}, // ours is put in after what Connection names is taken out
		{"/anthropic/v1/models", "X-Api-Key: " + anthropic, ""},
		{"/anthropic/v1/models", "Authorization: Bearer " + anthropic, ""},
		{"/anthropic/v1/models", "X-Api-Key: Bearer " + anthropic, "token_invalid"},
		{"/anthropic/v1/models", "X-Api-Key: " + anthropic + "\r\nAuthorization: Bearer " + anthropic, "token_invalid"},
		{"/anthropic/v1/models", "X-Api-Key: " + anthropic + "\r\nX-Api-Key: " + anthropic, "token_invalid"},
	} {
		head := c.head
		if head != "" {
			head += "\r\n"
		}
		spent, reached := p.Store.calls(), len(o.requests())
		res := p.exchangeRaw(t, "GET "+c.path+" HTTP/1.1\r\nHost: x\r\n"+head+"\r\n")
		if c.code == "" {
			require.Equal(t, 200, res.StatusCode, c.head)
			continue
		}
		require.Equal(t, 401, res.StatusCode, c.head)
		if !strings.HasPrefix(c.path, "/anthropic") {
			requireError(t, res, 401, "authentication_error", c.code)
		}
		require.Equal(t, []string{"false"}, res.Header["X-Should-Retry"])
		require.NotEmpty(t, res.Header["Www-Authenticate"])
		require.Equal(t, spent, p.Store.calls(), "no store call for %q", c.head)
		require.Len(t, o.requests(), reached)
	}
	for _, secret := range []string{token, other, anthropic} {
		require.NotContains(t, p.Log.String(), secret[10:18])
	}
}

// TestEveryRefusalOfATokenSaysWhy, in the shape of the provider's own errors, and reaches no upstream.
func TestEveryRefusalOfATokenSaysWhy(t *testing.T) {
	type row = func(*llmproxy.Gate, *llmproxy.Project)
	for _, c := range []struct {
		change     row
		status     int
		kind, code string
		anthropic  string // its name of the kind
		retryAfter string
		retry      bool
		event      bool // the token is known
	}{
		{func(g *llmproxy.Gate, _ *llmproxy.Project) { g.Hash[0] ^= 1 }, 401, "authentication_error", "token_invalid", "authentication_error", "", false, false},
		{func(g *llmproxy.Gate, _ *llmproxy.Project) { g.Active = false }, 401, "authentication_error", "token_revoked", "authentication_error", "", false, true},
		{func(_ *llmproxy.Gate, p *llmproxy.Project) { p.Epoch = 1 }, 401, "authentication_error", "token_revoked", "authentication_error", "", false, true},
		{func(_ *llmproxy.Gate, p *llmproxy.Project) { p.DeletedAt = time.Unix(1, 0) }, 401, "authentication_error", "token_revoked", "authentication_error", "", false, true},
		{func(g *llmproxy.Gate, _ *llmproxy.Project) { g.ExpiresAt = time.Unix(1, 0) }, 401, "authentication_error", "token_expired", "authentication_error", "", false, true},
		{func(_ *llmproxy.Gate, p *llmproxy.Project) { p.Active = false }, 403, "permission_error", "project_inactive", "permission_error", "", false, true},
		{func(_ *llmproxy.Gate, p *llmproxy.Project) { p.Provider = "other" }, 403, "permission_error", "provider_mismatch", "permission_error", "", false, true},
		{func(_ *llmproxy.Gate, p *llmproxy.Project) { p.Endpoints = nil }, 403, "permission_error", "endpoint_not_enabled", "permission_error", "", false, true},
		{func(g *llmproxy.Gate, _ *llmproxy.Project) { g.MaxRequests, g.RequestCount = 5, 5 }, 429, "rate_limit_error", "token_exhausted", "rate_limit_error", "", false, true},
		{func(g *llmproxy.Gate, _ *llmproxy.Project) {
			g.RequestsPerHour, g.WindowCount, g.WindowHour = 5, 5, llmproxy.HourOf(time.Unix(1_700_000_000, 0))
		}, 429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", "2800", false, true},
	} {
		t.Run(c.code, func(t *testing.T) {
			o := serveOrigin(t, answerOK)
			p := newProxy(t, o.URL)
			p.now = time.Unix(1_700_000_000, 0) // 22:13:20 UTC
			res := p.chat(t, p.mint(t, c.change))
			requireError(t, res, c.status, c.kind, c.code)
			if c.retry {
				require.Empty(t, res.Header["X-Should-Retry"])
			} else {
				require.Equal(t, "false", res.Header.Get("X-Should-Retry"))
			}
			require.Equal(t, c.retryAfter, res.Header.Get("Retry-After"))
			if c.event {
				e := p.event(t, res.Response)
				require.Equal(t, llmproxy.Refused, e.Outcome)
				require.Equal(t, c.code, e.Code)
				require.Equal(t, c.status, e.Status)
			} else {
				require.Contains(t, p.Log.String(), c.code)
			}

			anthropic := p.ask(t, p.mint(t, of("anthropic"), c.change), "POST", "/anthropic/v1/messages", "{}")
			require.Equal(t, c.status, anthropic.StatusCode)
			require.Regexp(t, fmt.Sprintf(`^\{"type":"error","error":\{"type":"%s","message":"[^"].*"\}\}\n$`, c.anthropic), anthropic.Body)
			require.Empty(t, o.requests())
		})
	}
}

// TestAWaitOfAMinuteMayBeSatOut: SDKs obey Retry-After up to a minute, so nothing tells them not to try again.
func TestAWaitOfAMinuteMayBeSatOut(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	for left, expected := range map[time.Duration][2]string{
		time.Minute: {"60", ""}, 61 * time.Second: {"61", "false"}, time.Millisecond: {"1", ""}, 59*time.Second + 1: {"60", ""}, time.Hour: {"3600", "false"},
	} {
		p.now = time.Unix(1_700_000_000/3600*3600+3600, 0).Add(-left)
		res := p.chat(t, p.mint(t, func(g *llmproxy.Gate, _ *llmproxy.Project) {
			g.RequestsPerHour, g.WindowCount, g.WindowHour = 1, 1, llmproxy.HourOf(p.now)
		}))
		require.Equal(t, 429, res.StatusCode)
		require.Equal(t, expected, [2]string{res.Header.Get("Retry-After"), res.Header.Get("X-Should-Retry")}, left)
	}
}

// TestAStoreThatDoesNotAnswerIs503Never401, and the upstream is not called.
func TestAStoreThatDoesNotAnswerIs503Never401(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	token := p.mint(t)
	for _, err := range []error{llmproxy.ErrUnavailable, fmt.Errorf("spend: %w: disk full", llmproxy.ErrUnavailable), errors.New("something else"), io.EOF} {
		p.Store.fail(err)
		res := p.chat(t, token)
		requireError(t, res, 503, "server_error", "store_unavailable")
		require.Equal(t, []string{"1"}, res.Header["Retry-After"])
		require.Empty(t, res.Header["X-Should-Retry"])
		requireAnthropic := p.ask(t, token, "POST", "/anthropic/v1/messages", "{}")
		require.Equal(t, 503, requireAnthropic.StatusCode)
		require.Contains(t, requireAnthropic.Body, `"overloaded_error"`)
	}
	require.Empty(t, o.requests())
	p.Store.fail(nil)
	require.Equal(t, 200, p.chat(t, token).StatusCode, "it recovers at once")
}

// TestARevokedTokenIsRefusedOnTheNextRequest: nothing of a token or a project is remembered.
func TestARevokedTokenIsRefusedOnTheNextRequest(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	for code, change := range map[string]func(*llmproxy.Gate, *llmproxy.Project){
		"token_revoked":    func(g *llmproxy.Gate, _ *llmproxy.Project) { g.Active = false },
		"project_inactive": func(_ *llmproxy.Gate, p *llmproxy.Project) { p.Active = false },
	} {
		token := p.mint(t)
		for range 5 {
			require.Equal(t, 200, p.chat(t, token).StatusCode)
		}
		p.Store.change(token, change)
		require.Contains(t, p.chat(t, token).Body, code)
	}
	require.Len(t, o.requests(), 10)
}

func TestATokenMayNotUseMoreThanItsShareAtOnce(t *testing.T) {
	hold := make(chan struct{})
	o := serveOrigin(t, func(c *call) {
		await(t, hold)
		c.write(okAnswer)
	})
	p := newProxy(t, o.URL, func(s *setup) { s.MaxConcurrentPerToken = 3 })
	token, other := p.mint(t), p.mint(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			res, err := p.Client.Do(p.request(t, token, "POST", "/v1/embeddings", strings.NewReader("{}")))
			if err == nil {
				res.Body.Close()
			}
		})
	}
	eventually(t, "three requests under way", func() bool { return len(o.requests()) == 3 })
	spent := p.Store.calls()
	res := p.chat(t, token)
	requireError(t, res, 429, "rate_limit_error", "rate_limit_exceeded")
	require.Equal(t, []string{"1"}, res.Header["Retry-After"])
	require.Empty(t, res.Header["X-Should-Retry"])
	require.Equal(t, spent, p.Store.calls())
	wg.Go(func() {
		res, err := p.Client.Do(p.request(t, other, "POST", "/v1/embeddings", strings.NewReader("{}")))
		if err == nil {
			res.Body.Close()
		}
	})
	eventually(t, "another token's request", func() bool { return len(o.requests()) == 4 })
	close(hold)
	wg.Wait()
	require.Equal(t, 200, p.chat(t, token).StatusCode, "places are given back")
}

func TestAnExhaustedTokenIsToldSoThatNoClientAsksAgain(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	token := p.mint(t, func(g *llmproxy.Gate, _ *llmproxy.Project) { g.MaxRequests = 1 })
	require.Equal(t, 200, p.chat(t, token).StatusCode)
	res := p.chat(t, token)
	requireError(t, res, 429, "rate_limit_error", "token_exhausted")
	require.Equal(t, []string{"false"}, res.Header["X-Should-Retry"])
	require.Empty(t, res.Header["Retry-After"])
}

func TestASourceOfJunkCostsTheStoreNothing(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL, func(s *setup) { s.MaxUnknownPerMinute = 5 })
	known := p.mint(t)
	require.Equal(t, 200, p.chat(t, known).StatusCode)
	before := p.Store.calls()
	for range 100 {
		requireError(t, p.chat(t, "sk-llmp-junk"), 401, "authentication_error", "token_invalid")
	}
	require.Equal(t, before, p.Store.calls(), "malformed ones cost nothing")
	unknown := func() answer {
		return p.chat(t, llmproxy.NewTokenSecret(llmproxy.NewTokenID(time.Now())).Reveal())
	}
	for range 5 {
		requireError(t, unknown(), 401, "authentication_error", "token_invalid")
	}
	for range 20 {
		res := unknown()
		requireError(t, res, 429, "rate_limit_error", "rate_limit_exceeded")
		require.Equal(t, []string{"60"}, res.Header["Retry-After"])
	}
	require.Equal(t, before+5, p.Store.calls())
	require.Equal(t, 200, p.chat(t, known).StatusCode, "a token that was admitted here before is not concerned")
}

// TestTenantHeadersStayBehind, and what belongs to the provider's account does not come back.
func TestTenantHeadersStayBehind(t *testing.T) {
	o := serveOrigin(t, answerWith(withLength("200 OK", "Set-Cookie: a=b\r\nOpenAI-Organization: org\r\nAlt-Svc: h3\r\nAnthropic-Organization-Id: org\r\nX-Kept: 1\r\n", "{}")))
	p := newProxy(t, o.URL)
	headers := []string{
		"OpenAI-Organization", "o", "OpenAI-Project", "p", "Cookie", "a=b", "X-Api-Key", "k", "Api-Key", "k", "X-Goog-Api-Key", "k", "Proxy-Authorization", "Basic x",
		"Forwarded", "for=1", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "h", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "1", "X-Forwarded-Prefix", "/", "X-Forwarded-Client-Cert", "c", "X-Real-Ip", "1.2.3.4",
		"X-Original-Url", "/v1/x", "X-Rewrite-Url", "/v1/x", "X-Http-Method-Override", "DELETE", "X-Method-Override", "DELETE", "X-Http-Method", "DELETE", "Via", "1.1 x", "X-Amzn-Trace-Id", "t", "X-Amz-Security-Token", "t", "X-Amz-Date", "d", "X-Amzn-Oidc-Data", "d", "Te", "trailers", "Keep-Alive", "1", "Proxy-Connection", "close",
	}
	for _, token := range [][2]string{{p.mint(t), "/v1/embeddings"}} {
		res := p.ask(t, token[0], "POST", token[1], "{}", headers...)
		require.Equal(t, 200, res.StatusCode)
		for i := 0; i < len(headers); i += 2 {
			require.Empty(t, o.last(t).values(headers[i]), headers[i])
		}
		for _, name := range []string{"Set-Cookie", "Openai-Organization", "Alt-Svc"} {
			require.Empty(t, res.Header[name])
		}
		require.Equal(t, "1", res.Header.Get("X-Kept"))
	}
	res := p.ask(t, p.mint(t, of("anthropic")), "POST", "/anthropic/v1/messages", "{}")
	require.Empty(t, res.Header["Anthropic-Organization-Id"])
	require.Equal(t, []string{strings.TrimPrefix(o.URL, "http://")}, o.last(t).values("Host"))
}

func TestAConfigurationSaysWhatItLacks(t *testing.T) {
	_, err := New(Config{})
	for _, part := range []string{"Providers", "Store", "Keys", "Events"} {
		require.ErrorContains(t, err, part)
	}
	p := newProxy(t, "http://127.0.0.1:1", func(s *setup) { s.Now, s.Log, s.Observe = nil, nil, nil })
	require.Equal(t, http.StatusNotFound, p.ask(t, "", "GET", "/nothing", "").StatusCode)
}
