package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// patient is an installation that a doctor looks at.
type patient struct {
	t   *testing.T
	dir string
	env map[string]string
	now time.Time
	net bool
}

// newPatient makes a healthy one with one project.
func newPatient(t *testing.T) *patient {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := &patient{t: t, dir: dir, now: time.Now(), env: map[string]string{
		"LLM_PROXY_DATA_DIR": dir, "LLM_PROXY_ADDR": "127.0.0.1:0", "LLM_PROXY_EVENT_LOG": filepath.Join(dir, "events.jsonl"),
	}}
	keys, err := loadKeys(dir, makeOperators)
	require.NoError(t, err)
	s := p.settings()
	store, err := sqlite.Open(t.Context(), s.sqlite(nil))
	require.NoError(t, err)
	defer store.Close()
	sealer, err := newSealer(keys)
	require.NoError(t, err)
	service := newService(s, store, sealer, provider.Default())
	_, err = service.CreateProject(t.Context(), llmproxy.Actor{Name: "local"}, manage.NewProject{Name: "Team", Provider: "openai", APIKey: llmproxy.NewSecret("sk-fake-provider-key"), Endpoints: []llmproxy.EndpointGroup{llmproxy.GroupInference}})
	require.NoError(t, err)
	return p
}

func (p *patient) settings() *settings {
	p.t.Helper()
	s, err := parseSettings(p.env)
	require.NoError(p.t, err)
	return &s
}

// examine returns what was found, by check.
func (p *patient) examine() map[string]finding {
	p.t.Helper()
	d := &doctor{settings: p.settings(), offline: !p.net, now: func() time.Time { return p.now }}
	d.examine(p.t.Context())
	found := map[string]finding{}
	for _, f := range d.findings {
		if worse := found[f.Check]; worse.Status != statusFail && worse.Status != statusWarn {
			found[f.Check] = f
		}
	}
	return found
}

