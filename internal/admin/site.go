package admin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// built is what `make ui` has made. A binary from a tree where that has not run has the placeholder page alone.
//
//go:embed all:ui/dist
var built embed.FS

// Site is what this binary was built with of the site: index.html and what it loads, or placeholder.html alone.
func Site() fs.FS {
	site, _ := fs.Sub(built, "ui/dist") // the name is a valid one
	return site
}

const (
	placeholder = "placeholder.html"
	indexPage   = "index.html"
	hashedFiles = "assets/" // a file in here has the hash of its content in its name
)

// contentTypes of what the site is made of. A file of another kind is not served.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".png":  "image/png",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// siteFile is a file of the site as it is served. Its content is read when it is asked for first: most servers never show the site, and
// none should start the later, or be the larger, for it.
type siteFile struct {
	contentType string
	hashed      bool
	plain       func() (siteContent, error)
	gzipped     func() (siteContent, error) // nil where it would win nothing
}

// siteContent is one form of a file.
type siteContent struct {
	body []byte
	etag string
}

// readSite returns the files of the site by their path below /admin/, "" being its page.
func readSite(from fs.FS) (map[string]*siteFile, error) {
	files := map[string]*siteFile{}
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || contentTypes[path.Ext(name)] == "" {
			return err
		}
		files[name] = newSiteFile(from, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the admin site: %w", err)
	}
	page := files[indexPage]
	if page == nil {
		page = files[placeholder]
	}
	if page == nil {
		return nil, fmt.Errorf("the admin site has neither %s nor %s", indexPage, placeholder)
	}
	delete(files, placeholder)
	delete(files, indexPage)
	files[""] = page
	return files, nil
}

func newSiteFile(from fs.FS, name string) *siteFile {
	f := &siteFile{contentType: contentTypes[path.Ext(name)], hashed: strings.HasPrefix(name, hashedFiles)}
	f.plain = sync.OnceValues(func() (siteContent, error) {
		body, err := fs.ReadFile(from, name)
		sum := sha256.Sum256(body)
		return siteContent{body, base64.RawURLEncoding.EncodeToString(sum[:16])}, err
	})
	if path.Ext(name) != ".png" {
		f.gzipped = sync.OnceValues(func() (siteContent, error) {
			plain, err := f.plain()
			return siteContent{gzipped(plain.body), plain.etag + "-gz"}, err
		})
	}
	return f
}

func gzipped(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one of its own
	_, _ = w.Write(content)                               // a buffer takes all
	_ = w.Close()
	return b.Bytes()
}

// file answers with a file of the site.
func (x *exchange) file(f *siteFile) {
	header := x.w.Header()
	if !isSafe(x.r.Method) {
		header.Set("Allow", "GET, HEAD")
		x.problem(http.StatusMethodNotAllowed, "This path has no such method, see Allow.")
		return
	}
	content := f.plain
	if f.gzipped != nil {
		header.Set("Vary", "Accept-Encoding")
		if takesGzip(x.r) {
			content = f.gzipped
			header.Set("Content-Encoding", "gzip")
		}
	}
	form, err := content()
	if err != nil {
		header.Del("Content-Encoding")
		x.failed(err)
		return
	}
	header.Set("Cache-Control", "no-cache") // kept, but asked for each time: the next binary may have another
	if f.hashed {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	etag := `"` + form.etag + `"`
	header.Set("ETag", etag)
	if has(x.r.Header.Get("If-None-Match"), etag) {
		header.Del("Content-Encoding")
		x.w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", f.contentType)
	header.Set("Content-Length", strconv.Itoa(len(form.body)))
	_, _ = x.w.Write(form.body) // the caller may be gone; of HEAD the server sends the headers alone
}

// takesGzip reports whether a request's Accept-Encoding names gzip and does not rule it out.
func takesGzip(r *http.Request) bool {
	for _, one := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(one, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, weighed := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		n, err := strconv.ParseFloat(q, 64)
		return !weighed || err == nil && n > 0
	}
	return false
}

// has reports whether an If-None-Match names an ETag. A proxy may have made it a weak one.
func has(ifNoneMatch, etag string) bool {
	for _, one := range strings.Split(ifNoneMatch, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}
