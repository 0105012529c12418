package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
)

// lambdaServe starts the command. What it prints and logs is in its fields.
type lambdaServe struct {
	t            *testing.T
	cmd          *exec.Cmd
	printed, log lockedBuffer
	ended        chan error
}

func startLambdaServe(t *testing.T, args ...string) *lambdaServe {
	t.Helper()
	startEngine(t)
	args = append([]string{"lambda", "serve", "--addr", "127.0.0.1:0", "--manage-addr", "127.0.0.1:0", "--dynamodb-url", engine.URL, "--memory", "1769"}, args...)
	l := &lambdaServe{t: t, cmd: exec.Command("llm-proxy", args...), ended: make(chan error, 1)}
	l.cmd.Stdout, l.cmd.Stderr = &l.printed, &l.log
	require.NoError(t, l.cmd.Start())
	go func() { l.ended <- l.cmd.Wait() }()
	t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	return l
}

// startEngine starts the store, or skips the test where there is none.
func startEngine(t *testing.T) {
	t.Helper()
	engine.Do(func() { engine.Server, engine.err = dynamolocal.Start(context.Background()) })
	if engine.err != nil {
		t.Skipf("SKIPPED, the function needs a store: %v", engine.err)
	}
}

// find waits until what is printed matches, and returns the groups.
func (l *lambdaServe) find(pattern string) []string {
	l.t.Helper()
	found := regexp.MustCompile(pattern)
	require.Eventually(l.t, func() bool { return found.MatchString(l.printed.String()) || len(l.ended) > 0 }, 4*patience, flushEvery, "it does not serve")
	match := found.FindStringSubmatch(l.printed.String())
	require.NotNil(l.t, match, "%s\n%s", &l.printed, &l.log)
	return match
}

// stop ends the command, which must end well.
func (l *lambdaServe) stop() {
	l.t.Helper()
	require.NoError(l.t, l.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(l.t, <-l.ended, "%s", &l.log)
}

func TestLambdaServeRunsTheBuiltFunctionBehindAFunctionURL(t *testing.T) {
	events := filepath.Join(t.TempDir(), "events.jsonl")
	startEngine(t)
	tables := tablesOf(t)
	l := startLambdaServe(t, "--event-log", events)
	match := l.find(`(?s)OPENAI_BASE_URL=(http://\S+)/v1\n.*OPENAI_API_KEY=(\S+)\n.*LLM_PROXY_MANAGE_API_BASE_URL=(http://\S+)\n.*MANAGEMENT_TOKEN=(\S+)\n`)
	s := &testServer{t: t, url: match[1], token: match[2]}
	require.Contains(t, l.printed.String(), "BaseUrl:   "+match[1]+"/v1\nManageUrl: "+match[3]+"\n", "the stack's outputs by their names")
	log := &l.log

	res := s.send(http.MethodPost, "/v1/chat/completions", chat, "X-Demo: events=5")
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s\n%s", body, log)
	require.True(t, bytes.HasSuffix(body, []byte("data: [DONE]\n\n")), "%s", body)
	require.NotEmpty(t, res.Header.Get("X-Amzn-Requestid"), "the platform stands in between")
	id := eventID(res)
	require.Eventually(t, func() bool {
		written, err := os.ReadFile(events)
		return err == nil && strings.Contains(string(written), id)
	}, patience, flushEvery, "no event %s", id)

	res = s.send(http.MethodPost, "/v1/files", strings.Repeat("x", 6<<20+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode, "what Lambda refuses is refused")
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "REPORT RequestId") }, patience, flushEvery)

	manage := func(args ...string) string {
		cmd := exec.Command("llm-proxy", append([]string{"manage"}, args...)...)
		cmd.Env = append(os.Environ(), "LLM_PROXY_MANAGE_API_BASE_URL="+match[3], "MANAGEMENT_TOKEN="+match[4])
		out, err := cmd.Output()
		require.NoError(t, err, "%s", log)
		return strings.TrimSpace(string(out))
	}
	require.Contains(t, manage("project", "list"), "Local")
	s.token = manage("token", "generate", "--project", "Local", "--duration-minutes", "5")
	res = s.send(http.MethodPost, "/v1/chat/completions", chat)
	require.Equal(t, http.StatusOK, res.StatusCode, "a token that one function mints is spent by the other")
	for path, status := range map[string]int{"/manage/projects": http.StatusUnauthorized, "/v1/models": http.StatusNotFound, "/": http.StatusNotFound} {
		res, err := http.Get(match[3] + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode, path)
	}
	l.stop()
	require.Equal(t, tables, tablesOf(t), "it leaves nothing in an engine that goes on")
}

// tablesOf are the tables in the engine.
func tablesOf(t *testing.T) []string {
	t.Helper()
	all, err := dynamodb.NewFromConfig(engine.Config()).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	require.NoError(t, err)
	return all.TableNames
}

