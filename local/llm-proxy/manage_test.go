package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// managed is a server in the background with a data folder of its own.
type managed struct {
	t   *testing.T
	dir string
	env []string
}

func startManaged(t *testing.T) *managed {
	t.Helper()
	m := &managed{t: t, dir: t.TempDir()}
	m.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "LLM_PROXY_DATA_DIR=" + m.dir, "LLM_PROXY_ADDR=127.0.0.1:0", "LLM_PROXY_METRICS_ADDR=off", "TERM=xterm-256color"}
	_, code := m.run("server", "--demo", "-d")
	require.Zero(t, code)
	t.Cleanup(func() { m.run("server", "stop") })
	return m
}

// run runs the program without a terminal and returns its standard output.
func (m *managed) run(args ...string) (stdout string, code int) {
	m.t.Helper()
	cmd := exec.Command("llm-proxy", args...)
	cmd.Env = m.env
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(m.t, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// onTerminal runs the program on a terminal and types once question was shown. It returns all that the terminal showed.
func (m *managed) onTerminal(question, typed string, args ...string) (shown string, code int) {
	m.t.Helper()
	program, err := exec.LookPath("llm-proxy")
	require.NoError(m.t, err)
	cmd := exec.CommandContext(m.t.Context(), program, args...)
	cmd.Env = append(m.env, "ACCESSIBLE=1")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	require.NoError(m.t, err)
	defer tty.Close()
	require.NoError(m.t, tty.SetDeadline(time.Now().Add(scriptPatience)))
	var all strings.Builder
	buf, asked := make([]byte, 4096), false
	for {
		n, err := tty.Read(buf)
		all.Write(buf[:n])
		if !asked && strings.Contains(all.String(), question) {
			asked = true
			_, writeErr := tty.WriteString(typed)
			require.NoError(m.t, writeErr)
		}
		if err != nil { // the program has ended and closed its side
			break
		}
	}
	_ = cmd.Wait() // its exit code is looked at
	require.True(m.t, asked, "%q was not asked: %s", question, all.String())
	return all.String(), cmd.ProcessState.ExitCode()
}

func TestWhatCannotBeUndoneIsAskedForOnATerminal(t *testing.T) {
	m := startManaged(t)
	_, code := m.onTerminal("Go on? [y/N]", "\n", "manage", "project", "delete", "Demo")
	require.Equal(t, exitRefused, code, "an empty answer is no")
	out, code := m.run("manage", "project", "list")
	require.Zero(t, code)
	require.Contains(t, out, "Demo")
	_, code = m.onTerminal("Go on? [y/N]", "y\n", "manage", "project", "revoke-tokens", "Demo")
	require.Zero(t, code)
	shown, code := m.onTerminal("Deleting project Demo with all its tokens cannot be undone", "yes\n", "manage", "project", "delete", "Demo")
	require.Zero(t, code)
	require.Contains(t, shown, "deleted project")
	out, _ = m.run("manage", "project", "list")
	require.NotContains(t, out, "Demo")
}

func TestAProviderKeyIsAskedForWithoutEcho(t *testing.T) {
	m := startManaged(t)
	shown, code := m.onTerminal("Provider key", "sk-fake-typed-key-0123456789\r\n", "manage", "project", "create", "Typed")
	require.Zero(t, code, shown)
	require.Contains(t, shown, "…6789")
	require.NotContains(t, shown, "sk-fake-typed")
}

func TestManagedOverTLSByItsFingerprint(t *testing.T) {
	m := startManaged(t)
	_, code := m.run("server", "stop")
	require.Zero(t, code)
	require.NoError(t, writeCertificate(m.dir))
	_, code = m.run("server", "--demo", "-d", "--tls-cert", filepath.Join(m.dir, "cert.pem"), "--tls-key", filepath.Join(m.dir, "key.pem"))
	require.Zero(t, code)
	out, code := m.run("manage", "project", "list", "--json")
	require.Zero(t, code)
	var projects []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &projects))
	require.Equal(t, "Demo", projects[0]["name"])
}

