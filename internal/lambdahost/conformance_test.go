//go:build unix

package lambdahost_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
)

// emulator is AWS's Runtime Interface Emulator with the toy in it. SAM brings it along, and what tests of the template need brings SAM:
// infra/aws/tools/install.sh. It streams nothing and gives no limits, but it knows both APIs.
type emulator struct {
	log *log
	url string
}

func startEmulator(t *testing.T, mode string) *emulator {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	name := map[string]string{"amd64": "aws-lambda-rie-x86_64", "arm64": "aws-lambda-rie-arm64"}[runtime.GOARCH]
	found, err := filepath.Glob(filepath.Join(cache, "llm-proxy", "aws", "sam", "lib", "python3*", "site-packages", "samcli", "local", "rapid", name))
	require.NoError(t, err)
	if runtime.GOOS != "linux" || len(found) == 0 {
		t.Skip("SKIPPED: AWS's own emulator is not there; infra/aws/tools/install.sh sam brings it, on Linux")
	}
	e := &emulator{log: &log{}, url: "http://" + freeAddress(t)}
	cmd := exec.CommandContext(t.Context(), found[0], "--runtime-interface-emulator-address", strings.TrimPrefix(e.url, "http://"), "--runtime-api-address", freeAddress(t), toy)
	cmd.Env = []string{"TOY=" + mode, "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = e.log, e.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait() // it ends by the signal
		ended.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the toy, where it is left
	})
	return e
}

// freeAddress is one that was free just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// invoke sends an event when the emulator answers at all.
func (e *emulator) invoke(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/2015-03-31/functions/function/invocations", bytes.NewReader([]byte(`{"a":1}`)))
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		require.NoError(t, answer.Body.Close())
		return true
	}, time.Minute, 20*time.Millisecond, "%s", e.log)
}

// conformed are the lines that must be alike.
func conformed(log *log) (lines []string) {
	for line := range strings.Lines(log.String()) {
		if strings.HasPrefix(line, "conformance ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestTheExtensionsAPIAnswersAsAWSsOwnEmulator(t *testing.T) {
	theirs := startEmulator(t, "registering")
	go theirs.invokeOnce() // it never comes to an end there, as the function does not
	theirs.log.await(t, "conformance register further-11")
	ours := start(t, with("TOY", "registering"))
	_, err := ours.Invoke(t.Context(), []byte("{}"))
	require.Error(t, err, "the function has ended")
	ours.log.await(t, "conformance register further-11")
	require.Equal(t, conformed(theirs.log), conformed(ours.log))
	require.Len(t, conformed(ours.log), 20)
}

func (e *emulator) invokeOnce() {
	for range 200 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/2015-03-31/functions/function/invocations", strings.NewReader("{}"))
		if err == nil {
			var answer *http.Response
			if answer, err = http.DefaultClient.Do(r); err == nil {
				answer.Body.Close()
			}
		}
		cancel()
		if err == nil || len(conformed(e.log)) > 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAnInvocationTakesItsCourseAsUnderAWSsOwnEmulator(t *testing.T) {
	theirs := startEmulator(t, "invoking")
	ours := start(t, lambdahost.Config{Env: map[string]string{"TOY": "invoking"}, Processes: 1})
	for n := range 2 {
		theirs.invoke(t)
		got, err := ours.Invoke(t.Context(), []byte(`{"a":1}`))
		require.NoError(t, err)
		require.JSONEq(t, `{"ok":true}`, string(got))
		ours.settle(t, n+1)
		require.Eventually(t, func() bool { return strings.Count(theirs.log.String(), "REPORT RequestId") == n+1 }, 20*time.Second, 5*time.Millisecond)
	}
	require.Equal(t, conformed(theirs.log), conformed(ours.log))
	for name, log := range map[string]*log{"theirs": theirs.log, "ours": ours.log} {
		durations := regexp.MustCompile(`REPORT .*\tDuration: ([\d.]+) ms`).FindAllStringSubmatch(log.String(), -1)
		require.Len(t, durations, 2, name)
		for _, d := range durations {
			ms, err := strconv.ParseFloat(d[1], 64)
			require.NoError(t, err)
			require.Greater(t, ms, 395.0, "%s: what an extension does belongs to the invocation", name)
		}
		end, done := strings.Index(log.String(), "END RequestId"), strings.Index(log.String(), "the extension is done")
		require.Less(t, done, end, name)
	}
}
