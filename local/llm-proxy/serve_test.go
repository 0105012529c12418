package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/testlog"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// testServer is a server that runs in this process.
type testServer struct {
	t        *testing.T
	settings settings
	printed  string
	url      string // origin
	token    string // the demo's
	log      *lockedBuffer
	lines    *lockedBuffer // what an event bus left in standard output
	stop     context.CancelFunc
	ended    chan error
}

// environment is what a server in a test is set to, beside what the test is about.
func environment(t *testing.T, more map[string]string) map[string]string {
	t.Helper()
	all := map[string]string{
		"LLM_PROXY_DATA_DIR": t.TempDir(), "LLM_PROXY_ADDR": "127.0.0.1:0", "LLM_PROXY_METRICS_ADDR": "127.0.0.1:0", "LLM_PROXY_SHUTDOWN_TIMEOUT": "1m",
	}
	maps.Copy(all, more)
	return all
}

// start runs a server with the demo until the test ends.
func start(t *testing.T, more map[string]string) *testServer {
	t.Helper()
	return startWith(t, environment(t, more), true)
}

func startWith(t *testing.T, env map[string]string, withDemo bool) *testServer {
	t.Helper()
	s, err := parseSettings(env)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(s.DataDir, 0o700))
	ctx, stop := context.WithCancel(context.Background())
	srv := &testServer{t: t, settings: s, log: &lockedBuffer{}, lines: &lockedBuffer{}, stop: stop, ended: make(chan error, 1)}
	srv.settings.eventLines = srv.lines
	serving := make(chan struct{})
	go func() {
		srv.ended <- serve(ctx, &srv.settings, withDemo, func(text string) error {
			srv.printed = text
			close(serving)
			return nil
		}, srv.log)
	}()
	t.Cleanup(func() { srv.end() })
	select {
	case <-serving:
	case err := <-srv.ended:
		srv.ended <- err
		require.NoError(t, err, "the server did not start")
	case <-time.After(patience):
		t.Fatal("the server does not start")
	}
	running, err := findServer(srv.settings.PIDFile)
	require.NoError(t, err)
	srv.url = running.URL
	if found := regexp.MustCompile(`OPENAI_API_KEY=(\S+)`).FindStringSubmatch(srv.printed); found != nil {
		srv.token = found[1]
	}
	return srv
}

// end stops the server and returns its error.
func (s *testServer) end() error {
	s.stop()
	select {
	case err := <-s.ended:
		s.ended <- err
		return err
	case <-time.After(patience):
		s.t.Error("the server does not end")
		return nil
	}
}

// send sends a request with the demo's token.
func (s *testServer) send(method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// get fetches a page and returns its body.
func get(t *testing.T, url string, status int) string {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, status, res.StatusCode, "GET %s: %s", url, body)
	return string(body)
}

// lockedBuffer may be written and read at once.
type lockedBuffer = testlog.Buffer

// eventLines are the lines of an event log.
func eventLines(t *testing.T, path string) []map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var lines []map[string]any
	for line := range strings.Lines(string(data)) {
		var event map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		lines = append(lines, event)
	}
	return lines
}

