package admin_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// bundle is a site as `make ui` leaves it.
var bundle = fstest.MapFS{
	"placeholder.html":    {Data: []byte("<!doctype html><title>not built</title>")},
	"index.html":          {Data: []byte(`<!doctype html><script type="module" src="./assets/index-abc.js"></script>`)},
	"assets/index-abc.js": {Data: bytes.Repeat([]byte("export const a = 1;\n"), 100)},
	"favicon.svg":         {Data: []byte("<svg/>")},
	"logo.png":            {Data: []byte("\x89PNG")},
	".stamp":              {Data: []byte("0123")},
}

func withBundle(cfg *admin.Config) { cfg.Site = bundle }

func TestTheSiteIsServedByItsExactPaths(t *testing.T) {
	s := newSite(t, withBundle)
	for path, want := range map[string]struct{ content, contentType, cache string }{
		"/admin/":                    {"index.html", "text/html; charset=utf-8", "no-cache"},
		"/admin/assets/index-abc.js": {"assets/index-abc.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/admin/favicon.svg":         {"favicon.svg", "image/svg+xml", "no-cache"},
		"/admin/logo.png":            {"logo.png", "image/png", "no-cache"},
	} {
		got := s.want(t, http.StatusOK, "GET", path, "")
		require.Equal(t, string(bundle[want.content].Data), got.body, path)
		require.Equal(t, want.contentType, got.header.Get("Content-Type"), path)
		require.Equal(t, want.cache, got.header.Get("Cache-Control"), path)
		require.Equal(t, admin.ContentSecurityPolicy, got.header.Get("Content-Security-Policy"), path)
		require.Empty(t, s.want(t, http.StatusOK, "HEAD", path, "").body)
		require.Equal(t, "GET, HEAD", s.want(t, http.StatusMethodNotAllowed, "POST", path, "{}", own...).header.Get("Allow"))

		tag := got.header.Get("ETag")
		require.NotEmpty(t, tag, path)
		for _, known := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			again := s.want(t, http.StatusNotModified, "GET", path, "", "If-None-Match: "+known)
			require.Empty(t, again.body)
			require.Equal(t, tag, again.header.Get("ETag"))
		}
		s.want(t, http.StatusOK, "GET", path, "", `If-None-Match: "other"`)
	}
	for _, path := range []string{
		"/admin/index.html", "/admin/placeholder.html", "/admin/.stamp", "/admin/assets", "/admin/assets/", "/admin/assets/index-abc.js/",
		"/admin/assets/%69ndex-abc.js", "/admin/assets%2Findex-abc.js", "/admin/assets/index-old.js", "/admin/api",
	} {
		s.want(t, http.StatusNotFound, "GET", path, "")
	}
}

func TestTheSiteIsSentSmallToWhoTakesIt(t *testing.T) {
	s := newSite(t, withBundle)
	const path = "/admin/assets/index-abc.js"
	plain := s.want(t, http.StatusOK, "GET", path, "", "Accept-Encoding: identity")
	for accepts, small := range map[string]bool{
		"gzip": true, "br, GZIP": true, "deflate, gzip;q=0.5": true, "gzip; q=1": true, "identity": false, "gzip;q=0": false, "gzip;q=": false, "x-gzip": false,
	} {
		got := s.want(t, http.StatusOK, "GET", path, "", "Accept-Encoding: "+accepts)
		require.Equal(t, "Accept-Encoding", got.header.Get("Vary"))
		if !small {
			require.Empty(t, got.header.Get("Content-Encoding"), accepts)
			require.Equal(t, plain.body, got.body, accepts)
			continue
		}
		require.Equal(t, "gzip", got.header.Get("Content-Encoding"), accepts)
		require.Less(t, len(got.body), len(plain.body)/4)
		require.NotEqual(t, plain.header.Get("ETag"), got.header.Get("ETag"), "another form is another entity")
		r, err := gzip.NewReader(strings.NewReader(got.body))
		require.NoError(t, err)
		whole, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, plain.body, string(whole))
		again := s.want(t, http.StatusNotModified, "GET", path, "", "Accept-Encoding: "+accepts, "If-None-Match: "+got.header.Get("ETag"))
		require.Empty(t, again.header.Get("Content-Encoding"))
	}
	require.Empty(t, s.want(t, http.StatusOK, "GET", "/admin/logo.png", "", "Accept-Encoding: gzip").header.Get("Content-Encoding"), "compressed already")
}

// unread is a site none of whose files can be read.
type unread struct{ fs.FS }

func (unread) ReadFile(name string) ([]byte, error) {
	return nil, fmt.Errorf("read %s: the disk is gone", name)
}

func TestAFileIsReadWhenItIsAskedForAndNotAtTheStart(t *testing.T) {
	s := newSite(t, func(cfg *admin.Config) { cfg.Site = unread{bundle} })
	for _, accepts := range []string{"identity", "gzip"} {
		got := s.want(t, http.StatusInternalServerError, "GET", "/admin/assets/index-abc.js", "", "Accept-Encoding: "+accepts)
		require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		require.Empty(t, got.header.Get("ETag"))
		require.Empty(t, got.header.Get("Content-Encoding"))
	}
	require.Contains(t, s.logs.String(), "the disk is gone")
}

func TestABinaryWithoutTheSiteSaysHowToManageAndHowToGetIt(t *testing.T) {
	page, err := os.ReadFile("ui/dist/placeholder.html")
	require.NoError(t, err)
	s := newSite(t, func(cfg *admin.Config) { cfg.Site = fstest.MapFS{"placeholder.html": {Data: page}} })
	got := s.want(t, http.StatusOK, "GET", "/admin/", "")
	require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
	for _, said := range []string{"not built into this binary", "make ui", "llm-proxy manage token generate"} {
		require.Contains(t, got.body, said)
	}
	s.want(t, http.StatusMethodNotAllowed, "POST", "/admin/", "")
	s.want(t, http.StatusNotFound, "GET", "/admin/placeholder.html", "")
}

// TestPagesHaveNothingInline: the policy would stop it.
func TestPagesHaveNothingInline(t *testing.T) {
	pages, err := filepath.Glob("ui/dist/*.html")
	require.NoError(t, err)
	require.Contains(t, pages, "ui/dist/placeholder.html")
	inline := regexp.MustCompile(`<style|\sstyle=|\son[a-z]+=|<script(?:\s+(?:type|crossorigin)(?:="[^"]*")?)*\s*>`)
	require.Regexp(t, inline, "<script type=\"module\">")
	for _, page := range append(pages, "ui/index.html") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		require.NotRegexp(t, inline, string(text), page)
	}
}

func TestASiteWithoutAPageStopsTheStart(t *testing.T) {
	_, err := admin.New(admin.Config{Store: &failing{}, Refusals: noRefusals{}, User: user, Password: llmproxy.NewSecret(password), Site: fstest.MapFS{"assets/a.js": {Data: []byte("1")}}})
	require.ErrorContains(t, err, "neither index.html nor placeholder.html")
}
