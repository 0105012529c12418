//go:build linux

package aws

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
)

// builtWith returns what GOFLAGS has to say for a function to be built with a site of these files, as if they had been in its folder.
func builtWith(e *emulator, files map[string]string) string {
	e.t.Helper()
	site, err := filepath.Abs(filepath.Join(root, "internal", "admin", "ui", "dist"))
	require.NoError(e.t, err)
	dir := e.t.TempDir()
	replace := map[string]string{}
	for name, content := range files {
		instead := filepath.Join(dir, fmt.Sprint(len(replace)))
		require.NoError(e.t, os.WriteFile(instead, []byte(content), 0o600))
		replace[filepath.Join(site, name)] = instead
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(e.t, err)
	path := filepath.Join(dir, "overlay.json")
	require.NoError(e.t, os.WriteFile(path, overlay, 0o600))
	return "GOFLAGS=-overlay=" + path
}

// buildSetup puts a setup with a site of these files into the place of the one that was built.
func (e *emulator) buildSetup(files map[string]string) {
	e.t.Helper()
	setup := filepath.Join(e.built, "Setup")
	require.NoError(e.t, os.Remove(filepath.Join(setup, "bootstrap"))) // other tests have the same file
	cmd := exec.CommandContext(e.t.Context(), "make", "build-Setup", "GOARCH="+runtime.GOARCH, "ARTIFACTS_DIR="+setup)
	cmd.Dir, cmd.Env = root, append(os.Environ(), builtWith(e, files))
	out, err := cmd.CombinedOutput()
	require.NoError(e.t, err, "%s", out)
}

// physical is the name that a stack has given to one of its resources.
func (e *emulator) physical(stack, logical string) string {
	e.t.Helper()
	a := e.cloudFormation("DescribeStackResources", stack)
	require.Equal(e.t, http.StatusOK, a.status, a.body)
	for _, member := range strings.Split(a.body, "<member>")[1:] {
		if strings.Contains(member, "<LogicalResourceId>"+logical+"</LogicalResourceId>") {
			_, rest, _ := strings.Cut(member, "<PhysicalResourceId>")
			id, _, _ := strings.Cut(rest, "</PhysicalResourceId>")
			return id
		}
	}
	return ""
}

// versions are how many of objects a bucket has, older ones and marks of deletions with them.
func (e *emulator) versions(bucket string) (n int) {
	e.t.Helper()
	client := s3.NewFromConfig(e.config(), func(o *s3.Options) { o.UsePathStyle = true })
	pages := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(e.t.Context())
		require.NoError(e.t, err)
		n += len(page.Versions) + len(page.DeleteMarkers)
	}
	return n
}

// fill makes so many versions in a bucket, and marks of deletions.
func (e *emulator) fill(bucket, prefix string, n int) {
	e.t.Helper()
	client := s3.NewFromConfig(e.config(), func(o *s3.Options) { o.UsePathStyle = true })
	before, marks := e.versions(bucket), 0
	for i := range n {
		key := sdk.String(fmt.Sprint(prefix, i%(n/2)))
		_, err := client.PutObject(e.t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: key, Body: strings.NewReader("older")})
		require.NoError(e.t, err)
		if i%100 == 0 {
			_, err = client.DeleteObject(e.t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: key})
			require.NoError(e.t, err)
			marks++
		}
	}
	require.Equal(e.t, before+n+marks, e.versions(bucket))
}

// Two builds of a site. No tree has such files.
var (
	firstSite  = map[string]string{"index.html": "first page", "assets/test-1.js": "first script", "assets/test-1.css": "first style"}
	secondSite = map[string]string{"index.html": "second page", "assets/test-2.js": "second script"}
)

// checkSite looks whether the bucket has what a distribution needs of a site.
func (e *emulator) checkSite(bucket string, want map[string]string) {
	e.t.Helper()
	client := s3.NewFromConfig(e.config(), func(o *s3.Options) { o.UsePathStyle = true })
	for name, content := range want {
		object, err := client.GetObject(e.t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &name})
		require.NoError(e.t, err, name)
		body, err := io.ReadAll(object.Body)
		require.NoError(e.t, err)
		require.Equal(e.t, content, string(body), name)
		kind, kept := map[string]string{".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}[filepath.Ext(name)], "public, max-age=31536000, immutable"
		if name == "index.html" {
			kept = "no-cache"
		}
		require.Equal(e.t, []string{kind, kept}, []string{sdk.ToString(object.ContentType), sdk.ToString(object.CacheControl)}, name)
	}
	require.NotContains(e.t, e.contents(bucket), "placeholder.html")
}

// signIn asks the admin function for a session as a browser does that has the site open, and returns its cookie.
func (s *stack) signIn(user, password string) (status int, cookie string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"user":%q,"password":%q}`, user, password)
	a := s.asBrowser(http.MethodPost, "/admin/api/session", "", body)
	cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	return a.status, cookie
}

// asBrowser sends a request to the HTTP API as the distribution passes it on.
func (s *stack) asBrowser(method, path, cookie, body string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	api, _, _ := strings.Cut(strings.TrimPrefix(s.out["ManageUrl"], "https://"), ".")
	r.Host = api + ".execute-api.localhost:" + strings.TrimPrefix(s.host, "127.0.0.1:")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", strings.TrimSuffix(s.out["AdminUrl"], "/"))
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	return answer{resp.StatusCode, readAll(resp), resp.Header}
}

// checkSignIn signs in, sees and changes something, signs out, and finds the door shut.
func (s *stack) checkSignIn() {
	s.t.Helper()
	require.Regexp(s.t, `^https://[a-z0-9]+\.cloudfront\.net/$`, s.out["AdminUrl"])
	user, password := s.secret(s.out["AdminSecret"], "user"), s.secret(s.out["AdminSecret"], "password")
	require.Len(s.t, password, 32)
	status, _ := s.signIn(user, password+"x")
	require.Equal(s.t, http.StatusUnauthorized, status)
	status, cookie := s.signIn(user, password)
	require.Equal(s.t, http.StatusNoContent, status)
	listed := s.asBrowser(http.MethodGet, "/manage/projects", cookie, "")
	require.Equal(s.t, http.StatusOK, listed.status, listed.body)
	project := s.asBrowser(http.MethodPost, "/manage/projects", cookie, `{"name":"from a browser","api_key":"sk-fake-provider-key-5678"}`)
	require.Equal(s.t, http.StatusCreated, project.status, project.body)
	out := s.asBrowser(http.MethodDelete, "/admin/api/session", cookie, "")
	require.Equal(s.t, http.StatusNoContent, out.status, out.body)
	again := s.asBrowser(http.MethodGet, "/manage/projects", cookie, "")
	require.Equal(s.t, http.StatusUnauthorized, again.status, again.body)
}
