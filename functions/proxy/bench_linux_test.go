package main

import (
	"archive/zip"
	"compress/flate"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
)

// BenchmarkFunction measures the function as it is built beside a minimal one, at the share of a processor that Lambda gives with so much
// memory: how long INIT takes, what a request costs the process (the hook after the answer included), the most memory it had, and what
// is deployed. The minimal one answers by itself; ours spends a token in DynamoDB Local, calls a provider and publishes an event.
func BenchmarkFunction(b *testing.B) {
	s := start(b, 0)
	_, token := s.mint()
	minimal := buildMinimal(b)
	for _, memory := range []int{128, 512, 1769} {
		for name, program := range map[string]string{"minimal": minimal, "proxy": bootstrap} {
			b.Run(fmt.Sprintf("%dMB/%s", memory, name), func(b *testing.B) {
				log := &output{}
				env := map[string]string{"GOMAXPROCS": "1", "GOGC": "400"}
				if name == "proxy" {
					for k, v := range s.env {
						env[k] = v
					}
				}
				host, err := lambdahost.New(lambdahost.Config{Bootstrap: program, MemoryMB: memory, Limited: true, Processes: 1, Init: time.Minute, Env: env, Log: log})
				require.NoError(b, err)
				defer host.Close()
				if err := host.Unlimited(); err != nil {
					b.Skipf("SKIPPED: %v", err)
				}
				door := httptest.NewServer(host.FunctionURL())
				defer door.Close()
				call := func() {
					for { // the process may still be busy with what follows an answer
						a := s.askOnce(door.URL, "POST", "/v1/chat/completions", question, bearer(token))
						if a.status == 429 && a.id == "" || a.status == 503 { // or the tables are slower than a spend waits
							time.Sleep(time.Millisecond)
							continue
						}
						require.Equal(b, 200, a.status, a.body)
						return
					}
				}
				for range 50 {
					call()
				}
				pid := host.Processes()[0]
				before, n := onCPU(b, pid), 0
				for b.Loop() {
					call()
					n++
				}
				b.ReportMetric(float64(onCPU(b, pid)-before)/float64(n)/1000, "cpu-µs/invocation")
				b.ReportMetric(logged(b, log, `Init Duration: ([\d.]+) ms`), "init-ms")
				b.ReportMetric(logged(b, log, `.*Max Memory Used: (\d+) MB`), "MB-resident")
				binary, zipped := sizes(b, program)
				b.ReportMetric(binary, "MB-binary")
				b.ReportMetric(zipped, "MB-zip")
			})
		}
	}
}

// BenchmarkReady is what a start costs: the processor's time from exec until the function asks for its first invocation, beside a minimal
// function's. Work that goes on meanwhile, such as reading the sealing secret, is counted as far as it has come.
func BenchmarkReady(b *testing.B) {
	s := start(b, 0)
	const file = "LLM_PROXY_PROVIDERS" // a stack has none unless it is given one
	var usual []string
	for name, value := range s.env {
		if name != file {
			usual = append(usual, name+"="+value)
		}
	}
	for _, f := range []struct {
		name, program string
		more          []string
	}{{"minimal", buildMinimal(b), nil}, {"proxy", bootstrap, nil}, {"proxy-with-a-providers.yaml", bootstrap, []string{file + "=" + s.env[file]}}} {
		b.Run(f.name, func(b *testing.B) {
			env := slices.Concat(usual, f.more)
			asked := make(chan bool)
			api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				asked <- true
				<-r.Context().Done()
			}))
			defer api.Close()
			var total int64
			n := 0
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), f.program)
				cmd.Env = append(env, "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"), "AWS_REGION=us-east-1", "GOMAXPROCS=1", "GOGC=400", "AWS_ACCESS_KEY_ID=fake", "AWS_SECRET_ACCESS_KEY=fake")
				require.NoError(b, cmd.Start())
				<-asked
				total += onCPU(b, cmd.Process.Pid)
				n++
				require.NoError(b, cmd.Process.Kill())
				_ = cmd.Wait() // it was killed
			}
			b.ReportMetric(float64(total)/float64(n)/1e6, "cpu-ms/start")
		})
	}
}

func buildMinimal(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "bootstrap")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", program, "./testdata/minimal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(b, err, "%s", out)
	return program
}

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

// logged is a number of the platform's lines.
func logged(b *testing.B, log *output, pattern string) float64 {
	b.Helper()
	found := regexp.MustCompile(`(?s)` + pattern).FindStringSubmatch(log.String())
	require.NotNil(b, found, log.String())
	n, err := strconv.ParseFloat(found[1], 64)
	require.NoError(b, err)
	return n
}

// sizes are those of a program and of the archive that is deployed, in MB.
func sizes(b *testing.B, program string) (binary, zipped float64) {
	b.Helper()
	file, err := os.Open(program)
	require.NoError(b, err)
	defer file.Close()
	var archive strings.Builder
	w := zip.NewWriter(&archive)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestCompression) })
	entry, err := w.Create("bootstrap")
	require.NoError(b, err)
	n, err := io.Copy(entry, file)
	require.NoError(b, err)
	require.NoError(b, w.Close())
	return float64(n) / 1e6, float64(archive.Len()) / 1e6
}
