//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo"
)

// imagePatience is how long making an image may take on a busy machine.
const imagePatience = 10 * time.Minute

// docker is the command line of an engine.
type docker struct {
	t       *testing.T
	root    string // of the project
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
	d := &docker{t: t, root: root, host: engine.host}
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
	limit := patience
	if args[0] == "build" || args[0] == "import" {
		limit = imagePatience
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.t.Context()), limit)
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

// extract brings what an image has at this path to a folder of this machine, and returns where.
func (d *docker) extract(image, path string) string {
	d.t.Helper()
	to := filepath.Join(d.t.TempDir(), filepath.Base(path))
	id := d.run("create", image, "nothing") // is run
	d.run("cp", id+":"+path, to)
	d.run("rm", id)
	return to
}

// checkProgram compares a program with the one that this machine makes of the sources, with the site in this folder.
func (d *docker) checkProgram(program, site, version string) {
	d.t.Helper()
	require.FileExists(d.t, filepath.Join(site, "index.html"))
	replace := map[string]string{}
	embedded := filepath.Join(d.root, "internal", "admin", "ui", "dist")
	for dir, instead := range map[string]func(path string) string{embedded: func(string) string { return "" }, site: func(path string) string { return path }} {
		require.NoError(d.t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			within, err := filepath.Rel(dir, path)
			name := filepath.Join(embedded, within)
			if _, is := replace[name]; !is || dir == site {
				replace[name] = instead(path)
			}
			return err
		}))
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(d.t, err)
	overlay := filepath.Join(d.t.TempDir(), "overlay.json")
	require.NoError(d.t, os.WriteFile(overlay, text, 0o600))
	own := filepath.Join(d.t.TempDir(), "llm-proxy")
	buildServer(d.t, own, version, "GOFLAGS=-buildvcs=false -overlay="+overlay)
	theirs, err := buildinfo.ReadFile(program)
	require.NoError(d.t, err)
	if theirs.GoVersion != runtime.Version() {
		d.t.Logf("the program in the image is made by %s, and not compared with what this machine's %s makes", theirs.GoVersion, runtime.Version())
		return
	}
	want, err := os.ReadFile(own)
	require.NoError(d.t, err)
	got, err := os.ReadFile(program)
	require.NoError(d.t, err)
	require.True(d.t, bytes.Equal(want, got), "the program in the image is not the one that is built outside")
}

// TestTheImageOfTheServer: every stage of the Dockerfile is run, and what comes of it runs as nobody over files that cannot be written, has
// the site, says how it is, and lets what is under way end when it is stopped. Its program is the one that is built outside, byte for byte.
func TestTheImageOfTheServer(t *testing.T) {
	d := startDocker(t)
	build := append([]string{"build", "--progress", "plain", "--build-arg", "VERSION=v0.0.0-test"}, d.buildArguments()...)
	d.run(append(build, "--tag", "llm-proxy-test", d.root)...)
	t.Cleanup(func() { require.NoError(t, d.try(nil, "rmi", "--force", "llm-proxy-test")) })
	d.run(append(build, "--target", "site", "--tag", "llm-proxy-test-site", d.root)...)
	t.Cleanup(func() { require.NoError(t, d.try(nil, "rmi", "--force", "llm-proxy-test-site")) })
	site := d.extract("llm-proxy-test-site", "/ui/dist")
	d.checkProgram(d.extract("llm-proxy-test", "/llm-proxy"), site, "v0.0.0-test")

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
	page := get(t, origin+"/admin/")
	script := regexp.MustCompile(`src="\./(assets/[^"]+\.js)"`).FindStringSubmatch(page)
	require.NotNil(t, script, "the site's page loads the site: %s", page)
	require.NotEmpty(t, get(t, origin+"/admin/"+script[1]))
	require.Contains(t, d.run("run", "--rm", "llm-proxy-test", "--version"), "v0.0.0-test")

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

// get is what is found at a URL.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode, url)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
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
