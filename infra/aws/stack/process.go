//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// keeper runs a program until its own standard input ends, also because the process that holds the other side was killed.
const keeper = `exec 3<&0
"$@" </dev/null 3<&- &
cat <&3 >/dev/null &
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
wait -n`

// process is a program that ends with us.
type process struct {
	alive io.Closer     // its end is the program's
	ended chan struct{} // closed when it has gone
}

// stopPatience is how long a program may take to end when it is asked to.
const stopPatience = 3 * time.Minute

// startKept starts a program that knows nothing of us, with an environment of its own.
func (s *stack) startKept(env []string, name string, args ...string) (*process, error) {
	cmd := exec.Command("bash", append([]string{"-c", keeper, filepath.Base(name), name}, args...)...) //nolint:gosec,noctx // a tool of ours; it ends with close
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.root, env, s.log, s.log
	return s.startProcess(cmd)
}

// startProcess starts a command that ends when its standard input does. What reads its output from a pipe is done before it is waited for.
func (s *stack) startProcess(cmd *exec.Cmd, read ...func()) (*process, error) {
	cmd.WaitDelay = stopPatience                          // for those who hold its output beyond its end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who end it in order
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{alive: alive, ended: make(chan struct{})}
	go func() {
		for _, f := range read {
			f()
		}
		_ = cmd.Wait() // how it ended is told by what it printed
		close(p.ended)
	}()
	s.onClose(func() error {
		_ = p.alive.Close() // it may have ended already
		select {
		case <-p.ended:
			return nil
		case <-time.After(stopPatience):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its children: its group is its own
			<-p.ended
			return fmt.Errorf("%s did not end by itself", filepath.Base(cmd.Path))
		}
	})
	return p, nil
}

// await tries until it succeeds, or the process has ended.
func (p *process) await(ctx context.Context, what string, patience time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it took too long"))
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		case <-p.ended:
			return fmt.Errorf("%s has ended: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tool is the folder of a program that infra/aws/tools/install.sh has installed.
func tool(environment, name string) (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, ".cache")
	}
	path := filepath.Join(cache, "llm-proxy", "aws", environment, "bin", name)
	if _, err := os.Stat(path); err != nil { //nolint:gosec // in the cache folder of whoever runs us
		return "", fmt.Errorf("%s is not installed: infra/aws/tools/install.sh %s does it", name, environment)
	}
	return path, nil
}

// freePort is one of this machine's that nobody listens on at the moment.
func freePort(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}
