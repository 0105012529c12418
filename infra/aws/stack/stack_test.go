//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// patience is how long the parts may take on a busy machine.
const patience = 2 * time.Minute

// output is a file of our own: what is written, and may be read meanwhile.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// running is a stack that a test has started.
type running struct {
	t        *testing.T
	settings map[string]string // that it printed
	log      *output
	end      func() error
}

// start starts a stack as the command would, until the test ends. Without the tools or an engine the test is skipped.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	for _, name := range []string{"ministack", "sam"} {
		if _, err := tool(name, name); err != nil {
			t.Skipf("SKIPPED: %v, and make aws does it and runs this test", err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	out, log := &output{}, &output{}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, args, out, log) }()
	once := sync.OnceValue(func() error {
		stop()
		return <-ended
	})
	t.Cleanup(func() {
		if err := once(); !errors.Is(err, errNoEngine) {
			require.NoError(t, err)
		}
		if t.Failed() {
			t.Logf("it said:\n%s", log)
		}
	})
	r := &running{t: t, settings: map[string]string{}, log: log, end: once}
	require.Eventually(t, func() bool {
		select {
		case err := <-ended:
			ended <- err
			return true
		default:
			return strings.Contains(out.String(), "MANAGEMENT_TOKEN=")
		}
	}, 3*patience, 50*time.Millisecond)
	select {
	case err := <-ended:
		ended <- err
		if errors.Is(err, errNoEngine) {
			t.Skipf("SKIPPED: %v", err)
		}
		require.NoError(t, err)
	default:
	}
	for line := range strings.Lines(out.String()) {
		if name, value, is := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); is && strings.HasPrefix(line, "export ") {
			r.settings[name] = value
		}
	}
	return r
}

// ask sends a request and returns status, header and body.
func (r *running) ask(method, url, bearer, body string) (int, http.Header, gjson.Result) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(r.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return resp.StatusCode, resp.Header, gjson.ParseBytes(text)
}

const question = `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}`

// follow makes a project and a token, calls the provider with it, revokes it and is refused. It returns the ids of the two requests.
func (r *running) follow(origin string) (served, refused string) {
	r.t.Helper()
	manage, management := origin+"/manage", r.settings["MANAGEMENT_TOKEN"]
	status, _, project := r.ask(http.MethodPost, manage+"/projects", management, `{"name":"first","api_key":"sk-fake-provider-key-1234"}`)
	require.Equal(r.t, http.StatusCreated, status, project.Raw)
	status, _, minted := r.ask(http.MethodPost, manage+"/tokens", management, `{"project_id":"`+project.Get("project_id").Str+`","duration_minutes":60}`)
	require.Equal(r.t, http.StatusCreated, status, minted.Raw)
	token := minted.Get("token").Str

	var header http.Header
	var answer gjson.Result
	require.Eventually(r.t, func() bool { // a store that has just started may need longer than a request waits for it
		status, header, answer = r.ask(http.MethodPost, origin+"/v1/chat/completions", token, question)
		return status != http.StatusServiceUnavailable
	}, patience, 100*time.Millisecond)
	require.Equal(r.t, http.StatusOK, status, answer.Raw)
	require.Contains(r.t, answer.Get("choices.0.message.content").Str, "hello")
	require.NotEmpty(r.t, header.Get("X-Demo-Body-Sha256"), "the stand-in provider has answered")
	served = header.Get("X-Llm-Proxy-Request-Id")

	status, _, answer = r.ask(http.MethodDelete, manage+"/tokens/"+minted.Get("id").Str, management, "")
	require.Equal(r.t, http.StatusNoContent, status, answer.Raw)
	status, header, answer = r.ask(http.MethodPost, origin+"/v1/chat/completions", token, question)
	require.Equal(r.t, http.StatusUnauthorized, status, answer.Raw)
	require.Equal(r.t, "token_revoked", answer.Get("error.code").Str)
	require.Empty(r.t, header.Get("X-Demo-Body-Sha256"), "the stand-in provider was not asked")
	return served, header.Get("X-Llm-Proxy-Request-Id")
}

