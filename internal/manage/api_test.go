package manage_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

const managementToken = "fake-management-token-0123456789abcdef"

// api is management over HTTP.
type api struct {
	*house
	handler *manage.Handler
	server  *httptest.Server
}

func newAPI(t testing.TB, change ...func(*manage.HandlerConfig)) *api {
	t.Helper()
	return serveAPI(t, newHouse(t), change...)
}

func serveAPI(t testing.TB, h *house, change ...func(*manage.HandlerConfig)) *api {
	t.Helper()
	bearer, err := manage.NewBearer(llmproxy.NewSecret(managementToken))
	require.NoError(t, err)
	cfg := manage.HandlerConfig{
		Service: h.service, Authenticators: []manage.Authenticator{bearer}, Providers: provider.Default(), Version: "v1.2.3", Store: "sqlite", Bus: "spool",
	}
	for _, c := range change {
		c(&cfg)
	}
	handler, err := manage.NewHandler(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		handler.Close()
	})
	return &api{house: h, handler: handler, server: server}
}

// answer is a whole answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// object is the answer's body as an object.
func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &out), a.body)
	return out
}

func (a answer) list(t testing.TB) []map[string]any {
	t.Helper()
	var out []map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &out), a.body)
	return out
}

// do sends a request with the management token; header overrides it. A body is a string, or made into JSON.
func (a *api) do(t testing.TB, method, path string, body any, header ...string) answer {
	t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		require.NoError(t, err)
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.server.URL+path, reader)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+managementToken)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := a.server.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header, string(data)}
}

// want sends a request and requires its status.
func (a *api) want(t testing.TB, status int, method, path string, body any, header ...string) answer {
	t.Helper()
	got := a.do(t, method, path, body, header...)
	require.Equal(t, status, got.status, "%s %s %v: %s", method, path, body, got.body)
	if status >= 400 {
		require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
		require.InDelta(t, status, got.object(t)["status"], 0)
	}
	return got
}

// wantField sends a request that cannot be taken because of one field.
func (a *api) wantField(t testing.TB, field, method, path string, body any, header ...string) {
	t.Helper()
	got := a.want(t, http.StatusBadRequest, method, path, body, header...)
	errs, _ := got.object(t)["errors"].([]any)
	require.NotEmpty(t, errs, got.body)
	for _, e := range errs {
		require.Equal(t, field, e.(map[string]any)["field"], "%v: %s", body, got.body)
		require.NotEmpty(t, e.(map[string]any)["message"])
	}
}

type m = map[string]any

// newProject makes a project over HTTP and returns its id.
func (a *api) newProject(t testing.TB, extra ...m) string {
	t.Helper()
	body := m{"name": "demo", "api_key": fakeKey}
	for _, e := range extra {
		for k, v := range e {
			body[k] = v
		}
	}
	return a.want(t, http.StatusCreated, "POST", "/manage/projects", body).object(t)["project_id"].(string)
}

// newToken mints a token over HTTP and returns id and secret.
func (a *api) newToken(t testing.TB, project string, extra ...m) (id, secret string) {
	t.Helper()
	body := m{"project_id": project, "duration_minutes": 60}
	for _, e := range extra {
		for k, v := range e {
			body[k] = v
		}
	}
	got := a.want(t, http.StatusCreated, "POST", "/manage/tokens", body).object(t)
	return got["id"].(string), got["token"].(string)
}
