package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheFrontDecidesByTheRawPath: what only looks like a path of the server's own is the proxy's, which knows what to make of it.
func TestTheFrontDecidesByTheRawPath(t *testing.T) {
	is := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name, " ", r.RequestURI) })
	}
	f := &front{exact: map[string]http.Handler{"/health": is("health")}, under: []prefixed{{"/manage/", is("manage")}}, proxy: is("proxy")}
	for target, want := range map[string]string{
		"/health":                  "health",
		"/health?x=1":              "health",
		"/health/":                 "proxy",
		"/Health":                  "proxy",
		"//health":                 "proxy",
		"/x/../health":             "proxy",
		"/healt%68":                "proxy",
		"http://elsewhere/health":  "proxy",
		"/manage/tokens":           "manage",
		"/manage/tokens?limit=1":   "manage",
		"/manage/":                 "manage",
		"/manage":                  "proxy",
		"/managed/tokens":          "proxy",
		"/manage%2ftokens":         "proxy",
		"/./manage/tokens":         "proxy",
		"/v1/manage/tokens":        "proxy",
		"/v1/models?next=/manage/": "proxy",
		"*":                        "proxy",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RequestURI = target
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		require.Equal(t, want+" "+target, w.Body.String())
	}
}
