//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/lambdahost"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
	"github.com/sofatutor/llm-proxy/internal/testlog"
)

// What the secrets hold.
const (
	user            = "root"
	password        = "fake-admin-password"
	managementToken = "fake-management-token-of-32-characters"
)

// built are the functions as they are deployed, but for this machine's architecture, by name.
var built = map[string]string{}

var startEngine = sync.OnceValues(func() (*dynamolocal.Server, error) { return dynamolocal.Start(context.Background()) })

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "admin-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"admin", "management", "setup"} {
		built[name] = filepath.Join(dir, name, "bootstrap")
		build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", built[name], "../"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	code := m.Run()
	if engine, err := startEngine(); err == nil {
		return code, engine.Close()
	}
	return code, nil
}

// log keeps what the functions say.
type log = testlog.Buffer

// deployed is the site as the template joins it: under one origin the pages in their bucket, the sign-in and management.
type deployed struct {
	t       *testing.T
	url     string // of the distribution
	account *cloud.Cloud
	store   *dynamo.Store
	log     *log
	client  *http.Client // knows the distribution's certificate, and has no cookies
}

var tables = 0

// deploy starts the functions over tables of their own and has setup bring the site to its bucket.
func deploy(t *testing.T) *deployed {
	t.Helper()
	engine, err := startEngine()
	if err != nil {
		t.Skipf("SKIPPED, the functions need a store: %v", err)
	}
	sealing := seal.NewSecret()
	public, err := seal.PublicKey(sealing)
	require.NoError(t, err)
	d := &deployed{t: t, log: &log{}, account: &cloud.Cloud{Secrets: map[string]string{
		"admin": fmt.Sprintf(`{"user":%q,"password":%q}`, user, password), "operators": fmt.Sprintf(`{"management_token":%q}`, managementToken),
	}}}
	aws := httptest.NewServer(d.account)
	t.Cleanup(aws.Close)
	tables++
	names := dynamo.Config{Tokens: fmt.Sprint("tokens-", tables), Control: fmt.Sprint("control-", tables), ChangeBudget: time.Minute}
	d.store = dynamo.New(engine.Config(), names)
	t.Cleanup(func() { require.NoError(t, d.store.Close()) })
	require.NoError(t, d.store.CreateTables(t.Context()))

	site := httptest.NewUnstartedServer(nil)
	d.url = "https://" + site.Listener.Addr().String()
	host := func(name string, env map[string]string) *lambdahost.Host {
		env["AWS_ENDPOINT_URL"], env["AWS_ENDPOINT_URL_DYNAMODB"] = aws.URL, engine.URL
		h, err := lambdahost.New(lambdahost.Config{Bootstrap: built[name], Timeout: time.Minute, Init: time.Minute, Log: d.log, Env: env})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, h.Close()) })
		return h
	}
	signIn := host("admin", map[string]string{
		"LLM_PROXY_CONTROL_TABLE": names.Control, "LLM_PROXY_ADMIN_SECRET": "admin", "LLM_PROXY_SITE_URL": d.url,
	}).API()
	management := host("management", map[string]string{
		"LLM_PROXY_TOKENS_TABLE": names.Tokens, "LLM_PROXY_CONTROL_TABLE": names.Control, "LLM_PROXY_SEALING_PUBLIC_KEY": public, "LLM_PROXY_EVENT_BUS": "events",
		"LLM_PROXY_KEYS_PREFIX": "stack/keys/", "LLM_PROXY_OPERATORS_SECRET": "operators", "LLM_PROXY_ADMIN_SECRET": "admin", "LLM_PROXY_SITE_URL": d.url,
	}).API()
	setup := host("setup", map[string]string{
		"LLM_PROXY_TOKENS_TABLE": names.Tokens, "LLM_PROXY_CONTROL_TABLE": names.Control, "LLM_PROXY_SEALING_SECRET": "sealing",
	})
	d.change(setup, "Create", "")

	site.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as the template's behaviours say
		switch {
		case strings.HasPrefix(r.URL.Path, "/manage/"):
			management.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/admin/api/"):
			signIn.ServeHTTP(w, r)
		default:
			page := "/site" + r.URL.Path
			if r.URL.Path == "/" {
				page += "index.html"
			}
			asked := httptest.NewRequest(http.MethodGet, page, nil)
			d.account.ServeHTTP(w, asked)
		}
	})
	site.StartTLS()
	t.Cleanup(site.Close)
	d.client = site.Client()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the functions' log:\n%s", d.log)
		}
	})
	return d
}

