package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

const project = `{"name":"demo","api_key":"sk-fake-provider-key-0123456789wxyz"}`

func TestWithTheCookieOnlyOwnPagesChangeThings(t *testing.T) {
	s := newSite(t, func(cfg *admin.Config) { cfg.Origins = []string{"https://LLM.example.com/"} })
	cookie := s.signIn(t)
	host := strings.TrimPrefix(s.url, "http://")
	isJSON := "Content-Type: application/json"
	made := 0
	for _, c := range []struct {
		name   string
		header []string
		ok     bool
	}{
		{"a page of the site", []string{isJSON, "Sec-Fetch-Site: same-origin"}, true},
		{"a page of the site, with its origin", []string{isJSON, "Sec-Fetch-Site: same-origin", "Origin: http://" + host}, true},
		{"a page of the site, in plain text", []string{isJSON, "Origin: http://" + host}, true},
		{"a listed origin", []string{isJSON, "Origin: https://llm.example.com"}, true},
		{"nothing said", []string{isJSON}, false},
		{"another site", []string{isJSON, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, false},
		{"another site that claims our origin", []string{isJSON, "Sec-Fetch-Site: cross-site", "Origin: http://" + host}, false},
		{"another port of this host", []string{isJSON, "Sec-Fetch-Site: same-site"}, false},
		{"the address line", []string{isJSON, "Sec-Fetch-Site: none"}, false},
		{"two answers", []string{isJSON, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, false},
		{"two origins", []string{isJSON, "Origin: https://llm.example.com", "Origin: https://evil.example"}, false},
		{"another origin", []string{isJSON, "Origin: https://evil.example"}, false},
		{"a longer origin", []string{isJSON, "Origin: https://llm.example.com.evil.example"}, false},
		{"the listed host in plain text", []string{isJSON, "Origin: http://llm.example.com"}, false},
		{"a sandboxed page", []string{isJSON, "Origin: null"}, false},
		{"a form", []string{"Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin"}, false},
		{"text", []string{"Content-Type: text/plain", "Sec-Fetch-Site: same-origin"}, false},
		{"no type", []string{"Sec-Fetch-Site: same-origin"}, false},
	} {
		s.clock.move(time.Minute)
		got := s.do(t, "POST", "/manage/projects", project, append(c.header, cookie)...)
		if c.ok {
			made++
			require.Equal(t, http.StatusCreated, got.status, "%s: %s", c.name, got.body)
			require.Equal(t, "project.create|done||admin:root", s.audit(t)[0], c.name)
			continue
		}
		require.Equal(t, http.StatusForbidden, got.status, "%s: %s", c.name, got.body)
		require.Contains(t, s.audit(t)[0], "authenticate|refused|not to be done with this credential", c.name)
	}
	projects, _, err := s.store.Projects(t.Context(), llmproxy.ProjectFilter{}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, projects, made, "what was refused did not happen")

	for _, header := range [][]string{{cookie}, {cookie, "Sec-Fetch-Site: cross-site"}, {cookie, "Sec-Fetch-Site: same-origin", "Content-Type: text/plain"}} {
		s.clock.move(time.Millisecond) // entries of one millisecond have no order
		require.Nil(t, s.want(t, http.StatusForbidden, "DELETE", sessionPath, "", header...).cookie)
	}
	require.Equal(t, "session.end|refused|content that is not JSON, as forms send it|admin:root", s.audit(t)[0])
	s.want(t, http.StatusOK, "GET", sessionPath, "", cookie)
	s.want(t, http.StatusOK, "GET", "/manage/projects", "", cookie, "Sec-Fetch-Site: cross-site")
	s.want(t, http.StatusCreated, "POST", "/manage/projects", project, isJSON, "Authorization: Bearer "+managementToken)
	deleted := "/manage/projects/" + projects[0].ID.String()
	s.want(t, http.StatusForbidden, "DELETE", deleted, "", cookie)
	s.want(t, http.StatusNoContent, "DELETE", deleted, "", cookie, "Sec-Fetch-Site: same-origin")
}

func TestOneWellFormedCookieIsASession(t *testing.T) {
	s := newSite(t)
	cookie := s.signIn(t)
	value := strings.TrimPrefix(cookie, "Cookie: ")
	for name, header := range map[string][]string{
		"none":               nil,
		"another name":       {"Cookie: session=" + value},
		"two":                {"Cookie: " + value + "; llmp_session=x"},
		"two lines":          {cookie, cookie},
		"empty":              {"Cookie: llmp_session="},
		"short":              {cookie[:len(cookie)-1]},
		"long":               {cookie + "A"},
		"another":            {"Cookie: llmp_session=" + strings.Repeat("A", 43)},
		"padded":             {cookie + "="},
		"as a bearer":        {"Authorization: Bearer " + strings.TrimPrefix(value, "llmp_session=")},
		"beside a wrong one": {cookie, "Authorization: Bearer wrong"},
	} {
		s.want(t, http.StatusUnauthorized, "GET", "/manage/info", "", header...)
		require.NotContains(t, s.audit(t)[0], value, name)
	}
	s.want(t, http.StatusOK, "GET", "/manage/info", "", "Cookie: theme=dark; "+value)
}
