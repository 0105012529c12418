package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
	"github.com/sofatutor/llm-proxy/internal/testlog"
)

const (
	user            = "root"
	password        = "sk-fake-admin-password"
	managementToken = "sk-fake-management-token-0123456789abcdef"
	right           = `{"user":"` + user + `","password":"` + password + `"}`
	wrong           = `{"user":"` + user + `","password":"sk-fake-wrong-password"}`
)

var noon = time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)

// clock is a time that moves when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// logs is what was logged.
type logs = testlog.Buffer

// site is a server with the admin side and the management API over a real store.
type site struct {
	store  *sqlite.Store
	path   string
	clock  *clock
	logs   *logs
	url    string
	broken atomic.Bool // the store does not answer sign-in
}

// breakable is a store that does not answer while it is broken.
type breakable struct {
	admin.Store
	broken *atomic.Bool
}

func (b breakable) answer() error {
	if b.broken.Load() {
		return fmt.Errorf("%w: the disk is gone", llmproxy.ErrUnavailable)
	}
	return nil
}

func (b breakable) Session(ctx context.Context, hash llmproxy.SessionHash) (llmproxy.Session, error) {
	if err := b.answer(); err != nil {
		return llmproxy.Session{}, err
	}
	return b.Store.Session(ctx, hash)
}

func (b breakable) CountSignIn(ctx context.Context, a llmproxy.SignIn) (time.Duration, error) {
	if err := b.answer(); err != nil {
		return 0, err
	}
	return b.Store.CountSignIn(ctx, a)
}

func newSite(t testing.TB, change ...func(*admin.Config)) *site {
	t.Helper()
	return openSite(t, filepath.Join(t.TempDir(), "admin.db"), &clock{at: noon}, change...)
}

func openSite(t testing.TB, path string, c *clock, change ...func(*admin.Config)) *site {
	t.Helper()
	s := &site{path: path, clock: c, logs: &logs{}}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), s.logs, zap.DebugLevel))
	var err error
	s.store, err = sqlite.Open(context.Background(), sqlite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.store.Close()) })
	public, err := seal.PublicKey(seal.NewSecret())
	require.NoError(t, err)
	sealer, err := seal.NewSealer(public)
	require.NoError(t, err)
	service := manage.New(manage.Config{Store: s.store, Sealer: sealer, Providers: []string{"openai"}, Default: "openai", Now: c.now})
	refusals := manage.NewRefusals(service, log)
	t.Cleanup(refusals.Close)
	cfg := admin.Config{Store: breakable{s.store, &s.broken}, Refusals: refusals, User: user, Password: llmproxy.NewSecret(password), Now: c.now, Log: log}
	for _, one := range change {
		one(&cfg)
	}
	h, err := admin.New(cfg)
	require.NoError(t, err)
	bearer, err := manage.NewBearer(llmproxy.NewSecret(managementToken))
	require.NoError(t, err)
	api, err := manage.NewHandler(manage.HandlerConfig{Service: service, Authenticators: []manage.Authenticator{bearer, h}, Providers: provider.Default(), Refusals: refusals, Log: log})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/admin/", h)
	mux.Handle("/admin", h)
	mux.Handle("/manage/", api)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// answer is a whole answer.
type answer struct {
	status int
	header http.Header
	body   string
	cookie *http.Cookie // nil where none was set
}

// own are the headers that a browser adds to what a page of the site sends.
var own = []string{"Content-Type: application/json", "Sec-Fetch-Site: same-origin"}

func (s *site) do(t testing.TB, method, path, body string, header ...string) answer {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, content)
	require.NoError(t, err)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(req) // follows nothing
	require.NoError(t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	a := answer{status: res.StatusCode, header: res.Header, body: string(data)}
	for _, c := range res.Cookies() {
		require.Nil(t, a.cookie, "one cookie")
		a.cookie = c
	}
	return a
}

// want is do for an answer of this status.
func (s *site) want(t testing.TB, status int, method, path, body string, header ...string) answer {
	t.Helper()
	a := s.do(t, method, path, body, header...)
	require.Equal(t, status, a.status, "%s %s: %s", method, path, a.body)
	return a
}

const sessionPath = "/admin/api/session"

// signIn returns the header that a browser sends from then on.
func (s *site) signIn(t testing.TB) string {
	t.Helper()
	a := s.want(t, http.StatusNoContent, "POST", sessionPath, right, own...)
	require.NotNil(t, a.cookie)
	return "Cookie: " + a.cookie.Name + "=" + a.cookie.Value
}

// with adds headers to those of a page of the site.
func with(header ...string) []string { return append(append([]string{}, own...), header...) }

// audit are all entries, newest first, as "action outcome reason actor".
func (s *site) audit(t testing.TB) (said []string) {
	t.Helper()
	entries, _, err := s.store.Audit(t.Context(), llmproxy.AuditFilter{}, llmproxy.Page{})
	require.NoError(t, err)
	for _, e := range entries {
		require.Equal(t, "127.0.0.1", e.Actor.ClientAddr)
		require.NotEmpty(t, e.Actor.RequestID)
		said = append(said, strings.Join([]string{e.Action, e.Outcome, e.Reason, e.Actor.Name}, "|"))
	}
	return said
}

func object(t testing.TB, body string) (out map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(body), &out), body)
	return out
}
