//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// engine is a container engine.
type engine struct {
	host   string // its DOCKER_HOST
	name   string // at which containers reach this machine
	listen string // address of this machine behind that name
}

// errNoEngine says that there is no engine, and can be none. What was wrapped tells why.
var errNoEngine = errors.New("a container engine is needed")

// startEngine finds an engine, or starts one where that is possible.
func (s *stack) startEngine(ctx context.Context) (*engine, error) {
	var said strings.Builder
	cmd := exec.Command(filepath.Join(s.root, "infra/aws/tools/docker.sh"), filepath.Join(s.work, "engine")) //nolint:gosec,noctx // a file of this repository; it ends with close
	cmd.Stderr = io.MultiWriter(s.log, &said)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	told := make(chan [2]string, 1)
	lines := bufio.NewScanner(out)
	p, err := s.startProcess(cmd, func() {
		var both [2]string
		for i := 0; i < len(both) && lines.Scan(); i++ {
			both[i] = lines.Text()
		}
		told <- both
	})
	if err != nil {
		return nil, err
	}
	var both [2]string
	select {
	case both = <-told:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if both[1] == "" {
		<-p.ended
		return nil, fmt.Errorf("%w: %s", errNoEngine, strings.TrimSpace(said.String()))
	}
	e := &engine{host: both[0], name: both[1], listen: "127.0.0.1"}
	if net.ParseIP(e.name) != nil {
		e.listen = e.name
	}
	return e, nil
}

// sees is how containers name an address that [engine.listen] serves.
func (e *engine) sees(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err) // it comes from a listener
	}
	return net.JoinHostPort(e.name, port)
}

// How long a build and the start of the containers' server may take.
const (
	buildPatience = 5 * time.Minute
	servePatience = 2 * time.Minute
)

// architectures are AWS's names of Go's.
var architectures = map[string]string{"amd64": "x86_64", "arm64": "arm64"}

// startAPI builds the functions and serves them in containers. The channel tells that it has ended.
func (s *stack) startAPI(ctx context.Context, engine *engine, addr string) (ended <-chan struct{}, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	architecture := "Architecture=" + architectures[runtime.GOARCH]
	build := filepath.Join(s.work, "build")
	fmt.Fprintln(s.log, "building the functions")
	if err := s.sam(ctx, engine, "build", "--build-dir", build, "--parameter-overrides", architecture); err != nil {
		return nil, err
	}
	providers, err := os.ReadFile(s.providers)
	if err != nil {
		return nil, err
	}
	for _, function := range []string{"Proxy", "Management"} {
		if err := os.WriteFile(filepath.Join(build, function, "providers.yaml"), providers, 0o644); err != nil { //nolint:gosec // the functions run as another user
			return nil, err
		}
	}
	variables, err := s.writeVariables(ctx, engine)
	if err != nil {
		return nil, err
	}
	program, err := tool("sam", "sam")
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(s.log, "starting sam local start-api")
	p, err := s.startKept(samEnvironment(engine), program, "local", "start-api", "--template", filepath.Join(build, "template.yaml"), "--skip-pull-image",
		"--parameter-overrides", architecture, "--env-vars", variables, "--warm-containers", "LAZY", "--host", host, "--port", port,
		"--add-host", "host.docker.internal:host-gateway")
	if err != nil {
		return nil, err
	}
	return p.ended, p.await(ctx, "sam local start-api", servePatience, func(ctx context.Context) error { return answers(ctx, "http://"+addr+"/") })
}

// sam runs a command of SAM to its end.
func (s *stack) sam(ctx context.Context, engine *engine, args ...string) error {
	program, err := tool("sam", "sam")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, buildPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // a tool that we have installed
	cmd.Dir, cmd.Env = s.root, samEnvironment(engine)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sam %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// samEnvironment has no credentials: with some, SAM asks AWS whose they are. The functions get some of SAM's own.
func samEnvironment(engine *engine) (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	return append(env, "DOCKER_HOST="+engine.host, "GOARCH="+runtime.GOARCH, "AWS_REGION="+region, "AWS_DEFAULT_REGION="+region, "AWS_EC2_METADATA_DISABLED=true", "SAM_CLI_TELEMETRY=0")
}

// writeVariables writes the file of what each function is told in place of what the template says.
func (s *stack) writeVariables(ctx context.Context, engine *engine) (path string, err error) {
	emulator, err := s.reachable(ctx, engine, s.url)
	if err != nil {
		return "", err
	}
	dynamodb, err := s.reachable(ctx, engine, s.dynamodb)
	if err != nil {
		return "", err
	}
	values := map[string]string{"LLM_PROXY_OPERATORS_SECRET": operators, "LLM_PROXY_SEALING_PUBLIC_KEY": s.publicKey, "LLM_PROXY_DEFAULT_MAX_REQUESTS": ""}
	for _, v := range s.settings(emulator, dynamodb) {
		values[v.name] = v.value
	}
	values["LLM_PROXY_PROVIDERS"] = "providers.yaml"
	text, err := json.Marshal(map[string]any{"Parameters": values})
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.work, "variables.json")
	return path, os.WriteFile(path, text, 0o600)
}
