package lambdahost_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
)

// onCPU is how long the threads of a process have run, in ns.
func onCPU(b *testing.B, pid int) (total int64) {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	require.NoError(b, err)
	require.NotEmpty(b, threads)
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		var ns int64
		_, err = fmt.Sscan(string(stat), &ns)
		require.NoError(b, err)
		total += ns
	}
	return total
}

// BenchmarkCPUOfAnInvocation is what the same handler costs a function's process, the Runtime API included, with our adapter and with
// the library's own.
func BenchmarkCPUOfAnInvocation(b *testing.B) {
	prompt := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("y", 450) + `"}]}`)
	for _, path := range []string{"/small", "/chunks"} {
		for _, adapter := range []string{"lambdahttp", "lambdaurl"} {
			b.Run(path[1:]+"/"+adapter, func(b *testing.B) {
				r := start(b, lambdahost.Config{Processes: 1, Env: map[string]string{"TOY": adapter, "GOMAXPROCS": "1", "GOGC": "400"}})
				call := func() {
					for { // the process may not be frozen yet
						answer, err := r.client.Post(r.url+path, "application/json", bytes.NewReader(prompt))
						require.NoError(b, err)
						_, err = io.Copy(io.Discard, answer.Body)
						require.NoError(b, err)
						answer.Body.Close()
						if answer.StatusCode != http.StatusTooManyRequests {
							require.Equal(b, http.StatusOK, answer.StatusCode)
							return
						}
					}
				}
				for range 200 {
					call()
				}
				pids := r.Processes()
				require.Len(b, pids, 1)
				before, n := onCPU(b, pids[0]), 0
				for b.Loop() {
					call()
					n++
				}
				b.ReportMetric(float64(onCPU(b, pids[0])-before)/float64(n), "cpu-ns/invocation")
			})
		}
	}
}
