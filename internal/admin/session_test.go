package admin_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestWhoKnowsUserAndPasswordGetsASession(t *testing.T) {
	s := newSite(t)
	require.JSONEq(t, `{"title":"Unauthorized","status":401,"detail":"Nobody has signed in, or the session is over."}`, s.want(t, http.StatusUnauthorized, "GET", sessionPath, "").body)
	cookie := s.signIn(t)
	got := s.want(t, http.StatusOK, "GET", sessionPath, "", cookie)
	require.JSONEq(t, `{"user":"root","expires_at":"2026-11-22T13:00:00Z"}`, got.body)
	s.clock.move(time.Second)
	gone := s.want(t, http.StatusNoContent, "DELETE", sessionPath, "", with(cookie)...)
	require.Negative(t, gone.cookie.MaxAge, "the browser forgets it too")
	s.want(t, http.StatusUnauthorized, "GET", sessionPath, "", cookie)
	s.want(t, http.StatusUnauthorized, "GET", "/manage/info", "", cookie)
	s.want(t, http.StatusNoContent, "DELETE", sessionPath, "", with(cookie)...)
	require.Equal(t, []string{"session.end|done||admin:root", "session.create|done||admin:root"}, without(s.audit(t), "authenticate"), "each once")
}

// without leaves out entries of an action.
func without(said []string, action string) (rest []string) {
	for _, one := range said {
		if !strings.HasPrefix(one, action+"|") {
			rest = append(rest, one)
		}
	}
	return rest
}

func TestTheCookieIsOutOfReach(t *testing.T) {
	s := newSite(t)
	a := s.want(t, http.StatusNoContent, "POST", sessionPath, right, own...)
	require.Equal(t, []any{"llmp_session", "/", true, http.SameSiteStrictMode, "", 0}, []any{a.cookie.Name, a.cookie.Path, a.cookie.HttpOnly, a.cookie.SameSite, a.cookie.Domain, a.cookie.MaxAge})
	secret, err := base64.RawURLEncoding.DecodeString(a.cookie.Value)
	require.NoError(t, err)
	require.Len(t, secret, 32)
	require.NotEqual(t, a.cookie.Value, s.want(t, http.StatusNoContent, "POST", sessionPath, right, own...).cookie.Value)
	for header, secure := range map[string]bool{
		"X-Nothing: 1":             false,
		"Host: localhost:8080":     false,
		"Host: [::1]:8080":         false,
		"Host: localhost":          false,
		"Host: llm.example.com":    true,
		"Host: localhost.evil.com": true,
		"X-Forwarded-Proto: https": true,
		"X-Forwarded-For: 1.2.3.4": true,
		"Forwarded: for=1.2.3.4":   true,
	} {
		require.Equal(t, secure, s.want(t, http.StatusNoContent, "POST", sessionPath, right, with(header)...).cookie.Secure, header)
	}
}

func TestASessionSlidesWithUseAndEndsAfterTwelveHours(t *testing.T) {
	s := newSite(t)
	cookie := s.signIn(t)
	s.clock.move(30*time.Minute - time.Millisecond)
	s.want(t, http.StatusOK, "GET", "/manage/info", "", cookie)
	s.clock.move(29 * time.Minute)
	until := object(t, s.want(t, http.StatusOK, "GET", sessionPath, "", cookie).body)["expires_at"]
	require.Equal(t, s.clock.now().Add(30*time.Minute).Format(time.RFC3339Nano), until)
	s.clock.move(30 * time.Second)
	require.Equal(t, until, object(t, s.want(t, http.StatusOK, "GET", sessionPath, "", cookie).body)["expires_at"], "no write for less than a minute")
	s.clock.move(30 * time.Minute)
	s.want(t, http.StatusUnauthorized, "GET", "/manage/info", "", cookie)
	require.Contains(t, s.audit(t)[0], "authenticate|refused|the session is over")
	s.want(t, http.StatusUnauthorized, "GET", sessionPath, "", cookie)

	cookie, began := s.signIn(t), s.clock.now()
	for s.clock.now().Sub(began) < 12*time.Hour-20*time.Minute {
		s.clock.move(20 * time.Minute)
		s.want(t, http.StatusOK, "GET", "/manage/info", "", cookie)
	}
	require.Equal(t, began.Add(12*time.Hour).Format(time.RFC3339Nano), object(t, s.want(t, http.StatusOK, "GET", sessionPath, "", cookie).body)["expires_at"])
	s.clock.move(20 * time.Minute)
	s.want(t, http.StatusUnauthorized, "GET", "/manage/info", "", cookie)
}

