//go:build unix

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo"
)

// docker is the command line of an engine.
type docker struct {
	t       *testing.T
	program string // the one that builds with BuildKit
	host    string
}

// startDocker finds or starts an engine for the test, or skips it with the reason.
func startDocker(t *testing.T) *docker {
	t.Helper()
	root, err := projectRoot()
	require.NoError(t, err)
	log := &output{}
	s := &stack{root: root, work: t.TempDir(), log: log}
	t.Cleanup(func() { require.NoError(t, s.close(), "%s", log) })
	engine, err := s.startEngine(t.Context())
	if errors.Is(err, errNoEngine) {
		t.Skipf("SKIPPED: %v", err)
	}
	require.NoError(t, err)
	d := &docker{t: t, host: engine.host}
	for _, program := range []string{"docker", "/usr/bin/docker"} { // one without the plugin may hide the engine's own
		d.program = program
		if d.try(nil, "build", "--help") == nil {
			return d
		}
	}
	t.Skip("SKIPPED: this engine has no BuildKit, which passes by what is not needed (apt-get install docker-buildx-plugin)")
	return nil
}

// try runs a command.
func (d *docker) try(in io.Reader, args ...string) error {
	_, err := d.output(in, args...)
	return err
}

func (d *docker) output(in io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.t.Context()), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.host, "DOCKER_BUILDKIT=1")
	cmd.Stdin = in
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(err, errors.New(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// run runs a command that must succeed, and returns what it printed.
func (d *docker) run(args ...string) string {
	d.t.Helper()
	out, err := d.output(nil, args...)
	require.NoError(d.t, err, "docker %q", args)
	return out
}

// importTree makes an image of files, all of one owner: contents by path, a folder's ends with a slash.
func (d *docker) importTree(name string, owner int, files map[string][]byte) {
	d.t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for path, text := range files {
		h := &tar.Header{Name: path, Mode: 0o755, Size: int64(len(text)), Uid: owner, Gid: owner}
		require.NoError(d.t, w.WriteHeader(h))
		_, err := w.Write(text)
		require.NoError(d.t, err)
	}
	require.NoError(d.t, w.Close())
	require.NoError(d.t, d.try(&archive, "import", "-", name))
	d.t.Cleanup(func() { require.NoError(d.t, d.try(nil, "rmi", "--force", name)) })
}

// TestTheImageOfTheServer: built from the Dockerfile, with the program that was compiled outside, it runs as nobody over files that cannot
// be written, says how it is, and lets what is under way end when it is stopped.
func TestTheImageOfTheServer(t *testing.T) {
	d := startDocker(t)
	program := filepath.Join(t.TempDir(), "llm-proxy")
	buildServer(t, program)
	text, err := os.ReadFile(program)
	require.NoError(t, err)
	d.importTree("llm-proxy-test-build", 0, map[string][]byte{"llm-proxy": text, "data/": nil})
	build := []string{"build", "--quiet", "--tag", "llm-proxy-test", "--build-arg", "BUILD=llm-proxy-test-build"}
	if err := d.try(nil, "pull", "--quiet", "gcr.io/distroless/static-debian12:nonroot"); err != nil {
		t.Log("the image's base cannot be fetched: certificates and an empty /tmp stand in for it")
		certificates, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
		require.NoError(t, err)
		d.importTree("llm-proxy-test-base", 0, map[string][]byte{"etc/ssl/certs/ca-certificates.crt": certificates, "tmp/": nil})
		build = append(build, "--build-arg", "BASE=llm-proxy-test-base")
	}
	d.run(append(build, "../../..")...)
	t.Cleanup(func() { require.NoError(t, d.try(nil, "rmi", "--force", "llm-proxy-test")) })

	management := "fake-management-token-of-32-chars"
	id := d.run("run", "--detach", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--publish", "127.0.0.1::8080",
		"--health-interval", "1s", "--env", "MANAGEMENT_TOKEN="+management, "--env", "ADMIN_PASSWORD=fake-password", "llm-proxy-test", "server", "--demo")
	t.Cleanup(func() {
		if t.Failed() {
			logs, err := exec.Command(d.program, "--host", d.host, "logs", id).CombinedOutput()
			t.Logf("the container said (%v):\n%s", err, logs)
		}
		require.NoError(t, d.try(nil, "rm", "--force", "--volumes", id))
	})
	inspect := func(path string) gjson.Result { return gjson.Get(d.run("inspect", id), "0."+path) }
	require.Eventually(t, func() bool {
		return inspect("State.Health.Status").Str == "healthy" || !inspect("State.Running").Bool()
	}, patience, 200*time.Millisecond)
	require.Equal(t, "healthy", inspect("State.Health.Status").Str, inspect("State").Raw)
	require.Equal(t, "ok", gjson.Get(d.run("exec", id, "/llm-proxy", "server", "health"), "status").Str)
	require.Equal(t, "65532:65532", inspect("Config.User").Str)
	require.Contains(t, d.run("top", id, "-o", "pid,uid"), "65532", "and so it runs")
	require.Error(t, d.try(nil, "exec", id, "/bin/sh", "-c", "true"), "there is nothing else to run")

	origin := "http://" + d.run("port", id, "8080")
	r := &running{t: t, settings: map[string]string{"MANAGEMENT_TOKEN": management}}
	r.follow(origin)

	// A stop lets the stream that is under way come to its end.
	_, token, _ := strings.Cut(d.run("logs", id), "export OPENAI_API_KEY=")
	token, _, _ = strings.Cut(token, "\n")
	first, body := stream(t, origin, token)
	stopped := make(chan error, 1)
	go func() { stopped <- d.try(nil, "stop", "--time", "45", id) }()
	rest, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Contains(t, first+string(rest), "data: [DONE]")
	require.NoError(t, <-stopped)
	require.Zero(t, inspect("State.ExitCode").Int(), inspect("State").Raw)
	require.False(t, inspect("State.OOMKilled").Bool())
}

// stream begins a stream of some seconds and returns its first line and the rest.
func stream(t *testing.T, origin, token string) (first string, rest io.Reader) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/v1/chat/completions", strings.NewReader(strings.Replace(question, "{", `{"stream":true,`, 1)))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(demo.Header, "events=20,chunk-delay=150ms")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	lines := bufio.NewReader(resp.Body)
	first, err = lines.ReadString('\n')
	require.NoError(t, err)
	return first, lines
}
