//go:build linux

package aws

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// call is one that came through a door.
type call struct {
	method, path, query, credential, body string
}

// action is what CloudFormation and STS are asked for.
func (c call) action() string {
	form, err := url.ParseQuery(c.body)
	if err != nil {
		return ""
	}
	return form.Get("Action")
}

// door leads to the emulator and keeps what was asked through it.
type door struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
}

// startDoor opens a door to an address.
func startDoor(t *testing.T, to string) *door {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	d := &door{}
	through := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has left
		}
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		credential, _, _ = strings.Cut(credential, "/")
		c := call{r.Method, r.URL.Path, r.URL.RawQuery, credential, string(body)}
		d.mu.Lock()
		deleted := slices.ContainsFunc(d.calls, func(earlier call) bool { return earlier.action() == "DeleteStack" })
		d.calls = append(d.calls, c)
		d.mu.Unlock()
		for {
			r.Body = io.NopCloser(bytes.NewReader(body))
			if !deleted || c.action() != "DescribeStacks" {
				through.ServeHTTP(w, r)
				return
			}
			// SAM would ask again after half a minute only, so it is told when the stack is gone.
			answer := httptest.NewRecorder()
			through.ServeHTTP(answer, r)
			if strings.Contains(answer.Body.String(), "DELETE_IN_PROGRESS") && r.Context().Err() == nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.Code)
			_, _ = io.Copy(w, answer.Body) // the caller may have left
			return
		}
	}))
	t.Cleanup(d.Close)
	return d
}

// asked are the calls so far.
func (d *door) asked() []call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// objectsDeleted is how many versions and marks of a bucket's objects were asked to be deleted.
func (d *door) objectsDeleted(bucket string) (n int) {
	for _, c := range d.asked() {
		if c.method == http.MethodPost && strings.Contains("&"+c.query, "&delete") && strings.Contains(c.path, bucket) {
			n += strings.Count(c.body, "<VersionId>")
		}
	}
	return n
}