// change has setup make a change of the site's resource, as CloudFormation asks for it, and waits for what it reports.
func (d *deployed) change(setup *lambdahost.Host, kind, id string) {
	d.t.Helper()
	reports := make(chan string, 1)
	reported := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		reports <- string(body)
	}))
	defer reported.Close()
	event, err := json.Marshal(map[string]any{
		"RequestType": kind, "ResourceType": "Custom::Site", "ResponseURL": reported.URL, "StackId": "stack", "RequestId": "request",
		"LogicalResourceId": "SitePages", "PhysicalResourceId": id, "ResourceProperties": map[string]any{"Bucket": "site"},
	})
	require.NoError(d.t, err)
	_, err = setup.Invoke(d.t.Context(), event)
	require.NoError(d.t, err, "%s", d.log)
	require.Equal(d.t, "SUCCESS", gjson.Get(<-reports, "Status").Str)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   gjson.Result
}

// text is the answer without what differs between any two.
func (a answer) text() string {
	return fmt.Sprint(a.status, a.body.Raw, a.header.Get("Www-Authenticate"))
}

// browser is one of an operator, with its cookies.
type browser struct {
	*deployed
	http.Client
}

func (d *deployed) browser() *browser {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(d.t, err)
	return &browser{deployed: d, Client: http.Client{Transport: d.client.Transport, Jar: jar}}
}

// send sends a request as it is. A store that a busy machine makes too slow is asked again, as a page would.
func (b *browser) send(method, path, body string, header map[string]string) answer {
	b.t.Helper()
	for range 20 {
		r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
		require.NoError(b.t, err)
		for name, value := range header {
			r.Header.Set(name, value)
		}
		resp, err := b.Do(r)
		require.NoError(b.t, err, "%s %s", method, path)
		text, err := io.ReadAll(resp.Body)
		require.NoError(b.t, err)
		require.NoError(b.t, resp.Body.Close())
		if resp.StatusCode == http.StatusServiceUnavailable {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		return answer{resp.StatusCode, resp.Header, gjson.ParseBytes(text)}
	}
	b.t.Fatalf("%s %s: the store stays too slow", method, path)
	return answer{}
}

// fetch sends a request as a page of the site does.
func (b *browser) fetch(method, path, body string) answer {
	b.t.Helper()
	header := map[string]string{"Sec-Fetch-Site": "same-origin"}
	if body != "" {
		header["Content-Type"] = "application/json"
	}
	if method != http.MethodGet {
		header["Origin"] = b.url
	}
	return b.send(method, path, body, header)
}

func credentials(user, password string) string {
	return fmt.Sprintf(`{"user":%q,"password":%q}`, user, password)
}

// signIn signs in and returns the cookie's value.
func (b *browser) signIn() string {
	b.t.Helper()
	got := b.fetch(http.MethodPost, "/admin/api/session", credentials(user, password))
	require.Equal(b.t, http.StatusNoContent, got.status, got.body.Raw)
	cookies := (&http.Response{Header: got.header}).Cookies()
	require.Len(b.t, cookies, 1)
	return cookies[0].Value
}

// actors are who the audit says has done something.
func (b *browser) actors(action, outcome string) (all []string) {
	b.t.Helper()
	got := b.send(http.MethodGet, "/manage/audit?action="+action+"&outcome="+outcome, "", map[string]string{"Authorization": "Bearer " + managementToken})
	require.Equal(b.t, http.StatusOK, got.status, got.body.Raw)
	for _, entry := range got.body.Array() {
		all = append(all, entry.Get("actor").Str)
	}
	return all
}

// end lets a session end now, as time would.
func (d *deployed) end(hash llmproxy.SessionHash) {
	d.t.Helper()
	s, err := d.store.Session(d.t.Context(), hash)
	require.NoError(d.t, err)
	s.ExpiresAt = time.Now().Add(-time.Second)
	require.NoError(d.t, d.store.ExtendSession(d.t.Context(), s))
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u
}
