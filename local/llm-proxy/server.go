package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newServerCommand() *cobra.Command {
	server := &cobra.Command{
		Use:   "server",
		Short: "Run the proxy on this machine",
		Long: `Runs the proxy over a SQLite database. With --demo it needs no key and no
account: a stand-in provider is built in, a project and a token are made at the
first start and kept for the next ones.

Standard output has what to paste, standard error the log.`,
		Example: `llm-proxy server --demo
llm-proxy server --addr 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
llm-proxy server -d && llm-proxy server health && llm-proxy server stop`,
		Args: noArgs,
		RunE: startServer,
	}
	start := &cobra.Command{Use: "start", Short: "Run the proxy (the same as server alone)", Args: noArgs, RunE: startServer}
	for _, cmd := range []*cobra.Command{server, start} {
		addSettings(cmd)
		cmd.Flags().Bool("demo", false, "run with the built-in stand-in provider")
		cmd.Flags().BoolP("daemon", "d", false, "run in the background; the log goes to server.log in the data folder")
	}
	stop := &cobra.Command{
		Use: "stop", Short: "Stop the running server; requests under way may end first", Args: noArgs, RunE: stopServer,
	}
	health := &cobra.Command{
		Use: "health", Short: "Ask the running server how it is", Args: noArgs, RunE: serverHealth,
		Long: "Asks the running server how it is and prints its answer. The exit code is 0 if it is well, 1 if it is degraded, 4 if it does not answer.",
	}
	for _, cmd := range []*cobra.Command{stop, health} {
		addSettings(cmd, "data-dir", "db", "pid-file", "shutdown-timeout")
	}
	server.AddCommand(start, stop, health)
	return server
}

func startServer(cmd *cobra.Command, _ []string) error {
	s, err := loadSettings(cmd)
	if err != nil {
		return err
	}
	demo, err := cmd.Flags().GetBool("demo")
	if err != nil {
		return err
	}
	daemon, err := cmd.Flags().GetBool("daemon")
	if err != nil {
		return err
	}
	if demo && s.Providers != "" {
		return usageError("--demo brings its own provider: leave --providers out, or run without --demo")
	}
	if daemon {
		return startDaemon(cmd, &s)
	}
	return serve(cmd.Context(), &s, demo, cmd.OutOrStdout(), cmd.ErrOrStderr())
}

// daemonEnv marks the process that startDaemon has started.
const daemonEnv = "LLM_PROXY_DAEMON"

// startDaemon runs this command again, without its terminal, and returns when that process serves.
func startDaemon(cmd *cobra.Command, s *settings) error {
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	logPath := s.LogFile
	if logPath == "" {
		logPath = filepath.Join(s.DataDir, "server.log")
	}
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	begin, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool { return a == "-d" || strings.HasPrefix(a, "--daemon") })
	child := exec.Command(self, args...) //nolint:gosec,noctx // itself; it is to outlive this process
	child.Env = append(os.Environ(), daemonEnv+"=1")
	child.Stderr = logFile
	child.SysProcAttr = detached()
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	printed, err := io.Copy(cmd.OutOrStdout(), out) // until the child serves and closes it, or ends
	if err != nil {
		return err
	}
	if printed == 0 {
		err := child.Wait()
		return fmt.Errorf("the server did not start (%w):\n%s", err, tail(logFile, begin))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "running in the background as process %d, log in %s\n", child.Process.Pid, logPath)
	return child.Process.Release()
}

// tail is what a log has from an offset on.
func tail(file *os.File, from int64) string {
	data := make([]byte, 8<<10)
	n, err := file.ReadAt(data, from)
	if err != nil && err != io.EOF {
		return err.Error()
	}
	return strings.TrimSpace(string(data[:n]))
}

func stopServer(cmd *cobra.Command, _ []string) error {
	s, err := loadSettings(cmd)
	if err != nil {
		return err
	}
	running, err := findServer(s.PIDFile)
	if errors.Is(err, errNotRunning) {
		return &exitError{exitUnreachable, err}
	}
	if err != nil {
		return err
	}
	if err := terminate(running.PID); err != nil {
		return fmt.Errorf("stop process %d: %w", running.PID, err)
	}
	if err := waitUntilGone(s.PIDFile, s.Shutdown+10*time.Second); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "stopped process %d\n", running.PID)
	return nil
}

// healthTimeout is how long a server may take to say how it is.
const healthTimeout = 5 * time.Second

func serverHealth(cmd *cobra.Command, _ []string) error {
	s, err := loadSettings(cmd)
	if err != nil {
		return err
	}
	running, err := findServer(s.PIDFile)
	if errors.Is(err, errNotRunning) {
		return &exitError{exitUnreachable, err}
	}
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, running.URL+"/health", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: healthTimeout}
	res, err := client.Do(req)
	if err != nil {
		return &exitError{exitUnreachable, err}
	}
	defer res.Body.Close()
	var h health
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("%s/health answered %s, which is not ours: %w", running.URL, res.Status, err)}
	}
	if err := json.NewEncoder(cmd.OutOrStdout()).Encode(h); err != nil {
		return err
	}
	if h.Status != healthOK {
		return fmt.Errorf("the server is %s: %s", h.Status, strings.Join(h.Reasons, "; "))
	}
	return nil
}
