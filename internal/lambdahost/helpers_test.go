//go:build unix

package lambdahost_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
	"github.com/sofatutor/llm-proxy/internal/testlog"
)

// toy is the function that the tests run, built as functions are.
var toy string

// builtToy is where it is if it was built before.
const builtToy = "LLM_PROXY_TEST_TOY"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "toy-")
	if toy = os.Getenv(builtToy); toy == "" && err == nil {
		toy = filepath.Join(dir, "bootstrap")
		build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-o", toy, "./testdata/toy")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = build.CombinedOutput(); err != nil {
			err = fmt.Errorf("build the toy: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// log keeps what a host writes.
type log struct{ testlog.Buffer }

// await waits until a line that contains a word has come, and returns it.
func (l *log) await(t testing.TB, word string) string {
	t.Helper()
	var line string
	require.Eventually(t, func() bool {
		for s := range strings.Lines(l.String()) {
			if strings.Contains(s, word) {
				line = strings.TrimSuffix(s, "\n")
				return true
			}
		}
		return false
	}, 20*time.Second, 5*time.Millisecond, "no line with %q in\n%s", word, l)
	return line
}

// settle waits until so many invocations have ended, what follows their answers included.
func (r *rig) settle(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(r.log.String(), "REPORT ") >= n }, 20*time.Second, 5*time.Millisecond)
}

// rig is a host with both its doors open.
type rig struct {
	*lambdahost.Host
	log      *log
	url, api string
	client   *http.Client
}

func start(t testing.TB, cfg lambdahost.Config) *rig {
	t.Helper()
	r := &rig{log: &log{}, client: &http.Client{Transport: &http.Transport{}}}
	cfg.Bootstrap, cfg.Log = toy, r.log
	host, err := lambdahost.New(cfg)
	require.NoError(t, err)
	r.Host = host
	url, api := httptest.NewServer(host.FunctionURL()), httptest.NewServer(host.API())
	r.url, r.api = url.URL, api.URL
	t.Cleanup(func() {
		require.NoError(t, host.Close())
		r.client.CloseIdleConnections()
		url.Close()
		api.Close()
		if t.Failed() {
			t.Logf("the host's log:\n%s", r.log)
		}
	})
	return r
}

func with(env ...string) lambdahost.Config {
	cfg := lambdahost.Config{Env: map[string]string{}}
	for i := 0; i < len(env); i += 2 {
		cfg.Env[env[i]] = env[i+1]
	}
	return cfg
}

// do asks at a door, with the body of the answer as far as it came.
func (r *rig) do(t testing.TB, method, url string, body io.Reader, header ...string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	answer, err := r.client.Do(req)
	require.NoError(t, err)
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return answer, string(got), err
}

// echoed is what the toy tells of a request.
type echoed struct {
	Method, URI, Host, Remote, SHA256 string
	Header                            http.Header
	Length                            int64
	Env                               map[string]string
	PID                               int
}

func (r *rig) echo(t testing.TB, method, url string, body io.Reader, header ...string) echoed {
	t.Helper()
	answer, got, err := r.do(t, method, url, body, header...)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, got)
	var e echoed
	require.NoError(t, json.Unmarshal([]byte(got), &e), got)
	return e
}
