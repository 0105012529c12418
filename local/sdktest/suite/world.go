package suite

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/stretchr/testify/require"
)

// providerKey is what the providers get, and no client ever sees. It holds no word: an error that says one would seem to quote it.
const providerKey = "sk-fake-Zx81Qm27Vt64Lp93Wd50"

// world is a stand-in provider with the built program in front of it.
type world struct {
	up   *demo.Server
	held *demo.Server  // each of its chunks but the first waits for next
	next chan struct{} // unbuffered

	url       string // of the proxy, without /v1
	metrics   string // of the server
	count     func(t *testing.T, label string) counts
	lambda    bool // it is the function, not the server
	fileBytes int  // of the files that are uploaded

	token  string // may do everything, at the default provider
	narrow string // may only use inference
	capped string // is good for one request, at the capped provider
	heldTo string // is for the held provider
	deadTo string // is for a provider that nobody serves
	claude string // is for the provider that speaks Anthropic's messages
}

// providers is the file with the upstreams. Nothing listens on port 1.
const providers = `default: demo
providers:
  demo: {preset: openai, base_url: %[1]q}
  capped: {preset: openai, base_url: %[1]q}
  held: {preset: openai, base_url: %[2]q}
  anthropic: {preset: anthropic, base_url: %[1]q}
  dead: {preset: openai, base_url: "http://127.0.0.1:1", circuit_breaker: {failures: 3, window: 60s, cooldown: 60s}}
`

// startProviders begins a world with its providers.
func startProviders(t *testing.T) *world {
	t.Helper()
	w := &world{next: make(chan struct{})}
	w.up = demo.Serve(t)
	w.held = demo.Serve(t, demo.Events(4), demo.Hold(w.next))
	return w
}

// newWorld builds and starts everything; the end of the test ends it.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := startProviders(t)
	w.count, w.fileBytes = w.countInMetrics, 5<<20

	dir := t.TempDir()
	program := filepath.Join(dir, "llm-proxy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/sofatutor/llm-proxy/local/llm-proxy") //nolint:gosec // a path in the test's own folder
	out, err := build.CombinedOutput()
	require.NoError(t, err, "build the program: %s", out)
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	common := []string{
		"--db", filepath.Join(dir, "data", "llm-proxy.db"),
		"--providers", file("providers.yaml", fmt.Sprintf(providers, w.up.URL, w.held.URL)),
	}
	key := file("key.txt", providerKey+"\n")
	mint := func(more ...string) string {
		args := append([]string{"setup", "--non-interactive", "--json", "--api-key-file", key}, common...)
		cmd := exec.CommandContext(t.Context(), program, append(args, more...)...) //nolint:gosec // built above
		cmd.Env = environment()
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		require.NoError(t, err, "setup %v: %s", more, &errs)
		var made struct{ Token string }
		require.NoError(t, json.Unmarshal(out, &made), "%s", out)
		return made.Token
	}
	w.token = mint("--project", "All", "--stored")
	w.narrow = mint("--project", "Narrow")
	w.capped = mint("--project", "Capped", "--provider", "capped", "--max-requests", "1")
	w.heldTo = mint("--project", "Held", "--provider", "held")
	w.deadTo = mint("--project", "Dead", "--provider", "dead")
	w.claude = mint("--project", "Claude", "--provider", "anthropic")
	w.serve(t, program, common)
	return w
}

// serve starts the server on ports of its own choice and waits until it serves.
func (w *world) serve(t *testing.T, program string, common []string) {
	t.Helper()
	args := append([]string{"server", "--addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"}, common...)
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // built above; it is stopped below, so that it can end in good order
	cmd.Env = environment()
	cmd.Stdout = io.Discard
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	said := &output{}
	ended := make(chan error, 1)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the server ended with %v:\n%s", err, said)
			}
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Errorf("the server does not stop:\n%s", said)
		}
	})
	serving := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			_, _ = said.Write(append(lines.Bytes(), '\n')) // to memory
			var line struct{ Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue
			}
			switch line.Msg {
			case "serving metrics":
				w.metrics = line.URL
			case "serving":
				w.url = line.URL
				close(serving)
			}
		}
		ended <- cmd.Wait()
	}()
	select {
	case <-serving:
	case err := <-ended:
		ended <- nil // told here
		require.FailNow(t, "the server did not start", "%v\n%s", err, said)
	case <-time.After(patience):
		require.FailNow(t, "the server does not serve", "%s", said)
	}
}

// ask sends a plain request with a token.
func (w *world) ask(t *testing.T, method, url, token string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	require.NoError(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", body)
	return string(body)
}

// counts are the proxy's own numbers: how often it asked its store, and how many requests ended.
type counts struct{ spends, ended int }

// countInMetrics reads from the metrics what bears a label, such as code="token_exhausted".
func (w *world) countInMetrics(t *testing.T, label string) (c counts) {
	t.Helper()
	for line := range strings.SplitSeq(w.ask(t, http.MethodGet, w.metrics, ""), "\n") {
		name, value, _ := strings.Cut(line, " ")
		if !strings.Contains(name, label) {
			continue
		}
		counter := &c.ended
		if strings.HasPrefix(name, "llmproxy_spend_seconds_count{") {
			counter = &c.spends
		} else if !strings.HasPrefix(name, "llmproxy_requests_total{") {
			continue
		}
		n, err := strconv.Atoi(value)
		require.NoError(t, err, line)
		*counter += n
	}
	return c
}

// settled waits until the proxy has counted at least that much with a label: it counts a request just after its end.
func (w *world) settled(t *testing.T, label string, least counts) counts {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		c := w.count(t, label)
		if c.ended >= least.ended && c.spends >= least.spends {
			return c
		}
		require.True(t, time.Now().Before(deadline), "the proxy counted %+v with %s, not %+v", c, label, least)
		time.Sleep(10 * time.Millisecond)
	}
}
