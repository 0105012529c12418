//go:build unix

package lambdahost_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
)

func limited(t *testing.T, memoryMB int) *rig {
	t.Helper()
	r := start(t, lambdahost.Config{MemoryMB: memoryMB, Limited: true, Processes: 1, Init: time.Minute, Name: "limited", Env: map[string]string{"GOMAXPROCS": "1"}})
	if err := r.Unlimited(); err != nil {
		require.Contains(t, r.log.String(), err.Error(), "who runs a function is told that nothing limits it")
		t.Skipf("SKIPPED: %v", err)
	}
	return r
}

// left are the control groups of this process that are still there.
func left(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/llm-proxy-%d-*", "/sys/fs/cgroup/*/llm-proxy-%d-*"} {
		found, err := filepath.Glob(fmt.Sprintf(pattern, os.Getpid()))
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

func TestAProcessHasTheShareOfAProcessorThatBelongsToItsMemory(t *testing.T) {
	for memoryMB, least := range map[int]time.Duration{128: 400 * time.Millisecond, 1769: 0} {
		r := limited(t, memoryMB)
		answer, body, err := r.do(t, "GET", r.url+"/spin", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		took, err := strconv.Atoi(body)
		require.NoError(t, err)
		// 60 ms of a processor at 7 ms in each 100. A busy machine makes it later only.
		require.GreaterOrEqual(t, time.Duration(took)*time.Millisecond, least, "with %d MB", memoryMB)
		membership, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", r.Processes()[0]))
		require.NoError(t, err)
		require.Contains(t, string(membership), "llm-proxy-"+strconv.Itoa(os.Getpid())+"-limited-")
		require.NotEmpty(t, left(t))
		require.NoError(t, r.Close())
		require.Empty(t, left(t), "the group goes with its process")
	}
}

func TestAProcessThatTakesMoreMemoryThanItHasIsEnded(t *testing.T) {
	r := limited(t, 128)
	answer, _, err := r.do(t, "GET", r.url+"/eat", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadGateway, answer.StatusCode)
	r.log.await(t, "it had no memory left")
	require.Equal(t, http.StatusOK, func() int { a, _, _ := r.do(t, "GET", r.url+"/echo", nil); return a.StatusCode }(), "another process takes over")
}

func TestNothingIsLimitedWhereNobodyAsked(t *testing.T) {
	r := start(t, lambdahost.Config{MemoryMB: 128})
	require.NoError(t, r.Unlimited())
	r.echo(t, "GET", r.url+"/echo", nil)
	require.Empty(t, left(t))
	require.NotContains(t, r.log.String(), "limits")
}