func TestLambdaServeRunsWhatSamBuildMade(t *testing.T) {
	build := t.TempDir()
	for _, name := range []string{"Proxy", "Management", "Admin"} {
		require.NoError(t, os.Mkdir(filepath.Join(build, name), 0o750))
		out, err := exec.Command("make", "-C", "../..", "build-"+name, "ARTIFACTS_DIR="+filepath.Join(build, name), "GOARCH="+runtime.GOARCH).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	l := startLambdaServe(t, "--build", build, "--processes", "1", "--timeout", "4s")
	match := l.find(`(?s)OPENAI_BASE_URL=(http://\S+)/v1\n.*OPENAI_API_KEY=(\S+)\n`)
	s := &testServer{t: t, url: match[1], token: match[2]}
	require.Equal(t, http.StatusOK, s.send(http.MethodPost, "/v1/chat/completions", chat).StatusCode)
	require.NotContains(t, l.log.String(), "building")
	require.Eventually(t, func() bool { return strings.Contains(l.log.String(), "Memory Size: 1769 MB") }, patience, flushEvery)
	hanging := make(chan int, 1)
	go func() { // it takes the one process, and ends before the function's time does
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, match[1]+"/v1/chat/completions", strings.NewReader(chat))
		r.Header = http.Header{"Authorization": {"Bearer " + match[2]}, "Content-Type": {"application/json"}, "X-Demo": {"hang"}}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			hanging <- 0
			return
		}
		res.Body.Close()
		hanging <- res.StatusCode
	}()
	require.Eventually(t, func() bool { return strings.Count(l.log.String(), `{"begin":`) == 2 }, patience, flushEvery)
	require.Equal(t, http.StatusTooManyRequests, s.send(http.MethodPost, "/v1/chat/completions", chat).StatusCode)
	require.Equal(t, http.StatusGatewayTimeout, <-hanging)
	l.stop()

	l = startLambdaServe(t, "--proxy", filepath.Join(build, "Proxy", "bootstrap"), "--admin", filepath.Join(build, "Admin"))
	match = l.find(`(?s)ManageUrl: (http://\S+).*sign in at \S+ as admin with (\S+)\n`)
	api := match[1]
	for password, status := range map[string]int{match[2]: http.StatusNoContent, "fake-wrong-password": http.StatusUnauthorized} {
		body := fmt.Sprintf(`{"user":"admin","password":%q}`, password)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"/admin/api/session", strings.NewReader(body))
		require.NoError(t, err)
		r.Header = http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}}
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode)
	}
	for path, status := range map[string]int{"/admin/api/x": http.StatusNotFound, "/manage/projects": http.StatusNotFound} {
		res, err := http.Get(api + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode, path)
		require.Equal(t, path == "/admin/api/x", res.Header.Get("X-Amzn-Requestid") != "", "%s: a function was asked", path)
	}
	l.stop()

	l = startLambdaServe(t, "--proxy", filepath.Join(build, "Proxy"))
	l.find(`OPENAI_API_KEY=(\S+)\n`)
	require.NotContains(t, l.printed.String(), "ManageUrl", "what is not named is not run")
	l.stop()
}

func TestAProgramForAnotherProcessorIsToldOf(t *testing.T) {
	dir := t.TempDir()
	head := append([]byte("\x7fELF"), make([]byte, 60)...)
	head[18], head[19] = 0xff, 0xff // no processor of this world
	program := filepath.Join(dir, "bootstrap")
	require.NoError(t, os.WriteFile(program, head, 0o700))
	var told []string
	found, err := (&lambdaFlags{proxy: dir, management: os.Args[0]}).functions(t.Context(), func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }, nil)
	require.NoError(t, err)
	require.Equal(t, lambdaFunctions{proxy: program, management: os.Args[0]}, found)
	require.Len(t, told, 1)
	require.Contains(t, told[0], "build it with GOARCH="+runtime.GOARCH)
}

func TestLambdaServeSaysWhatItCannotTake(t *testing.T) {
	for args, says := range map[string]string{
		"--providers x.yaml":                      "--api-key-file",
		"--addr nowhere":                          "--addr",
		"--timeout 16m":                           "--timeout must be from 1s to 15m",
		"--processes 0":                           "--processes must be at least 1",
		"--memory 64":                             "--memory must be from 128 to 10240",
		"--manage-addr x":                         "--manage-addr",
		"--proxy /none":                           "--proxy: stat /none",
		"--build /none --proxy=":                  "--build: stat /none/Proxy",
		"--admin " + os.Args[0] + " --proxy=":     "the proxy is missing",
		"--providers /none.yaml --api-key-file /": "read the provider key",
		"--providers /none.yaml --api-key-file " + os.DevNull: "is empty",
	} {
		cmd := newLambdaCommand()
		cmd.SetArgs(append([]string{"serve", "--proxy", os.Args[0]}, strings.Fields(args)...))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if !strings.Contains(args, "--addr") {
			cmd.SetArgs(append([]string{"serve", "--proxy", os.Args[0], "--addr", "127.0.0.1:0"}, strings.Fields(args)...))
		}
		require.ErrorContains(t, cmd.ExecuteContext(t.Context()), says, args)
	}
	t.Chdir(t.TempDir())
	cmd := newLambdaCommand()
	cmd.SetArgs([]string{"serve", "--addr", "127.0.0.1:0"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	require.ErrorContains(t, cmd.ExecuteContext(t.Context()), "this is not the project's folder")
}
