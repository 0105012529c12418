package signin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// vault is Secrets Manager with one secret.
type vault struct {
	text  string
	err   error
	reads int
}

func (v *vault) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	v.reads++
	return &secretsmanager.GetSecretValueOutput{SecretString: &v.text}, v.err
}

type quiet struct{}

func (quiet) Add(context.Context, llmproxy.Actor, string, string) {}

const fakePassword = "fake-password-1234"

// open joins operators over a real store; change says who they are.
func open(t *testing.T, store admin.Store, cfg Config) *Operators {
	t.Helper()
	cfg.Admin = admin.Config{Store: store, Refusals: quiet{}, Origins: []string{"https://site.example.com"}}
	o, err := New(cfg)
	require.NoError(t, err)
	return o
}

func openStore(t *testing.T) admin.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "signin.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// signIn sends credentials and returns the answer, with the cookie if there is one.
func signIn(o *Operators, user, password string) (*http.Response, string) {
	r := httptest.NewRequest(http.MethodPost, "/admin/api/session", strings.NewReader(`{"user":"`+user+`","password":"`+password+`"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	o.ServeHTTP(w, r)
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return w.Result(), cookie
}

func withCookie(cookie string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/manage/projects", nil)
	r.Header.Set("Cookie", cookie)
	return r
}

func TestWhoeverTheSecretNamesSignsIn(t *testing.T) {
	store, v := openStore(t), &vault{text: `{"user":"root","password":"` + fakePassword + `"}`}
	o := open(t, store, Config{Secrets: v, SecretID: "admin"})
	_, err := o.Authenticate(httptest.NewRequest(http.MethodGet, "/manage/projects", nil))
	require.ErrorIs(t, err, llmproxy.ErrNoCredential)
	require.Zero(t, v.reads, "who comes without a cookie causes no read")

	answer, cookie := signIn(o, "root", fakePassword)
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
	actor, err := o.Authenticate(withCookie(cookie))
	require.NoError(t, err)
	require.Equal(t, "admin:root", actor)
	answer, _ = signIn(o, "root", fakePassword+"5")
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	require.Equal(t, 1, v.reads)

	for name, text := range map[string]string{
		"another password": `{"user":"root","password":"` + fakePassword + `5"}`,
		"another user":     `{"user":"other","password":"` + fakePassword + `"}`,
	} {
		_, err = open(t, store, Config{Secrets: &vault{text: text}, SecretID: "admin"}).Authenticate(withCookie(cookie))
		require.Error(t, err, "%s ends all sessions", name)
		require.NotErrorIs(t, err, llmproxy.ErrUnavailable, name)
	}
}

func TestWhileTheSecretCannotBeReadNobodyIsRefusedForGood(t *testing.T) {
	store := openStore(t)
	for name, v := range map[string]*vault{
		"down":        {err: errors.New("throttled")},
		"empty":       {},
		"no JSON":     {text: fakePassword},
		"no user":     {text: `{"password":"` + fakePassword + `"}`},
		"no password": {text: `{"user":"root"}`},
		"too short":   {text: `{"user":"root","password":"short-one"}`},
	} {
		o := open(t, store, Config{Secrets: v, SecretID: "admin"})
		answer, cookie := signIn(o, "root", fakePassword)
		require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode, name)
		require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"), name)
		require.Equal(t, "1", answer.Header.Get("Retry-After"), name)
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"), name)
		require.Empty(t, cookie, name)
		_, err := o.Authenticate(withCookie("llmp_session=x"))
		require.ErrorIs(t, err, llmproxy.ErrUnavailable, name)
		for _, secret := range []string{fakePassword, "short-one"} {
			require.NotContains(t, err.Error(), secret, name)
		}
	}
}

func TestThePasswordOfDevelopmentWins(t *testing.T) {
	v := &vault{err: errors.New("never asked")}
	o := open(t, openStore(t), Config{Secrets: v, SecretID: "admin", User: "dev", Password: llmproxy.NewSecret(fakePassword)})
	answer, _ := signIn(o, "dev", fakePassword)
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
	require.Zero(t, v.reads)
	_, err := New(Config{Password: llmproxy.NewSecret("short-one"), User: "dev", Admin: admin.Config{Store: openStore(t), Refusals: quiet{}}})
	require.ErrorContains(t, err, "12 characters")
	_, err = New(Config{})
	require.ErrorIs(t, err, ErrNobody)
}
