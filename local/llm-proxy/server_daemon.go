package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// A server in the background is this program again with the same arguments, without its terminal, marked by daemonEnv. It sends what
// is to be printed through starterFD once it serves, and closes that; whoever started it waits for that, or for its end.
const (
	daemonEnv = "LLM_PROXY_DAEMON"
	starterFD = 3
)

// isDaemon reports whether this process was started by startDaemon.
func isDaemon() bool { return os.Getenv(daemonEnv) != "" }

// tellStarter hands the process that started this one what to print, and lets it go.
func tellStarter(text string) error {
	starter := os.NewFile(starterFD, "starter")
	_, err := io.WriteString(starter, text)
	if err = errors.Join(err, starter.Close()); errors.Is(err, syscall.EPIPE) {
		return nil // it has left; the server is to stay
	}
	return err
}

// daemonLog is where a server in the background writes its log unless told otherwise.
func (s *settings) daemonLog() string { return filepath.Join(s.DataDir, "server.log") }

// startDaemon runs this command again in the background and returns when that process serves. One that does not come up is an error
// with its reason and its exit code.
func startDaemon(cmd *cobra.Command, s *settings) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// What a process says when it fails or panics goes beside the log, since the log is rotated.
	stderr, err := os.OpenFile(filepath.Join(s.DataDir, "server.err"), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer stderr.Close()
	fromChild, toStarter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer fromChild.Close()
	child := exec.Command(self, os.Args[1:]...) //nolint:gosec,noctx // itself; it is to outlive this process
	child.Env = append(os.Environ(), daemonEnv+"=1")
	child.Stderr = stderr
	child.ExtraFiles = []*os.File{toStarter} // becomes starterFD
	child.SysProcAttr = detached()
	if err := errors.Join(child.Start(), toStarter.Close()); err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	defer context.AfterFunc(cmd.Context(), func() { _ = terminate(child.Process.Pid) })() // who is interrupted while waiting wants no server

	var told bytes.Buffer
	if _, err := io.Copy(&told, fromChild); err != nil {
		return err
	}
	if told.Len() == 0 {
		return startFailure(child.Wait(), stderr)
	}
	if _, err := told.WriteTo(cmd.OutOrStdout()); err != nil {
		return err
	}
	logFile := s.LogFile
	if logFile == "" {
		logFile = s.daemonLog()
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "runs in the background as process %d, its log is %s\n", child.Process.Pid, logFile)
	return child.Process.Release()
}

// anotherRuns says why a server does not go to the background beside another one of its data folder: nothing would name it, so nobody
// could stop it, and both would write one log.
func anotherRuns(s *settings) error {
	who := ""
	if running, err := findServer(s.PIDFile); err == nil {
		who = fmt.Sprintf(", as process %d", running.PID)
	}
	return fmt.Errorf("another server runs with this data folder%s, and server stop speaks to that one. Stop it first, or give this one files of its own: --pid-file FILE --log-file FILE", who)
}

// startFailure says why a server in the background has not come up.
func startFailure(ended error, stderr *os.File) error {
	said, err := io.ReadAll(io.NewSectionReader(stderr, 0, 16<<10))
	if err != nil {
		return err
	}
	reason, code := strings.TrimPrefix(strings.TrimSpace(string(said)), errorPrefix), exitFailed
	var exit *exec.ExitError
	if errors.As(ended, &exit) && exit.ExitCode() > 0 {
		code = exit.ExitCode()
		reason = strings.TrimSpace(strings.TrimSuffix(reason, seeHelp))
	}
	if reason == "" {
		reason = fmt.Sprintf("its process ended without a word (%v)", ended)
	}
	return &exitError{code, fmt.Errorf("the server did not start: %s", reason)}
}
