package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/bench"
	"github.com/sofatutor/llm-proxy/internal/demo"
)

// planOf is the plan of a command line.
func planOf(t *testing.T, args ...string) (bench.Plan, error) {
	t.Helper()
	t.Setenv("OPENAI_BASE_URL", "")
	t.Setenv("OPENAI_API_KEY", "sk-fake-env")
	var f benchmarkFlags
	cmd := &cobra.Command{}
	f.addFlags(cmd)
	require.NoError(t, cmd.ParseFlags(args))
	return f.plan(cmd)
}

func TestABenchmarkNeedsNoFlagsAndEachOfThemCounts(t *testing.T) {
	p, err := planOf(t)
	require.NoError(t, err)
	require.Equal(t, "POST", p.Method)
	require.Equal(t, "http://127.0.0.1:8080/v1/chat/completions", p.URL)
	require.Equal(t, "Bearer sk-fake-env", p.Header.Get("Authorization"))
	require.JSONEq(t, `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say hello."}]}`, string(p.Body))
	require.EqualValues(t, 100, p.Requests)

	p, err = planOf(t, "--base-url", "https://llm.example.com", "--endpoint", "/v1/responses", "--token", "sk-fake-flag", "--requests", "7", "--concurrency", "3", "--rate", "2.5",
		"--duration", "9s", "--warmup", "4", "--timeout", "8s", "--stream", "--body", `{"a":1}`, "--method", "PUT")
	require.NoError(t, err)
	require.Equal(t, "https://llm.example.com/v1/responses", p.URL)
	require.Equal(t, "Bearer sk-fake-flag", p.Header.Get("Authorization"))
	require.JSONEq(t, `{"a":1,"stream":true}`, string(p.Body))
	p.Header, p.Body = nil, nil
	require.Equal(t, bench.Plan{Method: "PUT", URL: p.URL, Requests: 7, Concurrency: 3, Rate: 2.5, Duration: 9 * time.Second, Warmup: 4, Timeout: 8 * time.Second}, p)

	p, err = planOf(t, "--base-url", "http://x/v1/", "--endpoint", "/models", "--duration", "1s")
	require.NoError(t, err)
	require.Equal(t, "GET", p.Method)
	require.Equal(t, "http://x/v1/models", p.URL)
	require.Nil(t, p.Body)
	require.Zero(t, p.Requests, "a duration alone is no number")
	for endpoint, has := range map[string]string{"/v1/messages": "max_tokens", "/v1/embeddings": "input", "/v1/completions": "prompt", "/v1/responses": "input"} {
		p, err = planOf(t, "--endpoint", endpoint, "--model", "m-1")
		require.NoError(t, err)
		require.Contains(t, string(p.Body), has)
		require.Contains(t, string(p.Body), `"model":"m-1"`)
	}
}

func TestFlagsOfABenchmarkThatCannotBeAreAllNamed(t *testing.T) {
	_, err := planOf(t, "--requests", "0", "--concurrency", "0", "--rate", "-1", "--duration", "-1s", "--warmup", "-1", "--timeout", "0", "--body", "x", "--body-file", "y", "--endpoint", "v1")
	require.Equal(t, exitUsage, exitCode(err))
	for _, flag := range []string{"--requests", "--concurrency", "--rate", "--duration", "--warmup", "--timeout", "--body-file", "--endpoint"} {
		require.ErrorContains(t, err, flag)
	}
	for _, args := range [][]string{{"--stream", "--endpoint", "/models"}, {"--stream", "--body", "[]"}, {"--body-file", "/no/such/file"}, {"--body-file", os.DevNull}} {
		_, err := planOf(t, args...)
		require.Equal(t, exitUsage, exitCode(err), "%v", args)
	}
}

func TestTheVerdictTellsFailuresFromRefusalsFromSilence(t *testing.T) {
	result := func(succeeded int64, failures ...bench.Failure) *bench.Result {
		r := &bench.Result{Requests: succeeded, Succeeded: succeeded, Errors: failures}
		for _, f := range failures {
			r.Requests += f.Count
			r.Failed += f.Count
		}
		return r
	}
	refused := bench.Failure{Kind: bench.KindStatus, Status: 401, Count: 3}
	broken := bench.Failure{Kind: bench.KindStatus, Status: 502, Count: 3}
	silent := bench.Failure{Kind: bench.KindRefused, Count: 3}
	for _, c := range []struct {
		result *bench.Result
		want   int
	}{
		{result(5), exitOK},
		{result(5, refused), exitFailed},
		{result(0, refused), exitRefused},
		{result(0, refused, broken), exitFailed},
		{result(0, silent), exitUnreachable},
		{result(0, silent, refused), exitFailed},
		{result(0), exitFailed},
	} {
		require.Equal(t, c.want, exitCode(benchmarkVerdict(c.result)), "%+v", c.result)
	}
}

func TestABenchmarkOnATerminalShowsHowFarItIs(t *testing.T) {
	provider := demo.Serve(t, demo.Misbehave("head-delay=300ms"))
	report := filepath.Join(t.TempDir(), "report.html")
	term := startTerminal(t, chatEnv(provider), "benchmark", "--requests", "8", "--concurrency", "2", "--html", report)
	term.see("Ctrl-C ends the run")
	term.see("%")
	term.see("succeeded")
	term.see("latency")
	require.Equal(t, exitOK, term.ends())
	require.Len(t, provider.Requests(), 8)
	require.NotContains(t, term.raw(), "sk-fake-key")
	page, err := os.ReadFile(report)
	require.NoError(t, err)
	require.Contains(t, string(page), "<svg")
}

func TestCtrlCEndsABenchmarkWithTheReportOfWhatRan(t *testing.T) {
	provider := demo.Serve(t, demo.Misbehave("head-delay=1s"))
	term := startTerminal(t, chatEnv(provider), "benchmark", "--duration", "1h", "--concurrency", "2")
	term.see("Ctrl-C ends the run")
	provider.WaitFor(t, 3, nil) // two have ended, and this one has just begun
	term.send(keyCtrlC)
	term.see("under way when the run was ended")
	require.Equal(t, exitOK, term.ends(), "what ran succeeded")
}

func TestAnInterruptedBenchmarkWithoutATerminalReportsToo(t *testing.T) {
	provider := demo.Serve(t, demo.Misbehave("head-delay=20ms"))
	program, err := exec.LookPath("llm-proxy")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "benchmark", "--duration", "1h", "--json")
	cmd.Env = append(chatEnv(provider), "HOME="+t.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	provider.WaitFor(t, 20, func(r demo.Request) bool { return r.Ended })
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Wait(), stderr.String())
	var r bench.Result
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r))
	require.GreaterOrEqual(t, r.Succeeded, int64(10))
	require.Equal(t, map[int]int64{http.StatusOK: r.Succeeded}, r.Statuses)
	require.Empty(t, strings.TrimSpace(stderr.String()))
}
