package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
)

func TestLambdaServeRunsTheBuiltFunctionBehindAFunctionURL(t *testing.T) {
	engine.Do(func() { engine.Server, engine.err = dynamolocal.Start(t.Context()) })
	if engine.err != nil {
		t.Skipf("SKIPPED, the function needs a store: %v", engine.err)
	}
	events := filepath.Join(t.TempDir(), "events.jsonl")
	cmd := exec.Command("llm-proxy", "lambda", "serve", "--addr", "127.0.0.1:0", "--dynamodb-url", engine.URL, "--event-log", events)
	var printed, log lockedBuffer
	cmd.Stdout, cmd.Stderr = &printed, &log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	found := regexp.MustCompile(`(?s)OPENAI_BASE_URL=(http://\S+)/v1\n.*OPENAI_API_KEY=(\S+)`)
	require.Eventually(t, func() bool { return found.MatchString(printed.String()) || len(ended) > 0 }, 4*patience, flushEvery, "it does not serve")
	match := found.FindStringSubmatch(printed.String())
	require.NotNil(t, match, "%s", &log)
	s := &testServer{t: t, url: match[1], token: match[2]}

	res := s.send(http.MethodPost, "/v1/chat/completions", chat, "X-Demo: events=5")
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s\n%s", body, &log)
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
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-ended, "%s", &log)
}

func TestLambdaServeSaysWhatItCannotTake(t *testing.T) {
	for args, says := range map[string]string{
		"--providers x.yaml": "--api-key-file",
		"--addr nowhere":     "--addr",
		"--timeout 16m":      "--timeout must be from 1s to 15m",
		"--processes 0":      "--processes must be at least 1",
		"--providers /none.yaml --api-key-file /":             "read the provider key",
		"--providers /none.yaml --api-key-file " + os.DevNull: "is empty",
	} {
		cmd := newLambdaCommand()
		cmd.SetArgs(append([]string{"serve", "--bootstrap", os.Args[0]}, strings.Fields(args)...))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if !strings.Contains(args, "--addr") {
			cmd.SetArgs(append([]string{"serve", "--bootstrap", os.Args[0], "--addr", "127.0.0.1:0"}, strings.Fields(args)...))
		}
		require.ErrorContains(t, cmd.ExecuteContext(t.Context()), says, args)
	}
	t.Chdir(t.TempDir())
	cmd := newLambdaCommand()
	cmd.SetArgs([]string{"serve", "--addr", "127.0.0.1:0"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	require.ErrorContains(t, cmd.ExecuteContext(t.Context()), "this is not the project's folder")
}
