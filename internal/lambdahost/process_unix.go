//go:build unix

package lambdahost

import (
	"os"
	"os/exec"
	"syscall"
)

func supported() error { return nil }

// ownGroup gives the process a group, so that signals reach what it starts too. Should the host die, the kernel wakes the frozen
// members of the group with SIGHUP, which ends them.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// Signals to a group whose last process has just ended fail, and need not reach anybody.

func freeze(p *os.Process)    { _ = syscall.Kill(-p.Pid, syscall.SIGSTOP) }
func thaw(p *os.Process)      { _ = syscall.Kill(-p.Pid, syscall.SIGCONT) }
func terminate(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGTERM) }
func kill(p *os.Process)      { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
