//go:build unix

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// loaded are the files of its own that a page loads.
var loaded = regexp.MustCompile(`(?:src|href)="\./([^"]+)"`)

// TestTheSiteComesFromItsBucket: setup has brought it there, and the page loads what lies beside it.
func TestTheSiteComesFromItsBucket(t *testing.T) {
	d := deploy(t)
	get := func(path string) (*http.Response, string) {
		resp, err := d.client.Get(d.url + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp, string(body)
	}
	want, err := fs.ReadFile(admin.Site(), "index.html")
	isBuilt := err == nil
	if !isBuilt {
		t.Log("the site is not built here (make ui): this tries the page that says so")
		want, err = fs.ReadFile(admin.Site(), "placeholder.html")
	}
	require.NoError(t, err)
	resp, page := get("/")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, string(want), page)
	require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Equal(t, "no-cache", resp.Header.Get("Cache-Control"))
	files := loaded.FindAllStringSubmatch(page, -1)
	require.Equal(t, isBuilt, len(files) > 0, "what the page loads is tried")
	for _, file := range files {
		resp, body := get("/" + file[1])
		require.Equal(t, http.StatusOK, resp.StatusCode, file[1])
		require.NotEmpty(t, body, file[1])
		require.NotEqual(t, "application/octet-stream", resp.Header.Get("Content-Type"), file[1])
	}
	resp, _ = get("/placeholder.html")
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

// TestFromSignInToSignOut is an operator's day, through the built functions alone.
func TestFromSignInToSignOut(t *testing.T) {
	b := deploy(t).browser()
	require.Equal(t, http.StatusUnauthorized, b.fetch(http.MethodGet, "/admin/api/session", "").status)
	require.Equal(t, http.StatusUnauthorized, b.fetch(http.MethodGet, "/manage/projects", "").status)

	in := b.fetch(http.MethodPost, "/admin/api/session", credentials(user, password))
	require.Equal(t, http.StatusNoContent, in.status, in.body.Raw)
	require.Regexp(t, `^llmp_session=[A-Za-z0-9_-]{43}; Path=/; HttpOnly; Secure; SameSite=Strict$`, in.header.Get("Set-Cookie"))
	require.Equal(t, "no-store", in.header.Get("Cache-Control"))
	told := b.fetch(http.MethodGet, "/admin/api/session", "")
	require.Equal(t, http.StatusOK, told.status)
	require.Equal(t, user, told.body.Get("user").Str)
	require.WithinDuration(t, time.Now().Add(30*time.Minute), told.body.Get("expires_at").Time(), time.Minute)

	project := b.fetch(http.MethodPost, "/manage/projects", `{"name":"<img src=x onerror=alert(1)>","api_key":"sk-fake-provider-key-1234"}`)
	require.Equal(t, http.StatusCreated, project.status, project.body.Raw)
	id := project.body.Get("project_id").Str
	minted := b.fetch(http.MethodPost, "/manage/tokens", `{"project_id":"`+id+`","duration_minutes":60}`)
	require.Equal(t, http.StatusCreated, minted.status, minted.body.Raw)
	token := "/manage/tokens/" + minted.body.Get("id").Str
	require.True(t, b.fetch(http.MethodGet, token, "").body.Get("is_active").Bool())
	require.Equal(t, http.StatusNoContent, b.fetch(http.MethodDelete, token, "").status)
	require.False(t, b.fetch(http.MethodGet, token, "").body.Get("is_active").Bool())
	for _, action := range []string{"session.create", "project.create", "token.create", "token.revoke"} {
		require.Equal(t, []string{"admin:" + user}, b.actors(action, "done"), action)
	}

	kept := b.Jar.Cookies(mustParse(t, b.url))
	require.Len(t, kept, 1)
	out := b.fetch(http.MethodDelete, "/admin/api/session", "")
	require.Equal(t, http.StatusNoContent, out.status)
	require.Empty(t, b.Jar.Cookies(mustParse(t, b.url)), "the browser has forgotten it")
	for _, path := range []string{"/manage/projects", "/admin/api/session"} {
		got := b.deployed.browser().send(http.MethodGet, path, "", map[string]string{"Cookie": kept[0].String(), "Sec-Fetch-Site": "same-origin"})
		require.Equal(t, http.StatusUnauthorized, got.status, "%s with the cookie from before", path)
	}
	require.Equal(t, []string{"admin:" + user}, b.actors("session.end", "done"))
	require.NotContains(t, b.log.String(), password)
	require.NotContains(t, b.log.String(), kept[0].Value)
}

// TestAPageOfAnotherSiteChangesNothing: the cookie is SameSite, and where a browser sent it all the same nothing would come of it.
func TestAPageOfAnotherSiteChangesNothing(t *testing.T) {
	b := deploy(t).browser()
	b.signIn()
	const project = `{"name":"forged","api_key":"sk-fake-provider-key-1234"}`
	for name, header := range map[string]map[string]string{
		"another site's script":       {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.com"},
		"another host of the domain":  {"Content-Type": "application/json", "Sec-Fetch-Site": "same-site", "Origin": "https://evil.cloudfront.example.com"},
		"an old browser":              {"Content-Type": "application/json", "Origin": "https://evil.example.com"},
		"a sandboxed frame":           {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site", "Origin": "null"},
		"nobody says":                 {"Content-Type": "application/json"},
		"another site's form":         {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.com"},
		"a form of ours":              {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin", "Origin": b.url},
		"a form that sends text":      {"Content-Type": "text/plain", "Sec-Fetch-Site": "same-origin", "Origin": b.url},
		"a form with JSON in a field": {"Content-Type": "multipart/form-data; boundary=x", "Sec-Fetch-Site": "same-origin", "Origin": b.url},
	} {
		got := b.send(http.MethodPost, "/manage/projects", project, header)
		require.Equal(t, http.StatusForbidden, got.status, "%s: %s", name, got.body.Raw)
		got = b.send(http.MethodDelete, "/admin/api/session", "{}", header)
		require.Equal(t, http.StatusForbidden, got.status, "%s: signing out: %s", name, got.body.Raw)
	}
	got := b.send(http.MethodPost, "/admin/api/session", credentials(user, password), map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.com"})
	require.Equal(t, http.StatusForbidden, got.status, "nobody is signed in from elsewhere")
	got = b.send(http.MethodPost, "/admin/api/session", "user="+user+"&password="+password, map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin", "Origin": b.url})
	require.Equal(t, http.StatusUnsupportedMediaType, got.status, "nor by a form")

	listed := b.fetch(http.MethodGet, "/manage/projects", "")
	require.Equal(t, http.StatusOK, listed.status, "the session goes on")
	require.Empty(t, listed.body.Array())
	require.Empty(t, listed.header.Get("Access-Control-Allow-Origin"))
	preflight := b.send(http.MethodOptions, "/manage/projects", "", map[string]string{"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"})
	require.Empty(t, preflight.header.Get("Access-Control-Allow-Origin"), "no other site may read an answer")
	// The site's own origin is enough where a browser has no Sec-Fetch-Site: the API sees another host than the browser.
	got = b.send(http.MethodPost, "/manage/projects", project, map[string]string{"Content-Type": "application/json", "Origin": b.url})
	require.Equal(t, http.StatusCreated, got.status, got.body.Raw)
}

func TestASessionEndsByTime(t *testing.T) {
	b := deploy(t).browser()
	cookie := b.signIn()
	require.Equal(t, http.StatusOK, b.fetch(http.MethodGet, "/manage/projects", "").status)
	b.end(sessionHash(t, cookie))
	for _, path := range []string{"/manage/projects", "/admin/api/session"} {
		require.Equal(t, http.StatusUnauthorized, b.fetch(http.MethodGet, path, "").status, path)
	}
	require.Equal(t, http.StatusUnauthorized, b.fetch(http.MethodPost, "/manage/projects", `{"name":"late","api_key":"sk-fake-provider-key-1234"}`).status)
}

// TestAWrongPasswordSaysNothing: neither which half was wrong nor, once it is throttled, whether the password is right.
func TestAWrongPasswordSaysNothing(t *testing.T) {
	b := deploy(t).browser()
	try := func(user, password string) answer {
		return b.fetch(http.MethodPost, "/admin/api/session", credentials(user, password))
	}
	wrong := []answer{try(user, "fake-wrong-password"), try("nobody", password), try("nobody", "fake-wrong-password"), try(user, password+"x")}
	for _, got := range wrong {
		require.Equal(t, http.StatusUnauthorized, got.status, got.body.Raw)
		require.Equal(t, wrong[0].text(), got.text())
		require.Empty(t, got.header.Get("Set-Cookie"))
	}
	// One failure is left, whichever process counts it.
	var all sync.WaitGroup
	results := make([]answer, 6)
	for i := range results {
		all.Go(func() { results[i] = try(user, "fake-wrong-password") })
	}
	all.Wait()
	refused := 0
	for _, got := range results {
		if got.status == http.StatusUnauthorized {
			refused++
			continue
		}
		require.Equal(t, http.StatusTooManyRequests, got.status, got.body.Raw)
		require.NotEmpty(t, got.header.Get("Retry-After"))
	}
	require.LessOrEqual(t, refused, 1, "five failures a minute, in all processes together")
	right, other := try(user, password), try("somebody", "fake-wrong-password")
	require.Equal(t, http.StatusTooManyRequests, right.status, right.body.Raw)
	require.Equal(t, right.text(), other.text(), "whoever guesses right is not told")
	require.Equal(t, http.StatusUnauthorized, b.fetch(http.MethodGet, "/manage/projects", "").status)
	require.Contains(t, b.actors("session.create", "refused"), "unknown")
	require.NotContains(t, b.log.String(), password)
}

// sessionHash is what the store has of a session.
func sessionHash(t *testing.T, cookie string) llmproxy.SessionHash {
	t.Helper()
	secret, err := base64.RawURLEncoding.DecodeString(cookie)
	require.NoError(t, err)
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	return sha256.Sum256(append(append(secret, u[:]...), p[:]...))
}
