package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

var (
	_ admin.Store          = (*sqlite.Store)(nil)
	_ admin.Store          = (*dynamo.Store)(nil)
	_ admin.Refusals       = (*manage.Refusals)(nil)
	_ manage.Authenticator = (*admin.Handler)(nil)
)

func TestEveryAnswerIsKeptFromOtherSitesAndCaches(t *testing.T) {
	s := newSite(t)
	for path, status := range map[string]int{"/admin": 308, "/admin/": 200, "/admin/api/session": 401, "/admin/other": 404, "/admin/api/sess%69on": 404, "/admin/api/session/": 404} {
		got := s.want(t, status, "GET", path, "")
		cache := "no-store"
		if path == "/admin/" {
			cache = "no-cache" // nothing in it is anybody's
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
			"X-Content-Type-Options":  "nosniff", "Cache-Control": cache, "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			require.Equal(t, want, got.header.Get(name), "%s of %s", name, path)
		}
		require.NotEmpty(t, got.header.Get("X-Llm-Proxy-Request-Id"))
	}
	require.Equal(t, "/admin/", s.want(t, 308, "GET", "/admin", "").header.Get("Location"))
}

func TestAWeakPasswordOrAMissingPartStopsTheStart(t *testing.T) {
	good := admin.Config{Store: &failing{}, Refusals: noRefusals{}, User: user, Password: llmproxy.NewSecret(password)}
	_, err := admin.New(good)
	require.NoError(t, err)
	for want, change := range map[string]func(*admin.Config){
		"its store":              func(cfg *admin.Config) { cfg.Store = nil },
		"tell of refusals":       func(cfg *admin.Config) { cfg.Refusals = nil },
		"needs a user":           func(cfg *admin.Config) { cfg.User = "" },
		"at least 12 characters": func(cfg *admin.Config) { cfg.Password = llmproxy.NewSecret("eleven-char") },
	} {
		cfg := good
		change(&cfg)
		_, err := admin.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

// failing is a store whose session is good and of which one call fails.
type failing struct {
	call  string
	err   error
	until time.Time
}

func (f *failing) fail(call string) error {
	if f.call == call {
		return f.err
	}
	return nil
}

func (f *failing) CreateSession(context.Context, llmproxy.Session, llmproxy.AuditEntry) error {
	return f.fail("create")
}

func (f *failing) Session(_ context.Context, hash llmproxy.SessionHash) (llmproxy.Session, error) {
	return llmproxy.Session{Hash: hash, User: user, CreatedAt: noon, ExpiresAt: f.until}, f.fail("session")
}

func (f *failing) ExtendSession(context.Context, llmproxy.Session) error { return f.fail("extend") }

func (f *failing) EndSession(context.Context, llmproxy.SessionHash, llmproxy.AuditEntry) error {
	return f.fail("end")
}

func (f *failing) CountSignIn(context.Context, llmproxy.SignIn) (time.Duration, error) {
	return 0, f.fail("count")
}
func (f *failing) ForgiveSignIn(context.Context, llmproxy.SignIn) error { return f.fail("forgive") }

type noRefusals struct{}

func (noRefusals) Add(context.Context, llmproxy.Actor, string, string) {}

func TestAStoreThatFailsMakesNoSessionAndNeverSaysWrongPassword(t *testing.T) {
	odd := errors.New("something odd")
	for _, c := range []struct {
		method, call string
		err          error
		status       int
	}{
		{"POST", "count", llmproxy.ErrUnavailable, 503},
		{"POST", "count", odd, 500},
		{"POST", "forgive", llmproxy.ErrUnavailable, 503},
		{"POST", "create", llmproxy.ErrUnavailable, 503},
		{"POST", "create", odd, 500},
		{"GET", "session", llmproxy.ErrUnavailable, 503},
		{"GET", "extend", llmproxy.ErrUnavailable, 503},
		{"GET", "extend", llmproxy.ErrNotFound, 401},
		{"DELETE", "session", llmproxy.ErrUnavailable, 503},
		{"DELETE", "end", llmproxy.ErrUnavailable, 503},
		{"DELETE", "end", odd, 500},
		{"DELETE", "end", llmproxy.ErrNotFound, 204},
		{"POST", "", nil, 204},
		{"GET", "", nil, 200},
		{"DELETE", "", nil, 204},
	} {
		h, err := admin.New(admin.Config{
			Store: &failing{call: c.call, err: c.err, until: noon.Add(time.Minute)}, Refusals: noRefusals{}, User: user, Password: llmproxy.NewSecret(password), Now: func() time.Time { return noon },
		})
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), c.method, sessionPath, nil)
		if c.method == "POST" {
			r.SetBasicAuth(user, password)
		} else {
			r.AddCookie(&http.Cookie{Name: "llmp_session", Value: strings.Repeat("A", 43)})
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, c.status, w.Code, "%s, %s: %v", c.method, c.call, c.err)
		require.NotContains(t, w.Body.String(), "odd")
		require.Equal(t, c.status == 204, w.Header().Get("Set-Cookie") != "")
		if c.status == 503 {
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		}
		_, err = h.Authenticate(r)
		if c.method == "GET" && c.err != nil {
			require.Error(t, err)
			require.Equal(t, errors.Is(c.err, llmproxy.ErrUnavailable), errors.Is(err, llmproxy.ErrUnavailable))
		}
	}
}

// recorded keeps what the throttle counts by.
type recorded struct {
	failing
	attempts []llmproxy.SignIn
}

func (r *recorded) CountSignIn(_ context.Context, a llmproxy.SignIn) (time.Duration, error) {
	r.attempts = append(r.attempts, a)
	return 0, nil
}

func TestTheThrottleCountsByUserAndByNetwork(t *testing.T) {
	store := &recorded{}
	h, err := admin.New(admin.Config{Store: store, Refusals: noRefusals{}, User: user, Password: llmproxy.NewSecret(password)})
	require.NoError(t, err)
	try := func(name, addr string) llmproxy.SignIn {
		r := httptest.NewRequestWithContext(t.Context(), "POST", sessionPath, nil)
		r.RemoteAddr = addr
		r.SetBasicAuth(name, "x")
		h.ServeHTTP(httptest.NewRecorder(), r)
		return store.attempts[len(store.attempts)-1]
	}
	one := try("a", "192.0.2.1:1000")
	require.Len(t, one.Keys, 2)
	require.Equal(t, []any{5, time.Minute}, []any{one.Max, one.Within})
	require.NotEqual(t, one.Keys[0], one.Keys[1])
	require.Equal(t, one.Keys, try("a", "192.0.2.1:2000").Keys)
	require.Equal(t, one.Keys, try("a", "[::ffff:192.0.2.1]:2000").Keys, "the same address")
	require.NotEqual(t, one.Keys[0], try("b", "192.0.2.1:1").Keys[0])
	require.Equal(t, one.Keys[1], try("b", "192.0.2.1:1").Keys[1])
	require.NotEqual(t, one.Keys[1], try("a", "192.0.2.2:1").Keys[1])
	six := try("a", "[2001:db8:0:1::1]:1")
	require.Equal(t, six.Keys, try("a", "[2001:db8:0:1:ffff::9]:1").Keys, "one network")
	require.NotEqual(t, six.Keys[1], try("a", "[2001:db8:0:2::1]:1").Keys[1])
	require.NotEqual(t, one.Keys[1], try("a", "odd").Keys[1])
}
