package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// signIn sends user and password as a page of the site does; headers override.
func (s *testServer) signIn(user, password string, headers ...string) *http.Response {
	s.t.Helper()
	return s.ask(http.MethodPost, "/admin/api/session", fmt.Sprintf(`{"user":%q,"password":%q}`, user, password), headers...)
}

// ask sends a request without a token.
func (s *testServer) ask(method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// TestASignOutHoldsInEveryServerOnTheDatabase: two servers with a database in common share nothing else.
func TestASignOutHoldsInEveryServerOnTheDatabase(t *testing.T) {
	db := map[string]string{"LLM_PROXY_DB": filepath.Join(t.TempDir(), "shared.db")}
	one, two := startPlain(t, db), startPlain(t, db)
	require.NotEqual(t, one.url, two.url)
	res := one.signIn("admin", "fake-password")
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	require.Len(t, res.Cookies(), 1)
	cookie := "Cookie: llmp_session=" + res.Cookies()[0].Value
	for _, s := range []*testServer{one, two} {
		require.Equal(t, http.StatusOK, s.ask(http.MethodGet, "/admin/api/session", "", cookie).StatusCode)
		created := s.ask(http.MethodPost, "/manage/projects", `{"name":"demo","api_key":"sk-fake-provider-key"}`, cookie, "Sec-Fetch-Site: same-origin")
		require.Equal(t, http.StatusCreated, created.StatusCode)
		require.Equal(t, http.StatusForbidden, s.ask(http.MethodPost, "/manage/projects", `{"name":"demo","api_key":"sk-fake-provider-key"}`, cookie, "Sec-Fetch-Site: cross-site").StatusCode)
	}
	require.Equal(t, http.StatusNoContent, two.ask(http.MethodDelete, "/admin/api/session", "", cookie, "Sec-Fetch-Site: same-origin").StatusCode)
	for _, s := range []*testServer{one, two} {
		require.Equal(t, http.StatusUnauthorized, s.ask(http.MethodGet, "/admin/api/session", "", cookie).StatusCode)
		require.Equal(t, http.StatusUnauthorized, s.ask(http.MethodGet, "/manage/projects", "", cookie).StatusCode)
	}
	require.NoError(t, one.end())
	require.NoError(t, two.end())
	for _, secret := range []string{"fake-password", res.Cookies()[0].Value} {
		require.NotContains(t, one.log.String()+two.log.String(), secret)
	}
}

func TestTheAdminPathIsServed(t *testing.T) {
	s := startPlain(t, nil)
	res := s.ask(http.MethodGet, "/admin", "") // is led to /admin/
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, string(body), "<title>llm-proxy</title>") // the site, or what a binary without it says
	require.Equal(t, http.StatusNotFound, s.ask(http.MethodGet, "/admin/nothing", "").StatusCode)
}

// TestAPageIsToldWhatTheServerIsSetTo: with the session's cookie, as the site asks.
func TestAPageIsToldWhatTheServerIsSetTo(t *testing.T) {
	for _, c := range []struct {
		start func(*testing.T, map[string]string) *testServer
		set   map[string]string
		want  map[string]string
	}{
		{startPlain, nil, map[string]string{"demo": "false", "base_url": "", "region": "", "ledger": "true", "capture": `"full"`, "limits.max_concurrent_per_token": "64", "limits.default_max_requests": "", "limits.answer_ms": ""}},
		{
			start,
			map[string]string{
				"LLM_PROXY_PUBLIC_URL": "https://llm.example.com/", "LLM_PROXY_CAPTURE": "metadata", "LLM_PROXY_MAX_CONCURRENT_PER_TOKEN": "3", "LLM_PROXY_DEFAULT_MAX_REQUESTS": "500",
				"ADMIN_PASSWORD": "fake-password",
			},
			map[string]string{
				"demo": "true", "base_url": `"https://llm.example.com/v1"`, "capture": `"metadata"`, "limits.max_concurrent_per_token": "3", "limits.default_max_requests": "500",
				"limits.session_idle_ms": "1800000", "retention.event_bytes": "10737418240",
			},
		},
	} {
		s := c.start(t, c.set)
		res := s.signIn("admin", "fake-password")
		require.Equal(t, http.StatusNoContent, res.StatusCode)
		info := s.ask(http.MethodGet, "/manage/info", "", "Cookie: llmp_session="+res.Cookies()[0].Value)
		require.Equal(t, http.StatusOK, info.StatusCode)
		body, err := io.ReadAll(info.Body)
		require.NoError(t, err)
		for path, want := range c.want {
			require.Equal(t, want, gjson.GetBytes(body, path).Raw, path)
		}
	}
}

// TestAFileIsALinkOfThePage: an export comes with the session's cookie alone, as a link asks.
func TestAFileIsALinkOfThePage(t *testing.T) {
	s := startPlain(t, nil)
	res := s.signIn("admin", "fake-password")
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	cookie := "Cookie: llmp_session=" + res.Cookies()[0].Value
	for path, head := range map[string]string{"/manage/audit?format=csv": "time,id,action,", "/manage/requests?format=csv": "time,id,project_id,", "/manage/audit?format=jsonl": `{"id":"`} {
		file := s.ask(http.MethodGet, path, "", cookie, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Accept: text/html,*/*;q=0.8")
		body, err := io.ReadAll(file.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, file.StatusCode)
		require.Contains(t, file.Header.Get("Content-Disposition"), "attachment; filename=")
		require.True(t, strings.HasPrefix(string(body), head), string(body))
		require.Equal(t, http.StatusUnauthorized, s.ask(http.MethodGet, path, "").StatusCode)
	}
}