// TestAServerRunsOnTheStack: what the stack prints is all that a server needs.
func TestAServerRunsOnTheStack(t *testing.T) {
	r := start(t)
	address := startServer(t, r.settings)
	served, refused := r.follow("http://" + address)

	// The rule has brought the events to the queue of their destination.
	queue := strings.Replace(r.settings["LLM_PROXY_SPILL_QUEUE"], "spill", "requests", 1)
	client := sqs.NewFromConfig(config(r.settings["AWS_ENDPOINT_URL"]))
	outcomes := map[string]string{}
	require.Eventually(t, func() bool {
		messages, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10})
		if err != nil {
			return false
		}
		for _, m := range messages.Messages {
			event := gjson.Get(*m.Body, "detail")
			outcomes[event.Get("id").Str] = event.Get("outcome").Str
		}
		return len(outcomes) == 2
	}, patience, 100*time.Millisecond)
	require.Equal(t, map[string]string{served: "complete", refused: "refused"}, outcomes)

	require.NoError(t, r.end())
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"} {
		require.Error(t, answers(t.Context(), r.settings[name]), "%s has ended", name)
	}
	require.NoFileExists(t, r.settings["LLM_PROXY_PROVIDERS"], "nothing is left")
}

// startServer builds the server and starts it with nothing but these settings. It returns its address.
func startServer(t *testing.T, settings map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "llm-proxy")
	buildServer(t, program, "dev")
	port, err := freePort(t.Context())
	require.NoError(t, err)
	address := "127.0.0.1:" + port
	env := []string{"HOME=" + dir, "LLM_PROXY_DATA_DIR=" + dir, "LLM_PROXY_ADDR=" + address, "LLM_PROXY_METRICS_ADDR=off"}
	for name, value := range settings {
		env = append(env, name+"="+value)
	}
	var said output
	cmd := exec.Command(program, "server")
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		require.NoError(t, <-ended, "%s", &said)
	})
	require.Eventually(t, func() bool { return len(ended) > 0 || answers(t.Context(), "http://"+address+"/health") == nil }, patience, 50*time.Millisecond)
	require.Empty(t, ended, "%s", &said)
	return address
}

// buildServer builds the server as it is released, with more in the environment of the go command.
func buildServer(t *testing.T, program, version string, environment ...string) {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", program, "./local/llm-proxy")
	build.Dir = "../../.."
	build.Env = append(append(os.Environ(), "CGO_ENABLED=0"), environment...)
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestSAMServesTheFunctionsInContainers: built by `sam build` and run by `sam local start-api` in a container engine.
func TestSAMServesTheFunctionsInContainers(t *testing.T) {
	port, err := freePort(t.Context())
	require.NoError(t, err)
	r := start(t, "-api", "-addr", "127.0.0.1:"+port)
	origin := r.settings["LLM_PROXY_MANAGE_API_BASE_URL"]
	require.Equal(t, origin+"/v1", r.settings["OPENAI_BASE_URL"])
	served, refused := r.follow(origin)
	for _, id := range []string{served, refused} { // the event of a buffered answer has left before the function sleeps
		require.Eventually(t, func() bool { return strings.Contains(r.log.String(), fmt.Sprintf(`{"end":%q}`, id)) }, patience, 50*time.Millisecond)
	}
	require.NotContains(t, r.log.String(), "sk-fake-provider-key")
	require.NoError(t, r.end())
}

func TestWhatCannotBeTakenIsSaid(t *testing.T) {
	for args, says := range map[string]string{"-addr": "needs an argument", "-nonsense": "not defined"} {
		require.ErrorContains(t, run(t.Context(), []string{args}, io.Discard, io.Discard), says)
	}
	t.Chdir(t.TempDir())
	require.ErrorContains(t, run(t.Context(), nil, io.Discard, io.Discard), "this is not the project's folder")
}
