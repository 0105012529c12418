package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
)

const operatorToken = "fake-management-token-of-32-chars"

// destinationsOf are what the server's management tells of where events go, by name.
func destinationsOf(s *testServer) map[string]gjson.Result {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/manage/destinations", nil)
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+operatorToken)
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, res.StatusCode, string(body))
	all := map[string]gjson.Result{}
	for _, d := range gjson.ParseBytes(body).Array() {
		all[d.Get("name").Str] = d
	}
	return all
}

// eventually waits until a destination is as it is to be, and returns it.
func eventually(s *testServer, name string, is func(gjson.Result) bool, why string) gjson.Result {
	s.t.Helper()
	var last gjson.Result
	require.Eventually(s.t, func() bool { last = destinationsOf(s)[name]; return is(last) }, patience, 20*time.Millisecond, why)
	return last
}

// TestOperatorsSeeWhereEventsGo: what this server delivers, another server's, a dispatcher's that runs and one's that has ended.
func TestOperatorsSeeWhereEventsGo(t *testing.T) {
	s := start(t, map[string]string{"MANAGEMENT_TOKEN": operatorToken})
	dir := s.settings.DataDir
	require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode)
	file := eventually(s, "file", func(d gjson.Result) bool { return d.Get("delivered").Int() == 1 && d.Get("backlog").Int() == 0 }, "the event is delivered")
	for member, want := range map[string]string{"kind": `"file"`, "state": `"ok"`, "dead_letters": "0", "retried": "0", "dead": "0", "redriving": "false", "no_test": "", "no_redrive": "", "oldest_age_ms": "", "last_error": ""} {
		require.Equal(t, want, file.Get(member).Raw, member)
	}
	require.NotEmpty(t, file.Get("last_delivery").Str)
	require.NotEmpty(t, file.Get("since").Str)

	// A dispatcher of its own takes events at first.
	h := newHook(t)
	for _, set := range os.Environ() {
		if name, _, _ := strings.Cut(set, "="); strings.HasPrefix(name, "LLM_PROXY_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL+"/secret-path")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := runLine(ctx, "dispatcher", "--service", "webhook", "--name", "hook", "--data-dir", dir)
		ended <- err
	}()
	hook := eventually(s, "hook", func(d gjson.Result) bool { return d.Get("delivered").Int() == 1 }, "its note tells what it has delivered")
	require.Equal(t, "elsewhere", hook.Get("state").Str)
	require.Equal(t, "webhook", hook.Get("kind").Str)
	status, refused := s.manage("destinations/hook/test", "")
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, refused.Get("detail").Str, "llm-proxy dispatcher test")
	status, _ = s.manage("destinations/hook/redrive", "")
	require.Equal(t, http.StatusConflict, status)

	h.set(http.StatusBadRequest)
	require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode)
	eventually(s, "hook", func(d gjson.Result) bool { return d.Get("dead_letters").Int() == 1 && d.Get("dead").Int() == 1 }, "its dead letters are seen")
	stop()
	require.NoError(t, <-ended)
	require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode)
	hook = eventually(s, "hook", func(d gjson.Result) bool { return d.Get("state").Str == "stopped" && d.Get("backlog").Int() == 1 }, "it has ended, and events wait")
	require.Positive(t, hook.Get("oldest_age_ms").Int())
	require.Positive(t, hook.Get("backlog_bytes").Int())

	// The second server over the folder delivers nothing, and says so.
	second := start(t, map[string]string{"LLM_PROXY_DATA_DIR": dir, "LLM_PROXY_PID_FILE": filepath.Join(t.TempDir(), "second.pid"), "MANAGEMENT_TOKEN": operatorToken})
	other := destinationsOf(second)["file"]
	require.Equal(t, "elsewhere", other.Get("state").Str)
	require.Equal(t, "file", other.Get("kind").Str)
	for _, act := range []string{"test", "redrive"} {
		status, refused := second.manage("destinations/file/"+act, "")
		require.Equal(t, http.StatusConflict, status)
		require.Contains(t, refused.Get("detail").Str, "ask that one")
	}
}

// TestDeadLettersOfAServerAreSentAgainOnDemand: also such as an ended dispatcher of the same name left behind.
func TestDeadLettersOfAServerAreSentAgainOnDemand(t *testing.T) {
	s := start(t, map[string]string{"MANAGEMENT_TOKEN": operatorToken})
	require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode)
	require.Eventually(t, func() bool { return len(eventLines(t, s.settings.EventLog)) == 1 }, patience, 10*time.Millisecond)
	letter := `{"time":"2026-11-22T10:20:35.456Z","destination":"file","reason":"no space","attempts":1,"event":{"version":1,"id":"019aab3c-0000-7000-8000-000000000001","time":"2026-11-22T10:20:35.456Z","method":"GET","path":"/v1/models","outcome":"complete","stream":false,"timing":{},"request":{"bytes":0},"response":{"bytes":0}}}` + "\n"
	require.NoError(t, os.WriteFile(dispatch.DeadLettersPath(s.settings.DataDir, "file"), []byte(letter), 0o600))
	require.Equal(t, int64(1), destinationsOf(s)["file"].Get("dead_letters").Int())

	status, begun := s.manage("destinations/file/redrive", "")
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, int64(1), begun.Get("dead_letters").Int())
	eventually(s, "file", func(d gjson.Result) bool { return d.Get("dead_letters").Int() == 0 && !d.Get("redriving").Bool() }, "none is left")
	require.Len(t, eventLines(t, s.settings.EventLog), 2)

	status, test := s.manage("destinations/file/test", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "delivered", test.Get("result").Str)
	lines := eventLines(t, s.settings.EventLog)
	require.Len(t, lines, 3, "it is delivered when that is said")
	require.NoError(t, s.end())
	again := startWith(t, map[string]string{"LLM_PROXY_DATA_DIR": s.settings.DataDir, "LLM_PROXY_ADDR": "127.0.0.1:0", "LLM_PROXY_METRICS_ADDR": "off", "MANAGEMENT_TOKEN": operatorToken}, true)
	require.Len(t, eventLines(t, s.settings.EventLog), 3, "a restart repeats none")
	require.NoError(t, again.end())
}

func TestADispatchersServiceIsTestedByCommand(t *testing.T) {
	dir, _ := dataWith(t, 0)
	h := newHook(t)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL+"/secret-path")
	said, _, err := runLine(t.Context(), "dispatcher", "test", "--service", "webhook", "--data-dir", dir)
	require.NoError(t, err)
	require.Contains(t, said, "delivered "+h.ids()[0])
	require.Contains(t, h.bodies[0], `"test":true`)
	h.set(http.StatusServiceUnavailable)
	_, _, err = runLine(t.Context(), "dispatcher", "test", "--service", "webhook", "--data-dir", dir)
	require.Equal(t, exitUnreachable, exitCode(err))
	require.ErrorContains(t, err, "(failed): status 503")
	require.NotContains(t, err.Error(), "secret-path")
	_, _, err = runLine(t.Context(), "dispatcher", "test", "--service", "ledger", "--data-dir", dir)
	require.Equal(t, exitRefused, exitCode(err))
	_, _, err = runLine(t.Context(), "dispatcher", "test", "--service", "file", "--file", filepath.Join(dir, "none", "log.jsonl"), "--data-dir", dir)
	require.Equal(t, exitUnreachable, exitCode(err), "it cannot start")
	require.ErrorContains(t, err, "no such file")
}
