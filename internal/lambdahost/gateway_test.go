package lambdahost

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheNearestRouteTakesARequest(t *testing.T) {
	g := &gateway{doors: map[string]*door{}}
	for _, path := range []string{"/manage/{proxy+}", "/manage/deep/{proxy+}", "/health", "/{proxy+}"} {
		g.doors[path] = &door{domain: path}
	}
	for path, want := range map[string]route{
		"/manage/projects":  {"ANY /manage/{proxy+}", map[string]string{"proxy": "projects"}},
		"/manage/a/b/":      {"ANY /manage/{proxy+}", map[string]string{"proxy": "a/b/"}},
		"/manage/deep/a":    {"ANY /manage/deep/{proxy+}", map[string]string{"proxy": "a"}},
		"/manage/deep":      {"ANY /manage/{proxy+}", map[string]string{"proxy": "deep"}},
		"/health":           {"ANY /health", nil},
		"/manage":           {"ANY /{proxy+}", map[string]string{"proxy": "manage"}},
		"/managed/projects": {"ANY /{proxy+}", map[string]string{"proxy": "managed/projects"}},
	} {
		d, got := g.find(path)
		require.NotNil(t, d, path)
		require.Equal(t, want, got, path)
		require.Equal(t, "ANY "+d.domain, got.key, path)
	}
	d, _ := g.find("/")
	require.Nil(t, d, "nothing lies below it")
	delete(g.doors, "/{proxy+}")
	for _, path := range []string{"/manage", "/manage/", "/other", ""} {
		d, _ := g.find(path)
		require.Nil(t, d, path)
	}
}

// A function that answers too late for an API is heard by nobody: the caller has 503 by then.
func TestAnAPIWaitsForItsFunctionSoLong(t *testing.T) {
	host, err := New(Config{Bootstrap: "/bin/sleep", Name: "sleeper", Init: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, host.Close()) })
	never := newInvocation(host, nil, true) // under way, and never answered
	d := &door{host: host, api: true, patience: time.Millisecond}
	w := httptest.NewRecorder()
	require.False(t, d.await(w, never))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.JSONEq(t, `{"message":"Service Unavailable"}`, w.Body.String())
	never.whole("application/json", []byte("{}"))
	require.True(t, (&door{host: host}).await(httptest.NewRecorder(), never), "whoever is not so impatient gets it")
}
