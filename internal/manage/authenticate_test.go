package manage_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// routes are method and path of every operation that the running API describes, and of the description itself. Ids are those of a
// project and a token that are there.
func (a *api) routes(t testing.TB) (routes [][2]string) {
	t.Helper()
	project := a.newProject(t)
	token, _ := a.newToken(t, project)
	document := a.want(t, http.StatusOK, "GET", "/manage/openapi.json", nil).object(t)
	for path, item := range document["paths"].(map[string]any) {
		id := project
		if strings.HasPrefix(path, "/manage/tokens") {
			id = token
		}
		for method := range item.(map[string]any) {
			routes = append(routes, [2]string{strings.ToUpper(method), strings.ReplaceAll(path, "{id}", id)})
		}
	}
	require.GreaterOrEqual(t, len(routes), 17)
	return append(routes, [2]string{"GET", "/manage/openapi.json"}, [2]string{"GET", "/manage/nothing"}, [2]string{"PUT", "/manage/info"}, [2]string{"OPTIONS", "/manage/projects"})
}

func TestEveryRouteRefusesEveryCredentialButTheRightOne(t *testing.T) {
	a := newAPI(t)
	_, proxyToken := a.newToken(t, a.newProject(t))
	routes := a.routes(t)
	before := a.want(t, http.StatusOK, "GET", "/manage/projects", nil).body
	for name, credential := range map[string]string{
		"none":                "",
		"empty":               "Bearer ",
		"a proxy token":       "Bearer " + proxyToken,
		"a wrong one":         "Bearer wrong",
		"of the right length": "Bearer " + strings.Repeat("x", len(managementToken)),
		"a prefix":            "Bearer " + managementToken[:len(managementToken)-1],
		"one byte more":       "Bearer " + managementToken + "x",
		"in other case":       "Bearer " + strings.ToUpper(managementToken),
		"as Basic":            "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+managementToken)),
		"Basic in the raw":    "Basic " + managementToken,
		"without a scheme":    managementToken,
		"with two spaces":     "Bearer  " + managementToken,
	} {
		for _, route := range routes {
			got := a.do(t, route[0], route[1], nil, "Authorization", credential)
			require.Equal(t, http.StatusUnauthorized, got.status, "%s %s with %s", route[0], route[1], name)
			require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
			require.NotContains(t, got.body, proxyToken)
			require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
		}
	}
	require.Equal(t, before, a.want(t, http.StatusOK, "GET", "/manage/projects", nil).body, "nothing happened")
	a.want(t, http.StatusOK, "GET", "/manage/info", nil, "Authorization", "bearer "+managementToken)
}

func TestTwoCredentialsAreNone(t *testing.T) {
	a := newAPI(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", a.server.URL+"/manage/info", nil)
	require.NoError(t, err)
	req.Header["Authorization"] = []string{"Bearer " + managementToken, "Bearer " + managementToken}
	res, err := a.server.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
}

func TestAShortManagementTokenIsRefusedAtTheStart(t *testing.T) {
	for _, token := range []string{"", "short", strings.Repeat("x", 31)} {
		_, err := manage.NewBearer(llmproxy.NewSecret(token))
		require.ErrorContains(t, err, "at least 32 characters")
	}
	_, err := manage.NewHandler(manage.HandlerConfig{Service: newHouse(t).service, Providers: provider.Default()})
	require.ErrorContains(t, err, "authenticator")
	bearer, err := manage.NewBearer(llmproxy.NewSecret(managementToken))
	require.NoError(t, err)
	_, err = manage.NewHandler(manage.HandlerConfig{Authenticators: []manage.Authenticator{bearer}})
	require.ErrorContains(t, err, "service")
}

func TestRefusedAttemptsAreToldUpToALimitAndThenCounted(t *testing.T) {
	a := newAPI(t)
	for range 100 {
		a.want(t, http.StatusUnauthorized, "GET", "/manage/tokens", nil, "Authorization", "Bearer wrong", "X-Forwarded-For", "198.51.100.9")
	}
	require.Equal(t, 60, a.audits(t))
	e := a.lastAudit(t)
	require.Equal(t, []any{"authenticate", "refused", "wrong credential", "unknown", "127.0.0.1", "198.51.100.9"}, []any{e.Action, e.Outcome, e.Reason, e.Actor.Name, e.Actor.ClientAddr, e.Actor.Forwarded})
	require.NotEmpty(t, e.Actor.RequestID)

	a.clock.move(time.Minute)
	a.want(t, http.StatusUnauthorized, "GET", "/manage/tokens", nil, "Authorization", "")
	require.Equal(t, 62, a.audits(t), "the next minute tells of the rest first")
	require.Equal(t, "no credential", a.lastAudit(t).Reason)
	suppressed := func() (n int64) {
		entries, _, err := a.store.Audit(t.Context(), llmproxy.AuditFilter{Outcome: llmproxy.AuditRefused}, llmproxy.Page{})
		require.NoError(t, err)
		for _, e := range entries {
			n += e.Suppressed
		}
		return n
	}
	require.Equal(t, int64(40), suppressed())
	for range 70 {
		a.want(t, http.StatusUnauthorized, "GET", "/manage/tokens", nil, "Authorization", "Bearer wrong")
	}
	a.handler.Close()
	require.Equal(t, int64(51), suppressed(), "and so does the end of the program")
}

// cookies is a second authenticator: sign-in by cookie.
type cookies struct{}

func (cookies) Authenticate(r *http.Request) (string, error) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return "", manage.ErrNoCredential
	}
	switch cookie.Value {
	case "good":
		return "admin:eve", nil
	case "elsewhere":
		return "", fmt.Errorf("%w: sent by another site", manage.ErrForbidden)
	case "untold":
		return "", fmt.Errorf("sessions: %w", llmproxy.ErrUnavailable)
	}
	return "", errors.New("no such session")
}