const chat = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}`

func TestAStopLetsRunningStreamsEnd(t *testing.T) {
	s := start(t, nil)
	res := s.send(http.MethodPost, "/v1/chat/completions", chat, "X-Demo: events=5,chunk-delay=100ms")
	stream := bufio.NewReader(res.Body)
	_, err := stream.ReadString('\n')
	require.NoError(t, err)
	s.stop()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, patience, 5*time.Millisecond, "no new requests are taken")
	rest, err := io.ReadAll(stream)
	require.NoError(t, err)
	require.Contains(t, string(rest), "data: [DONE]")
	require.NoError(t, s.end())
	lines := eventLines(t, s.settings.EventLog)
	require.Len(t, lines, 1, "what was published is in the event log when the server has ended")
	require.Equal(t, "complete", lines[0]["outcome"])
}

func TestAStopCutsWhatRunsBeyondTheLimit(t *testing.T) {
	s := start(t, map[string]string{"LLM_PROXY_SHUTDOWN_TIMEOUT": "50ms"})
	res := s.send(http.MethodPost, "/v1/chat/completions", chat, "X-Demo: events=5,hang-after=2")
	stream := bufio.NewReader(res.Body)
	_, err := stream.ReadString('\n')
	require.NoError(t, err)
	waiting := make(chan error, 1)
	go func() { // one that has no answer yet gets ours
		res := s.send(http.MethodPost, "/v1/chat/completions", chat, "X-Demo: hang")
		body, err := io.ReadAll(res.Body)
		if err == nil && (res.StatusCode != http.StatusGatewayTimeout || !strings.Contains(string(body), "upstream_timeout")) {
			err = fmt.Errorf("%s: %s", res.Status, body)
		}
		waiting <- err
	}()
	require.Eventually(t, func() bool { return strings.Count(spoolText(t, s), `/v1/chat/completions`) >= 2 }, patience, 5*time.Millisecond, "both are under way")
	s.stop()
	_, err = io.ReadAll(stream)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "a stream that was cut looks cut")
	require.NoError(t, <-waiting)
	require.NoError(t, s.end())
	lines := eventLines(t, s.settings.EventLog)
	require.Len(t, lines, 2)
	for _, line := range lines {
		require.Equal(t, "deadline", line["outcome"], line)
	}
}

// spoolText is everything in a server's spool.
func spoolText(t *testing.T, s *testServer) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.settings.DataDir, "spool", "*"))
	require.NoError(t, err)
	var all strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err == nil {
			all.Write(data)
		}
	}
	return all.String()
}

func TestHealthSaysWhyOnTheLoopbackListenerOnly(t *testing.T) {
	s := start(t, nil)
	running, err := findServer(s.settings.PIDFile)
	require.NoError(t, err)
	require.JSONEq(t, `{"status":"ok"}`, get(t, s.url+"/health/live", http.StatusOK))
	require.JSONEq(t, `{"status":"ok"}`, get(t, s.url+"/health/ready", http.StatusOK))
	require.Regexp(t, `^\{"status":"ok","timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z","version":"dev"\}\n$`, get(t, s.url+"/health", http.StatusOK))

	// The event log cannot be written: a folder is in its place.
	require.Eventually(t, func() bool { return os.Remove(s.settings.EventLog) == nil }, patience, 10*time.Millisecond, "it is made a moment after the start")
	require.NoError(t, os.Mkdir(s.settings.EventLog, 0o700))
	require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode)
	require.Eventually(t, func() bool {
		return strings.Contains(get(t, s.url+"/health", http.StatusOK), `"status":"degraded"`)
	}, patience, 10*time.Millisecond)
	require.NotContains(t, get(t, s.url+"/health", http.StatusOK), "events.jsonl", "strangers learn no file names")
	require.Contains(t, get(t, running.MetricsURL+"/health", http.StatusOK), `events.jsonl: is a directory`)
	require.Contains(t, get(t, running.MetricsURL+"/metrics", http.StatusOK), `llmproxy_destination_failing{destination="file"} 1`)
	out, code := runProgram(t, s, "server", "health")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, `"status":"degraded"`)
	require.Contains(t, out, "error: the server is degraded: event log: ")
	require.Contains(t, out, "is a directory")

	// It gets well by itself.
	require.NoError(t, os.Remove(s.settings.EventLog))
	require.Eventually(t, func() bool {
		return strings.Contains(get(t, s.url+"/health", http.StatusOK), `"status":"ok"`)
	}, patience, 10*time.Millisecond)
	require.Len(t, eventLines(t, s.settings.EventLog), 1)
}

func TestAnswersOfHealthAreForGetAndHead(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/health", "/health/live", "/health/ready"} {
		res := s.send(http.MethodPost, path, "")
		require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
		require.Equal(t, "GET, HEAD", res.Header.Get("Allow"))
		require.Equal(t, http.StatusOK, s.send(http.MethodHead, path, "").StatusCode)
		require.Equal(t, http.StatusOK, s.send(http.MethodGet, path+"?from=balancer", "").StatusCode)
	}
}

func TestReadyTellsThatTheStoreIsGoneAndBack(t *testing.T) {
	asked := 0
	gone := true
	checks := &healthChecks{log: zap.NewNop(), events: func() []string { return nil }, ping: func(context.Context) error {
		asked++
		if gone {
			return os.ErrDeadlineExceeded
		}
		return nil
	}}
	ask := func() int {
		w := httptest.NewRecorder()
		checks.ready(w, httptest.NewRequest(http.MethodGet, "/health/ready", nil))
		return w.Code
	}
	require.Equal(t, http.StatusServiceUnavailable, ask())
	gone = false
	require.Equal(t, http.StatusServiceUnavailable, ask(), "an answer is kept for a while")
	require.Equal(t, 1, asked)
	h := checks.now(t.Context())
	require.Equal(t, healthDegraded, h.Status)
	require.Equal(t, []string{"store: " + os.ErrDeadlineExceeded.Error()}, h.Reasons)
	checks.asked = checks.asked.Add(-readyFor)
	require.Equal(t, http.StatusOK, ask())
	require.Equal(t, healthOK, checks.now(t.Context()).Status)
}

func TestPlainTextBeyondThisMachineIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, writeCertificate(dir))
	const warning = "tokens travel in plain text"
	require.NotContains(t, start(t, nil).log.String(), warning)
	open := start(t, map[string]string{"LLM_PROXY_ADDR": "0.0.0.0:0"})
	require.Contains(t, open.log.String(), warning)
	require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, open.url)
	require.NotContains(t, start(t, map[string]string{
		"LLM_PROXY_ADDR": "0.0.0.0:0", "LLM_PROXY_TLS_CERT": filepath.Join(dir, "cert.pem"), "LLM_PROXY_TLS_KEY": filepath.Join(dir, "key.pem"),
	}).log.String(), warning)
}

func TestHealthTakesNobodyElseForTheServer(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it is hung up on
	secure.StartTLS()
	defer secure.Close()
	for name, r := range map[string]runningServer{
		"something that is not ours": {URL: other.URL},
		"another certificate":        {URL: secure.URL, Certificate: "00"},
	} {
		_, err := r.health(t.Context(), r.URL)
		require.ErrorContains(t, err, name)
	}
}

// runProgram runs the built program on a server's data folder and returns what it said and its exit code.
func runProgram(t *testing.T, s *testServer, args ...string) (string, int) {
	t.Helper()
	cmd := program(t, append(args, "--data-dir", s.settings.DataDir)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