func TestAWrongHalfIsNotNamed(t *testing.T) {
	s := newSite(t)
	bodies := map[string]string{
		"password": wrong,
		"user":     `{"user":"sk-fake-typed-here","password":"` + password + `"}`,
		"both":     `{"user":"nobody","password":"x"}`,
		"case":     `{"user":"ROOT","password":"` + password + `"}`,
	}
	for name, body := range bodies {
		s.clock.move(time.Minute)
		got := s.want(t, http.StatusUnauthorized, "POST", sessionPath, body, own...)
		require.JSONEq(t, `{"title":"Unauthorized","status":401,"detail":"User or password is wrong."}`, got.body, name)
		require.Nil(t, got.cookie)
		require.NotContains(t, got.header.Get("WWW-Authenticate"), "Basic", "a browser would show its own form")
		require.Equal(t, "session.create|refused|wrong user or password|unknown", s.audit(t)[0], name)
	}
}

func TestFiveFailuresAMinuteAreAllThereAre(t *testing.T) {
	s := newSite(t)
	for i := range 5 {
		s.want(t, http.StatusUnauthorized, "POST", sessionPath, wrong, own...)
		s.clock.move(time.Duration(i) * time.Second)
	}
	other := openSite(t, s.path, s.clock)
	for _, door := range []*site{s, other} {
		got := door.want(t, http.StatusTooManyRequests, "POST", sessionPath, right, own...)
		require.Equal(t, "50", got.header.Get("Retry-After"), "in every process")
		require.Nil(t, got.cookie)
	}
	require.Contains(t, s.audit(t), "session.create|refused|too many failures|unknown")
	s.want(t, http.StatusTooManyRequests, "POST", sessionPath, `{"user":"another","password":"x"}`, own...) // from the same source
	s.want(t, http.StatusTooManyRequests, "GET", sessionPath, "", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	s.clock.move(50*time.Second - time.Millisecond)
	require.Equal(t, "1", s.want(t, http.StatusTooManyRequests, "POST", sessionPath, right, own...).header.Get("Retry-After"))
	s.clock.move(time.Millisecond)
	for range 10 { // what succeeds counts nothing
		s.signIn(t)
	}
}

func TestASessionHoldsInEveryProcessAndEndsInAll(t *testing.T) {
	one := newSite(t)
	two := openSite(t, one.path, one.clock)
	cookie := one.signIn(t)
	two.want(t, http.StatusOK, "GET", "/manage/projects", "", cookie)
	one.want(t, http.StatusOK, "GET", "/manage/projects", "", cookie)
	two.want(t, http.StatusNoContent, "DELETE", sessionPath, "", with(cookie)...)
	for _, s := range []*site{one, two} {
		s.want(t, http.StatusUnauthorized, "GET", "/manage/projects", "", cookie)
		s.want(t, http.StatusUnauthorized, "GET", sessionPath, "", cookie)
	}
}

func TestAnotherPasswordEndsAllSessions(t *testing.T) {
	s := newSite(t)
	cookie := s.signIn(t)
	openSite(t, s.path, s.clock).want(t, http.StatusOK, "GET", sessionPath, "", cookie)
	for _, change := range []func(*admin.Config){
		func(cfg *admin.Config) { cfg.Password = llmproxy.NewSecret("sk-fake-new-password") },
		func(cfg *admin.Config) { cfg.User = "other" },
	} {
		openSite(t, s.path, s.clock, change).want(t, http.StatusUnauthorized, "GET", sessionPath, "", cookie)
	}
}

func TestBasicCredentialsAreTakenToo(t *testing.T) {
	s := newSite(t)
	basic := func(text string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(text))
	}
	good := basic(user + ":" + password)
	require.JSONEq(t, `{"user":"root"}`, s.want(t, http.StatusOK, "GET", sessionPath, "", good).body)
	require.NotNil(t, s.want(t, http.StatusNoContent, "POST", sessionPath, "", good).cookie)
	require.Contains(t, s.want(t, http.StatusUnauthorized, "GET", sessionPath, "", basic(user+":x")).header.Get("WWW-Authenticate"), "Basic ")
	s.want(t, http.StatusUnauthorized, "POST", sessionPath, "", basic(user+":x"))
	s.want(t, http.StatusUnauthorized, "POST", sessionPath, "", basic("no colon"))
	s.want(t, http.StatusUnauthorized, "POST", sessionPath, "", good, good)
	s.want(t, http.StatusUnauthorized, "POST", sessionPath, "", "Authorization: Bearer "+managementToken)
	s.want(t, http.StatusBadRequest, "POST", sessionPath, right, with(good)...)
	s.want(t, http.StatusForbidden, "POST", sessionPath, "", good, "Sec-Fetch-Site: cross-site")
	s.want(t, http.StatusUnauthorized, "GET", "/manage/info", "", good)
}