func (p *patient) write(name, content string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	require.NoError(p.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestAHealthyInstallationHasNothingToMend(t *testing.T) {
	found := newPatient(t).examine()
	for _, f := range found {
		require.Empty(t, f.Fix, "%+v", f)
		require.Contains(t, []findingStatus{statusOK, statusSkip}, f.Status, "%+v", f)
	}
	require.ElementsMatch(t, []string{
		"data folder", "key file", "management credentials", "database", "provider keys", "server", "providers", "provider openai",
		"clock", "events for file", "dead letters", "event log", "disk space",
	}, slices.Collect(maps.Keys(found)))
	require.Equal(t, "not asked: --offline", found["provider openai"].Detail)
}

func TestEachIllnessIsNamedWithItsCure(t *testing.T) {
	for name, c := range map[string]struct {
		harm   func(p *patient)
		check  string
		status findingStatus
		detail string
		fix    string
	}{
		"no folder":          {func(p *patient) { require.NoError(p.t, os.RemoveAll(p.dir)) }, "data folder", statusFail, "is not there", "llm-proxy setup"},
		"a file for folder":  {func(p *patient) { p.env["LLM_PROXY_DATA_DIR"] = keyFilePath(p.dir) }, "data folder", statusFail, "is no folder", "LLM_PROXY_DATA_DIR"},
		"open folder":        {func(p *patient) { require.NoError(p.t, os.Chmod(p.dir, 0o755)) }, "data folder", statusWarn, "mode 0755", "chmod 700"},
		"no keys":            {func(p *patient) { require.NoError(p.t, os.Remove(keyFilePath(p.dir))) }, "key file", statusFail, "neither be sealed nor opened", "llm-proxy setup"},
		"open keys":          {func(p *patient) { require.NoError(p.t, os.Chmod(keyFilePath(p.dir), 0o644)) }, "key file", statusFail, "mode 0644", "chmod 600"},
		"damaged keys":       {func(p *patient) { p.write("keys.json", "{") }, "key file", statusFail, "damaged", "restore"},
		"keys unread":        {func(p *patient) { p.write("keys.json", "{") }, "provider keys", statusSkip, "they need key file", ""},
		"no operators":       {func(p *patient) { p.write("keys.json", `{"sealing_secret":"`+seal.NewSecret().Reveal()+`"}`) }, "management credentials", statusFail, "MANAGEMENT_TOKEN is not set", "llm-proxy setup"},
		"short token":        {func(p *patient) { p.env["MANAGEMENT_TOKEN"] = "short" }, "management credentials", statusFail, "MANAGEMENT_TOKEN has 5 characters", "openssl rand"},
		"easy token":         {func(p *patient) { p.env["MANAGEMENT_TOKEN"] = strings.Repeat("ab", 20) }, "management credentials", statusWarn, "easy to guess", "openssl rand"},
		"easy password":      {func(p *patient) { p.env["ADMIN_PASSWORD"] = strings.Repeat("x", 20) }, "management credentials", statusWarn, "ADMIN_PASSWORD", "llm-proxy setup"},
		"no database":        {func(p *patient) { require.NoError(p.t, os.Remove(filepath.Join(p.dir, "llm-proxy.db"))) }, "database", statusFail, "is not there", "llm-proxy setup"},
		"open database":      {func(p *patient) { require.NoError(p.t, os.Chmod(filepath.Join(p.dir, "llm-proxy.db"), 0o644)) }, "database", statusWarn, "mode 0644", "chmod 600"},
		"no database at all": {func(p *patient) { p.write("llm-proxy.db", strings.Repeat("text", 3000)) }, "database", statusFail, "cannot be read", "backup"},
		"newer database":     {func(p *patient) { p.sql(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`) }, "database", statusFail, "version 999", "newer program"},
		"older database":     {func(p *patient) { p.sql(`UPDATE goose_db_version SET version_id = 0`) }, "database", statusWarn, "version 0", "start the server"},
		"other keys":         {func(p *patient) { p.write("keys.json", `{"sealing_secret":"`+seal.NewSecret().Reveal()+`"}`) }, "provider keys", statusFail, `1 of 1: projects "Team"`, "set the provider keys"},
		"no project":         {func(p *patient) { p.sql(`DELETE FROM projects`) }, "provider keys", statusWarn, "no project", "llm-proxy setup"},
		"providers.yaml": {func(p *patient) {
			p.env["LLM_PROXY_PROVIDERS"] = p.write("providers.yaml", "default: x\nproviders:\n  x:\n    base_uri: y\n")
		}, "providers", statusFail, "providers.yaml:4", "mend the place"},
		"unknown provider": {func(p *patient) { p.sql(`UPDATE projects SET provider = 'mistral'`) }, "providers", statusWarn, `"Team" is of the provider mistral`, "LLM_PROXY_PROVIDERS"},
		"no address":       {func(p *patient) { p.env["LLM_PROXY_ADDR"] = "192.0.2.1:8080" }, "server", statusFail, "nobody can listen", "LLM_PROXY_ADDR"},
		"clock":            {func(p *patient) { p.now = p.now.Add(-2 * time.Hour) }, "clock", statusFail, "written 2h0m", "NTP"},
		"clock of 1970":    {func(p *patient) { p.now = time.Unix(1000, 0) }, "clock", statusFail, "before this program was written", "NTP"},
		"dead letters":     {func(p *patient) { p.write("dead-letters.jsonl", "{}\n{}\n{\"torn\"") }, "dead letters", statusWarn, "given up for file: 3", "dead-letters list --name file"},
		"letters of another": {func(p *patient) {
			p.follow("hook")
			require.NoError(p.t, os.WriteFile(dispatch.DeadLettersPath(p.dir, "hook"), []byte("{}\n"), 0o600))
		}, "dead letters", statusWarn, "given up for hook: 1", "dead-letters list --name hook"},
		"backlog of another": {func(p *patient) { p.follow("hook"); p.publish(); p.now = p.now.Add(time.Hour) }, "events for hook", statusWarn, "the oldest event for 1h", "llm-proxy dispatcher"},
		"no log folder":      {func(p *patient) { p.env["LLM_PROXY_EVENT_LOG"] = filepath.Join(p.dir, "missing", "events.jsonl") }, "event log", statusFail, "is not there", "mkdir -p"},
		"a folder for log":   {func(p *patient) { p.env["LLM_PROXY_EVENT_LOG"] = p.dir }, "event log", statusFail, "cannot be written to", "access"},
		"no log":             {func(p *patient) { delete(p.env, "LLM_PROXY_EVENT_LOG") }, "event log", statusSkip, "none is set", ""},
		"backlog":            {func(p *patient) { p.publish(); p.now = p.now.Add(time.Hour) }, "events for file", statusWarn, "the oldest event for 1h", "start the server"},
		"certificate ends":   {func(p *patient) { p.tls() }, "certificate", statusWarn, "it ends on", "renew"},
		"certificate ended":  {func(p *patient) { p.tls(); p.now = p.now.Add(48 * time.Hour) }, "certificate", statusFail, "it ended on", "renew"},
		"certificate to be":  {func(p *patient) { p.tls(); p.now = p.now.Add(-48 * time.Hour) }, "certificate", statusFail, "it begins on", "clock"},
		"no certificate":     {func(p *patient) { p.tls(); p.write("cert.pem", "nothing") }, "certificate", statusFail, "--tls-cert", "chain"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			p.t = t
			c.harm(p)
			f := p.examine()[c.check]
			require.Equal(t, c.status, f.Status, "%+v", f)
			require.Contains(t, f.Detail, c.detail)
			require.Contains(t, f.Fix, c.fix)
			require.Equal(t, c.status == statusSkip, f.Fix == "", "whatever is wrong has a fix")
		})
	}
}

func (p *patient) sql(statement string) {
	p.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(p.dir, "llm-proxy.db"))
	require.NoError(p.t, err)
	_, err = db.ExecContext(p.t.Context(), statement)
	require.NoError(p.t, err)
	require.NoError(p.t, db.Close())
}

// publish leaves an event in the spool that nobody has delivered.
func (p *patient) publish() {
	p.t.Helper()
	s, err := spool.Open(p.settings().spool(nil))
	require.NoError(p.t, err)
	id := llmproxy.NewEventID(p.now)
	s.Begin(&llmproxy.Begin{ID: id, Time: p.now})
	s.Publish(&llmproxy.Event{ID: id, Time: p.now, Outcome: llmproxy.Complete})
	require.NoError(p.t, s.Close())
}

// follow leaves a destination's cursor in the spool.
func (p *patient) follow(name string) {
	p.t.Helper()
	f, err := spool.Follow(p.settings().spool(nil).Dir, name, nil)
	require.NoError(p.t, err)
	require.NoError(p.t, f.Close())
}

func (p *patient) tls() {
	p.t.Helper()
	require.NoError(p.t, writeCertificate(p.dir))
	p.env["LLM_PROXY_TLS_CERT"], p.env["LLM_PROXY_TLS_KEY"] = filepath.Join(p.dir, "cert.pem"), filepath.Join(p.dir, "key.pem")
}

func TestAnAddressThatAnotherProgramHasIsToldApart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	p := newPatient(t)
	p.env["LLM_PROXY_ADDR"] = listener.Addr().String()
	f := p.examine()["server"]
	require.Equal(t, statusFail, f.Status)
	require.Contains(t, f.Detail, "another program listens on "+listener.Addr().String())
	require.Contains(t, f.Fix, "--addr 127.0.0.1:")
}

func TestProvidersAreAskedWithoutAKey(t *testing.T) {
	answer := func(date string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if date != "" {
				w.Header().Set("Date", date)
			}
			for _, header := range []string{"Authorization", "X-Api-Key"} {
				if r.Header.Get(header) != "" {
					w.Header().Set("Date", "a key was sent")
				}
			}
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}))
		t.Cleanup(s.Close)
		return s
	}
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		url    string
		status findingStatus
		detail string
		fix    string
	}{
		"answers":   {answer("").URL, statusOK, "answers, in", ""},
		"skewed":    {answer("Mon, 02 Nov 2026 08:00:00 GMT").URL, statusWarn, "differs from this one's by", "NTP"},
		"untrusted": {untrusted.URL, statusFail, "not to be trusted", "ca-certificates"},
		"gone":      {gone.URL, statusFail, "nobody listens", "base_url"},
		"no name":   {"https://no-such-host.invalid", statusFail, "does not resolve", "name server"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			p.net = true
			p.env["LLM_PROXY_PROVIDERS"] = p.write("providers.yaml", fmt.Sprintf("default: openai\nproviders:\n  openai:\n    preset: openai\n    base_url: %s\n", c.url))
			f := p.examine()["provider openai"]
			require.Equal(t, c.status, f.Status, "%+v", f)
			require.Contains(t, f.Detail, c.detail)
			require.Contains(t, f.Fix, c.fix)
		})
	}
}

func TestAProviderIsAskedAtAllowedAddressesOnly(t *testing.T) {
	var asked bool
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inside.Close()
	p := &provider.Provider{BaseURL: &url.URL{Scheme: "https", Host: "llm.example.com"}}
	_, err := dialAllowed(p)(t.Context(), "tcp", inside.Listener.Addr().String()) // as if the name led there
	require.ErrorIs(t, err, errAddress)
	why, fix := unreachable(err, p.BaseURL.Host)
	require.Contains(t, why, "llm.example.com: address is not allowed")
	require.Contains(t, fix, "private: true")
	require.False(t, asked)
}

func TestLookingChangesNothing(t *testing.T) {
	p := newPatient(t)
	p.publish()
	before := snapshot(t, p.dir)
	p.examine()
	after := snapshot(t, p.dir)
	for name := range before {
		if strings.Contains(name, "llm-proxy.db") { // opening may fold its log into it
			delete(before, name)
		}
	}
	for name := range after {
		if strings.Contains(name, "llm-proxy.db") {
			delete(after, name)
		}
	}
	require.Equal(t, before, after)
}

func TestFindingsSayNoSecret(t *testing.T) {
	p := newPatient(t)
	p.env["MANAGEMENT_TOKEN"], p.env["ADMIN_PASSWORD"] = "sk-fake", "sk-fake-pw"
	d := &doctor{settings: p.settings(), offline: true, now: time.Now}
	d.examine(t.Context())
	keys, err := readKeys(keyFilePath(p.dir))
	require.NoError(t, err)
	for _, asJSON := range []bool{true, false} {
		var out strings.Builder
		require.NoError(t, d.print(&out, asJSON))
		for _, secret := range []string{"sk-fake", keys.SealingSecret, keys.ManagementToken, keys.AdminPassword} {
			require.NotContains(t, out.String(), secret)
		}
		if asJSON {
			var back struct {
				OK     bool
				Checks []finding
			}
			require.NoError(t, json.Unmarshal([]byte(out.String()), &back))
			require.False(t, back.OK)
			require.Equal(t, d.findings, back.Checks)
		}
	}
	require.ErrorContains(t, d.verdict(), "one check failed")
}
