package main

import (
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/admin"
	standin "github.com/sofatutor/llm-proxy/internal/demo/cloud"
)

// account has the buckets, and counts what it is asked.
type account struct {
	standin.Cloud
	url  string
	puts []string
	fail string // path of an object that cannot be put
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		if r.URL.Path == a.fail {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		a.puts = append(a.puts, r.URL.Path)
	}
	a.Cloud.ServeHTTP(w, r)
}

func startAccount(t *testing.T) *account {
	a := &account{}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake",
	} {
		t.Setenv(name, value)
	}
	return a
}

func (a *account) keys() []string { return slices.Sorted(maps.Keys(a.Objects())) }

// ask sends an event of the site's resource to the function with the files in it.
func ask(t *testing.T, files fs.FS, e cfn.Event) (string, error) {
	t.Helper()
	e.ResourceType = "Custom::Site"
	set := resource([]string{"LLM_PROXY_TOKENS_TABLE=t", "LLM_PROXY_CONTROL_TABLE=c", "LLM_PROXY_SEALING_SECRET=sealing"}, files)
	id, data, err := set(t.Context(), e)
	require.Empty(t, data)
	return id, err
}

func in(bucket string) map[string]any { return map[string]any{"Bucket": bucket} }

func page(files ...string) fstest.MapFS {
	all := fstest.MapFS{"index.html": {Data: []byte("page")}, "placeholder.html": {Data: []byte("no page")}}
	for _, name := range files {
		all[name] = &fstest.MapFile{Data: []byte(name)}
	}
	return all
}

func TestTheLifeOfTheSite(t *testing.T) {
	a := startAccount(t)
	id, err := ask(t, page("assets/app-1.js", "assets/app-1.css", "favicon.svg", ".stamp"), cfn.Event{RequestType: cfn.RequestCreate, ResourceProperties: in("site")})
	require.NoError(t, err)
	require.Equal(t, "site", id)
	require.Equal(t, []string{"site/assets/app-1.css", "site/assets/app-1.js", "site/favicon.svg", "site/index.html"}, a.keys())
	require.Equal(t, "/site/index.html", a.puts[len(a.puts)-1], "the page comes after what it loads")
	for name, want := range map[string][2]string{
		"index.html":         {"text/html; charset=utf-8", "no-cache"},
		"assets/app-1.js":    {"text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"assets/app-1.css":   {"text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		"favicon.svg":        {"image/svg+xml", "no-cache"},
		"assets/not-here.js": {"application/xml", ""},
	} {
		got, err := http.Get(a.url + "/site/" + name)
		require.NoError(t, err)
		require.NoError(t, got.Body.Close())
		require.Equal(t, want, [2]string{got.Header.Get("Content-Type"), got.Header.Get("Cache-Control")}, name)
	}

	id, err = ask(t, page("assets/app-2.js"), cfn.Event{RequestType: cfn.RequestUpdate, PhysicalResourceID: "site", ResourceProperties: in("site"), OldResourceProperties: in("site")})
	require.NoError(t, err)
	require.Equal(t, "site", id)
	require.Equal(t, []string{"site/assets/app-2.js", "site/index.html"}, a.keys(), "what is no longer in the site goes")

	id, err = ask(t, page(), cfn.Event{RequestType: cfn.RequestUpdate, PhysicalResourceID: "site", ResourceProperties: in("moved"), OldResourceProperties: in("site")})
	require.NoError(t, err)
	require.Equal(t, "moved", id, "another bucket is another resource, so that the one before is emptied")
	id, err = ask(t, page(), cfn.Event{RequestType: cfn.RequestDelete, PhysicalResourceID: "site", ResourceProperties: in("site")})
	require.NoError(t, err)
	require.Equal(t, "site", id)
	require.Equal(t, []string{"moved/index.html"}, a.keys())
}

func TestAFunctionBuiltWithoutTheSiteBringsThePageThatSaysSo(t *testing.T) {
	a := startAccount(t)
	_, err := ask(t, fstest.MapFS{"placeholder.html": {Data: []byte("no page")}}, cfn.Event{RequestType: cfn.RequestCreate, ResourceProperties: in("site")})
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"site/index.html": []byte("no page")}, a.Objects())
}

func TestASiteThatCannotBeBroughtIsTold(t *testing.T) {
	a := startAccount(t)
	id, err := ask(t, page(), cfn.Event{RequestType: cfn.RequestCreate})
	require.ErrorContains(t, err, "Bucket")
	_, err = ask(t, page(), cfn.Event{RequestType: cfn.RequestDelete, PhysicalResourceID: id})
	require.NoError(t, err, "what never came up can go")
	id, err = ask(t, page(), cfn.Event{RequestType: cfn.RequestUpdate, PhysicalResourceID: "site"})
	require.Error(t, err)
	require.Equal(t, "site", id)
	_, err = ask(t, fstest.MapFS{"app.js": {}}, cfn.Event{RequestType: cfn.RequestCreate, ResourceProperties: in("site")})
	require.ErrorContains(t, err, "index.html")
	require.Empty(t, a.Objects())
	a.fail = "/site/assets/b.js"
	_, err = ask(t, page("assets/a.js", "assets/b.js"), cfn.Event{RequestType: cfn.RequestCreate, ResourceProperties: in("site")})
	require.ErrorContains(t, err, "put assets/b.js into site")
	require.Equal(t, []string{"site/assets/a.js"}, a.keys(), "a page is not changed before all it loads is there")
	a.fail = ""
	a.Make(standin.Illness{Bucket: true})
	_, err = ask(t, page(), cfn.Event{RequestType: cfn.RequestDelete, PhysicalResourceID: "site"})
	require.ErrorContains(t, err, "list what is in site")
}

// TestEachFileOfTheSiteHasAType: browsers are told not to guess.
func TestEachFileOfTheSiteHasAType(t *testing.T) {
	all, err := objects(admin.Site())
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, o := range all {
		require.Contains(t, contentTypes, path.Ext(o.key), o.key)
	}
}