// answering is a server that says one thing, to a command of the program.
func answering(t *testing.T, status int, body string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status == http.StatusFound {
			w.Header().Set("Location", "https://evil.example/")
		}
		if status == 0 { // begins, and breaks off
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(body))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	t.Setenv(envManageURL, server.URL)
	t.Setenv(envManageToken, "fake-management-token-0123456789")
	root := newRoot()
	var out, talk bytes.Buffer
	root.SetArgs(append([]string{"manage"}, args...))
	root.SetOut(&out)
	root.SetErr(&talk)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		talk.WriteString(err.Error())
	}
	return out.String(), talk.String(), exitCode(err)
}

func TestAnswersThatAreErrorsHaveTheirExitCode(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		code   int
		says   string
	}{
		{400, `{"title":"Bad Request","status":400,"detail":"The request cannot be taken.","errors":[{"field":"q","message":"too long\u001b[2J"}]}`, exitUsage, "q: too long\ufffd[2J"},
		{401, `{"title":"Unauthorized","status":401,"detail":"Give the management token."}`, exitRefused, "Give the management token."},
		{403, `{"title":"Forbidden","status":403}`, exitRefused, "403"},
		{404, `<html>`, exitRefused, "is it the origin of an llm-proxy?"},
		{409, `{"title":"Conflict","status":409}`, exitRefused, "409"},
		{422, `{"title":"Unprocessable Entity","status":422}`, exitUsage, "422"},
		{500, `{"title":"Internal Server Error","status":500}`, exitFailed, "500"},
		{503, `{"title":"Service Unavailable","status":503}`, exitUnreachable, "503"},
		{302, ``, exitFailed, "not ours"},
		{200, `{}`, exitFailed, "no list"},
		{0, `[{"a":`, exitUnreachable, "does not answer"},
	} {
		stdout, stderr, code := answering(t, c.status, c.body, "project", "list")
		require.Equal(t, c.code, code, "%d: %s", c.status, stderr)
		require.Contains(t, stderr, c.says)
		require.Empty(t, stdout)
	}
}

func TestATokenOverAnOpenNetworkIsWarnedOf(t *testing.T) {
	cmd := &cobra.Command{}
	var talk bytes.Buffer
	cmd.SetErr(&talk)
	_, err := (&manageFlags{baseURL: "http://llm.example.com", token: "fake"}).open(cmd)
	require.NoError(t, err)
	require.Contains(t, talk.String(), "not encrypted")
	talk.Reset()
	for _, origin := range []string{"https://llm.example.com", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"} {
		_, err = (&manageFlags{baseURL: origin, token: "fake"}).open(cmd)
		require.NoError(t, err)
	}
	require.Empty(t, talk.String())
}

func TestMomentsAreReadInTheirForms(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-12-31T23:59:59Z": time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC),
		"2026-12-31":           time.Date(2026, 12, 31, 0, 0, 0, 0, time.Local),
		"90m":                  now.Add(-90 * time.Minute),
		"7d":                   now.Add(-7 * 24 * time.Hour),
	} {
		got, err := moment("from", text, now, -1)
		require.NoError(t, err)
		require.True(t, want.Equal(got), "%s: %s", text, got)
	}
	ahead, err := moment("expires-at", "24h", now, 1)
	require.NoError(t, err)
	require.Equal(t, now.Add(24*time.Hour), ahead)
	for _, text := range []string{"soon", "-1h", "d", "99999999d", ""} {
		_, err := moment("from", text, now, -1)
		require.Equal(t, exitUsage, exitCode(err), text)
	}
}

func TestWhatAServerSaysCannotPlayWithTheTerminal(t *testing.T) {
	require.Equal(t, "a\ufffd[31mb\ufffdc 世界🎉", shown("a\x1b[31mb\nc 世界🎉"))
	require.Equal(t, "\ufffdabc", shown("\u202eabc"))
	_, err := nextCursor(`<https://evil.example/`)
	require.Error(t, err)
	_, err = nextCursor(`</manage/tokens?limit=1>; rel="next"`)
	require.Error(t, err)
}

func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: json PATH VALUE")
	}
	stdout := ts.ReadFile("stdout")
	if !gjson.Valid(stdout) {
		ts.Fatalf("stdout is no JSON:\n%s", stdout)
	}
	if got := gjson.Get(stdout, args[0]); !got.Exists() || got.String() != args[1] {
		ts.Fatalf("%s is %s, wanted %s, in:\n%s", args[0], got.Raw, args[1], stdout)
	}
}
