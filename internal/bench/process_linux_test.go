package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain is the measured process too, when it is told an address.
func TestMain(m *testing.M) {
	if addr := os.Getenv("BENCH_TEST_SERVE"); addr != "" {
		server := &http.Server{Addr: addr, Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
		if err := server.ListenAndServe(); err != nil {
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func TestAProcessIsMeasuredFromItsStartToItsEnd(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "BENCH_TEST_SERVE="+addr)
	p, err := StartProcess(t.Context(), cmd, addr)
	require.NoError(t, err)
	require.Positive(t, p.Started)
	rss, err := p.RSS()
	require.NoError(t, err)
	require.Greater(t, rss, int64(1<<20))
	before, err := p.CPU()
	require.NoError(t, err)
	run, err := New(Plan{Method: "GET", URL: "http://" + addr, Requests: 200, Concurrency: 2})
	require.NoError(t, err)
	run.Do(t.Context())
	after, err := p.CPU()
	require.NoError(t, err)
	require.Greater(t, after-before, 200*time.Microsecond, "no request is answered in less than a microsecond")
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	require.NoError(t, err)
	fields := strings.Fields(string(stat))
	user, err := strconv.Atoi(fields[13])
	require.NoError(t, err)
	system, err := strconv.Atoi(fields[14])
	require.NoError(t, err)
	require.InDelta(t, after.Seconds(), float64(user+system)/100, 0.05, "and /proc says the same, in steps of 10 ms")
	p.Stop()
	require.False(t, answers(addr))
	_, err = p.CPU()
	require.Error(t, err, "a process that is gone has no figures")
	_, err = p.RSS()
	require.Error(t, err)
}

func TestAProgramThatDoesNotServeIsAnError(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := StartProcess(ctx, exec.CommandContext(t.Context(), "sleep", "60"), "127.0.0.1:1")
	require.ErrorContains(t, err, "does not answer")
	_, err = StartProcess(t.Context(), exec.CommandContext(t.Context(), "/no/such/program"), "127.0.0.1:1")
	require.ErrorContains(t, err, "start /no/such/program")
}
