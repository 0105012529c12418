package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts and tests run the program as llm-proxy.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"llm-proxy": main})
}

// TestScripts run the program as a person does. Beside the commands of testscript there are:
//
//	code N program args...       runs a program that ends with this exit code; its input is what stdin set
//	fetch STATUS METHOD URL [header]...   asks over HTTP; the answer's body is stdout
//	capture NAME 'regexp'        sets a variable to the first group found in stdout
//	lines MAX                    stdout has no more lines
//	mode FILE 0600               a file's mode
//	await FILE 'regexp'          waits until a file has it
//	killserver FILE              kills the server that a PID file names
//	json PATH VALUE              stdout is JSON that has a value there, such as json 0.name Demo
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "share"))
			env.Setenv("LLM_PROXY_ADDR", "127.0.0.1:0")
			env.Setenv("LLM_PROXY_METRICS_ADDR", "127.0.0.1:0")
			env.Defer(func() { stopServers(env.WorkDir) })
			return writeCertificate(env.WorkDir)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":       scriptCode,
			"fetch":      scriptFetch,
			"capture":    scriptCapture,
			"lines":      scriptLines,
			"mode":       scriptMode,
			"await":      scriptAwait,
			"killserver": scriptKillServer,
			"json":       scriptJSON,
		},
	})
}

// scriptPatience is how long a script waits for anything.
const scriptPatience = 30 * time.Second

// stopServers ends the servers in the background that a script has left.
func stopServers(dir string) {
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".pid" {
			return nil //nolint:nilerr // what is gone needs no stopping
		}
		if s, err := findServer(path); err == nil {
			_ = terminate(s.PID)
			_ = waitUntilGone(context.Background(), path, s.PID, scriptPatience)
		}
		return nil
	})
}

func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[1], args[2:]...)
	cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"PATH", "HOME", "XDG_DATA_HOME", "LLM_PROXY_ADDR", "LLM_PROXY_METRICS_ADDR", "MANAGEMENT_TOKEN", "ADMIN_USER", "ADMIN_PASSWORD", "LLM_PROXY_PROVIDERS", "LLM_PROXY_DATA_DIR", "LLM_PROXY_MANAGE_API_BASE_URL", "LLM_PROXY_MANAGEMENT_TOKEN_FILE"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	_, _ = ts.Stdout().Write(stdout.Bytes())
	_, _ = ts.Stderr().Write(stderr.Bytes())
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, wanted %s\nstdout:\n%s\nstderr:\n%s", got, args[0], &stdout, &stderr)
	}
}

func scriptFetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: fetch STATUS METHOD URL [header]...")
	}
	req, err := http.NewRequestWithContext(context.Background(), args[1], args[2], nil)
	ts.Check(err)
	for _, header := range args[3:] {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	client := &http.Client{Timeout: scriptPatience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	_, _ = ts.Stdout().Write(body)
	if strconv.Itoa(res.StatusCode) != args[0] {
		ts.Fatalf("%s %s answered %s, wanted %s: %s", args[1], args[2], res.Status, args[0], body)
	}
}

func scriptCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME 'regexp'")
	}
	found := regexp.MustCompile(`(?m)` + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("stdout has nothing like %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

func scriptLines(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := strconv.Atoi(args[0])
	ts.Check(err)
	if n := strings.Count(ts.ReadFile("stdout"), "\n"); neg || n > limit {
		ts.Fatalf("stdout has %d lines", n)
	}
}

func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); neg || got != args[1] {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	wanted := regexp.MustCompile(args[1])
	for end := time.Now().Add(scriptPatience); ; time.Sleep(20 * time.Millisecond) {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && wanted.Match(data) {
			return
		}
		if neg || time.Now().After(end) {
			ts.Fatalf("%s does not get %s: %s %v", args[0], args[1], data, err)
		}
	}
}

func scriptKillServer(ts *testscript.TestScript, neg bool, args []string) {
	server, err := findServer(ts.MkAbs(args[0]))
	ts.Check(err)
	process, err := os.FindProcess(server.PID)
	ts.Check(err)
	ts.Check(process.Kill())
	for end := time.Now().Add(scriptPatience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := findServer(ts.MkAbs(args[0])); errors.Is(err, errNotRunning) {
			return
		}
		if neg || time.Now().After(end) {
			ts.Fatalf("process %d does not end", server.PID)
		}
	}
}

// program is the built program with its arguments, which the test's end ends.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptPatience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, "llm-proxy", args...)
}
