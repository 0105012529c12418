package faulttest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
	"github.com/sofatutor/llm-proxy/internal/testlog"
)

// Credentials of the house.
const (
	managementToken = "fake-management-token-of-32-chars"
	adminPassword   = "fake-admin-password"
)

// house is an installation: a data folder, a provider, and management as another process has it.
type house struct {
	t        *testing.T
	data     string // folder
	db       string
	settings map[string]string
	upstream *upstream
	store    *sqlite.Store
	service  *manage.Service
	project  llmproxy.ProjectID

	providerKey string
	secret      string // of the token that setup has made
	client      *http.Client
}

// newHouse sets one up with llm-proxy setup. Settings are environment variables for every program that runs in it.
func newHouse(t *testing.T, settings map[string]string) *house {
	t.Helper()
	h := &house{t: t, data: t.TempDir(), settings: map[string]string{}, upstream: newUpstream(t), providerKey: "sk-fake-" + rand.Text()}
	providers := filepath.Join(t.TempDir(), "providers.yaml")
	require.NoError(t, os.WriteFile(providers, []byte("default: openai\nproviders:\n  openai:\n    preset: openai\n    base_url: "+h.upstream.URL+
		"\n    circuit_breaker: {failures: 1000, window: 10s, cooldown: 1s}\n  gone:\n    preset: openai\n    base_url: http://127.0.0.1:1\n"), 0o600))
	for name, value := range map[string]string{
		"LLM_PROXY_DATA_DIR": h.data, "LLM_PROXY_PROVIDERS": providers, "LLM_PROXY_ADDR": "127.0.0.1:0", "LLM_PROXY_METRICS_ADDR": "127.0.0.1:0",
		"LLM_PROXY_MAX_CONCURRENT_PER_TOKEN": "0", "MANAGEMENT_TOKEN": managementToken, "ADMIN_PASSWORD": adminPassword,
	} {
		h.settings[name] = value
	}
	for name, value := range settings {
		h.settings[name] = value
	}
	if dir := h.settings["LLM_PROXY_DATA_DIR"]; dir != h.data {
		h.data = dir
	}
	h.db = h.settings["LLM_PROXY_DB"]
	if h.db == "" {
		h.db = filepath.Join(h.data, "llm-proxy.db")
	}
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(h.providerKey+"\n"), 0o600))
	out := h.run("setup", "--non-interactive", "--project", "House", "--api-key-file", key, "--json")
	var made struct {
		ProjectID llmproxy.ProjectID `json:"project_id"`
		Token     string             `json:"token"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &made), out)
	h.project, h.secret = made.ProjectID, made.Token
	h.openManagement()
	transport := &http.Transport{MaxIdleConnsPerHost: 400, DisableCompression: true}
	h.client = &http.Client{Transport: transport, Timeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	return h
}

// openManagement opens the database as the program of an operator would.
func (h *house) openManagement() {
	h.t.Helper()
	var keys struct {
		SealingSecret string `json:"sealing_secret"`
	}
	data, err := os.ReadFile(filepath.Join(h.data, "keys.json"))
	require.NoError(h.t, err)
	require.NoError(h.t, json.Unmarshal(data, &keys))
	public, err := seal.PublicKey(llmproxy.NewSecret(keys.SealingSecret))
	require.NoError(h.t, err)
	sealer, err := seal.NewSealer(public)
	require.NoError(h.t, err)
	h.store, err = sqlite.Open(h.t.Context(), sqlite.Config{Path: h.db})
	require.NoError(h.t, err)
	h.t.Cleanup(func() { h.closeManagement() })
	h.service = manage.New(manage.Config{Store: h.store, Sealer: sealer, Providers: []string{"openai", "gone"}, Default: "openai"})
}

func (h *house) closeManagement() {
	if h.store != nil {
		require.NoError(h.t, h.store.Close())
		h.store = nil
	}
}

// operator is who changes things in tests.
var operator = llmproxy.Actor{Name: "token"}

// mint makes a token; 0 is no limit.
func (h *house) mint(maxRequests, perHour int64) (llmproxy.TokenID, string) {
	h.t.Helper()
	token, secret, err := h.service.MintToken(h.t.Context(), operator, manage.NewToken{
		ProjectID: h.project, DurationMinutes: 60, MaxRequests: limit(maxRequests), RequestsPerHour: limit(perHour),
	})
	require.NoError(h.t, err)
	return token.ID, secret.Reveal()
}

func limit(n int64) *manage.Limit { return &manage.Limit{N: n, None: n == 0} }

// command is the program in this house.
func (h *house) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	for name, value := range h.settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// run runs the program to its end and returns its standard output.
func (h *house) run(args ...string) string {
	h.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := h.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(h.t, cmd.Run(), "%v\n%s", args, &stderr)
	return stdout.String()
}

// server is one process of llm-proxy server.
type server struct {
	h       *house
	cmd     *exec.Cmd
	url     string // origin
	metrics string // origin of the loopback listener; of the first server of a house
	stdout  string
	stderr  lockedBuffer
	ended   chan error
}

// start starts a server and returns when it serves. It is killed at the test's end, if it still runs.
func (h *house) start(args ...string) *server {
	h.t.Helper()
	s := &server{h: h, cmd: h.command(append([]string{"server"}, args...)...), ended: make(chan error, 1)}
	s.cmd.Stderr = &s.stderr
	out, err := s.cmd.StdoutPipe()
	require.NoError(h.t, err)
	require.NoError(h.t, s.cmd.Start())
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	require.NoError(h.t, err, "the server did not start: %s", &s.stderr)
	go func() {
		rest, _ := io.ReadAll(lines)
		s.stdout = first + string(rest)
		s.ended <- s.cmd.Wait()
	}()
	h.t.Cleanup(s.kill)
	s.url = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(first), "llm-proxy serves "), "/v1")
	var running struct {
		PID        int    `json:"pid"`
		MetricsURL string `json:"metrics_url"`
	}
	if data, err := os.ReadFile(filepath.Join(h.data, "llm-proxy.pid")); err == nil && json.Unmarshal(data, &running) == nil && running.PID == s.cmd.Process.Pid {
		s.metrics = running.MetricsURL
	}
	return s
}

// kill ends the process as a crash does.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	s.wait()
}

// stop ends it as an operator does.
func (s *server) stop() {
	s.h.t.Helper()
	require.NoError(s.h.t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(s.h.t, s.wait(), "%s", &s.stderr)
}

func (s *server) wait() error {
	select {
	case err := <-s.ended:
		s.ended <- err
		return err
	case <-time.After(patience):
		s.h.t.Error("the server does not end")
		return nil
	}
}

// answer is what a caller got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// code is that of our own error, empty if it is none.
func (a answer) code() string {
	var e struct{ Error struct{ Code string } }
	_ = json.Unmarshal([]byte(a.body), &e)
	return e.Error.Code
}

// get sends GET with a token. A caller goes on after 503 store_unavailable, as the answer asks for: nothing was counted then.
func (h *house) get(url, token string) answer {
	for end := time.Now().Add(patience); ; {
		a := h.send(http.MethodGet, url, token, "")
		if a.status != http.StatusServiceUnavailable || a.code() != "store_unavailable" || time.Now().After(end) {
			return a
		}
	}
}

// send sends one request.
func (h *house) send(method, url, token, body string, headers ...string) answer {
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Add(name, value)
	}
	res, err := h.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(data), err}
}

// event is a line of an event log.
type event struct {
	ID       string `json:"id"`
	Token    string `json:"token"`
	Endpoint string `json:"endpoint"`
	Status   int    `json:"status_code"`
	Outcome  string `json:"outcome"`
}

// events reads event logs; each line must be whole.
func events(t *testing.T, paths ...string) []event {
	t.Helper()
	var all []event
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			if !strings.HasSuffix(line, "\n") {
				continue // being written
			}
			var e event
			require.NoError(t, json.Unmarshal([]byte(line), &e), "%s: %q", path, line)
			all = append(all, e)
		}
	}
	return all
}

// inParallel runs work n times at once and waits.
func inParallel(n int, work func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { work(i) })
	}
	wg.Wait()
}

// lockedBuffer may be written and read at once.
type lockedBuffer = testlog.Buffer