func TestAnUnclearSignInIsRefused(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct {
		status int
		body   string
		header []string
	}{
		"empty":              {400, "{}", own},
		"no body":            {415, "", nil},
		"no JSON":            {400, "{", own},
		"a list":             {400, "[]", own},
		"null":               {400, "null", own},
		"numbers":            {400, `{"user":1,"password":2}`, own},
		"an unknown field":   {400, `{"user":"root","password":"sk-fake-typed","remember":true}`, own},
		"other case":         {400, `{"User":"root","password":"sk-fake-typed"}`, own},
		"no user":            {400, `{"password":"sk-fake-typed"}`, own},
		"more after the end": {400, right + right, own},
		"too large":          {413, `{"user":"` + strings.Repeat("x", 5000) + `","password":"x"}`, own},
		"a form":             {415, "user=root&password=" + password, []string{"Content-Type: application/x-www-form-urlencoded"}},
		"text":               {415, right, []string{"Content-Type: text/plain"}},
		"a form of parts":    {415, right, []string{"Content-Type: multipart/form-data; boundary=x"}},
		"no type":            {415, right, nil},
		"two types":          {415, right, []string{"Content-Type: application/json", "Content-Type: text/plain"}},
		"another site":       {403, right, []string{"Content-Type: application/json", "Sec-Fetch-Site: cross-site"}},
		"another port":       {403, right, []string{"Content-Type: application/json", "Sec-Fetch-Site: same-site"}},
		"another origin":     {403, right, []string{"Content-Type: application/json", "Origin: https://evil.example"}},
		"an origin of none":  {403, right, []string{"Content-Type: application/json", "Origin: null"}},
	} {
		got := s.want(t, c.status, "POST", sessionPath, c.body, c.header...)
		require.Equal(t, "application/problem+json", got.header.Get("Content-Type"), name)
		require.NotContains(t, got.body, "sk-fake", name)
		require.Nil(t, got.cookie, name)
	}
	s.want(t, http.StatusBadRequest, "POST", sessionPath+"?user=root", right, own...)
	require.Equal(t, "GET, HEAD, POST, DELETE", s.want(t, http.StatusMethodNotAllowed, "PUT", sessionPath, right, own...).header.Get("Allow"))
	s.want(t, http.StatusNoContent, "POST", sessionPath, right, "Content-Type: application/json; charset=utf-8")
}

func TestNoSecretIsLoggedStoredOrAnswered(t *testing.T) {
	s := newSite(t)
	cookie := s.signIn(t)
	_, value, _ := strings.Cut(cookie, "=")
	raw, err := base64.RawURLEncoding.DecodeString(value)
	require.NoError(t, err)
	said := s.want(t, http.StatusOK, "GET", sessionPath, "", cookie).body
	said += s.want(t, http.StatusUnauthorized, "POST", sessionPath, wrong, own...).body
	said += s.want(t, http.StatusForbidden, "DELETE", sessionPath, "", cookie).body
	said += s.want(t, http.StatusUnauthorized, "GET", "/manage/info", "", "Cookie: llmp_session=sk-fake-"+value).body
	said += s.want(t, http.StatusOK, "GET", "/manage/audit", "", cookie).body
	s.broken.Store(true)
	for _, path := range []string{sessionPath, "/manage/info"} {
		said += s.want(t, http.StatusServiceUnavailable, "GET", path, "", cookie).body
	}
	said += s.want(t, http.StatusServiceUnavailable, "POST", sessionPath, right, own...).body
	require.Contains(t, s.logs.String(), "the store does not answer")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(s.path + suffix)
		if !os.IsNotExist(err) {
			require.NoError(t, err)
			said += string(data)
		}
	}
	said += s.logs.String()
	for _, secret := range []string{password, "sk-fake", value, string(raw)} {
		require.NotContains(t, said, secret)
	}
}