func TestAnotherAuthenticatorNamesItsActor(t *testing.T) {
	a := newAPI(t, func(cfg *manage.HandlerConfig) { cfg.Authenticators = append(cfg.Authenticators, cookies{}) })
	got := a.want(t, http.StatusCreated, "POST", "/manage/projects", m{"name": "demo", "api_key": fakeKey}, "Authorization", "", "Cookie", "session=good", "X-Forwarded-For", strings.Repeat("9", 600))
	e := a.lastAudit(t)
	require.Equal(t, "admin:eve", e.Actor.Name)
	require.Equal(t, got.header.Get("X-Llm-Proxy-Request-Id"), e.Actor.RequestID)
	require.Len(t, e.Actor.Forwarded, 512, "a claim is kept so far")
	a.want(t, http.StatusForbidden, "GET", "/manage/info", nil, "Authorization", "", "Cookie", "session=elsewhere")
	require.Contains(t, a.lastAudit(t).Reason, "another site")
	a.want(t, http.StatusUnauthorized, "GET", "/manage/info", nil, "Authorization", "", "Cookie", "session=bad")
	require.Equal(t, "no such session", a.lastAudit(t).Reason)
	before := a.audits(t)
	a.want(t, http.StatusServiceUnavailable, "GET", "/manage/info", nil, "Authorization", "", "Cookie", "session=untold")
	require.Equal(t, before, a.audits(t), "nobody was refused")
	a.want(t, http.StatusUnauthorized, "GET", "/manage/info", nil, "Authorization", "Bearer wrong", "Cookie", "session=good")
}

// failing is a store that answers as it is told to.
type failing struct {
	manage.Store
	err error
}

func (f *failing) AppendAudit(ctx context.Context, e llmproxy.AuditEntry) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.AppendAudit(ctx, e)
}

func (f *failing) Projects(ctx context.Context, filter llmproxy.ProjectFilter, page llmproxy.Page) ([]llmproxy.Project, bool, error) {
	if f.err != nil {
		return nil, false, f.err
	}
	return f.Store.Projects(ctx, filter, page)
}

func (f *failing) Project(ctx context.Context, id llmproxy.ProjectID) (llmproxy.Project, error) {
	panic("a defect")
}

func TestAStoreThatDoesNotAnswerIs503AndADefectIs500(t *testing.T) {
	store := &failing{}
	h := newHouse(t, func(cfg *manage.Config) { store.Store = cfg.Store; cfg.Store = store })
	a := serveAPI(t, h)
	store.err = fmt.Errorf("%w: the disk at /secret/place is full", llmproxy.ErrUnavailable)
	got := a.want(t, http.StatusServiceUnavailable, "GET", "/manage/projects", nil)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.NotContains(t, got.body, "/secret/place")
	a.want(t, http.StatusUnauthorized, "GET", "/manage/projects", nil, "Authorization", "Bearer wrong")
	store.err = errors.New("something odd")
	got = a.want(t, http.StatusInternalServerError, "GET", "/manage/projects", nil)
	require.NotContains(t, got.body, "odd")
	store.err = nil
	got = a.want(t, http.StatusInternalServerError, "GET", "/manage/projects/"+llmproxy.NewProjectID(noon).String(), nil)
	require.NotContains(t, got.body, "defect")
}
