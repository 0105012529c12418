package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a program under measurement, with the processes it started.
type Process struct {
	cmd     *exec.Cmd
	Started time.Duration // from exec to its first answer
}

// StartProcess runs a command and waits until a GET of the address is answered, whatever the status.
func StartProcess(ctx context.Context, cmd *exec.Cmd, addr string) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd}
	for ctx.Err() == nil && time.Since(begin) < 15*time.Second {
		if answers(addr) {
			p.Started = time.Since(begin)
			return p, nil
		}
		time.Sleep(200 * time.Microsecond)
	}
	p.Stop()
	return nil, fmt.Errorf("%s does not answer on %s", cmd.Path, addr)
}

func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // a socket just made takes one
	if _, err := conn.Write([]byte("GET /health/live HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")); err != nil {
		return false
	}
	n, err := conn.Read(make([]byte, 12))
	return err == nil && n > 0
}

// Stop ends the process and waits for it.
func (p *Process) Stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }() // how it ended is of no interest
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
}

// CPU is the processor time, user and system, that the process and its children have used, with all threads that they have or had.
func (p *Process) CPU() (time.Duration, error) {
	var total time.Duration
	for _, pid := range p.tree() {
		n, err := strconv.Atoi(pid)
		if err != nil {
			return 0, err
		}
		var used unix.Timespec
		if err := unix.ClockGettime(cpuClock(n), &used); err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", n, err)
		}
		total += time.Duration(used.Nano())
	}
	return total, nil
}

// cpuClock is the clock that counts the processor time of a process, to the nanosecond (clock_getcpuclockid(3)). What /proc tells is the same in steps of 10 ms.
func cpuClock(pid int) int32 {
	const ofProcess = 2
	return ^int32(pid)<<3 | ofProcess
}

// RSS is the resident memory of the process and its children in bytes.
func (p *Process) RSS() (int64, error) {
	var total int64
	for _, pid := range p.tree() {
		status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
		if err != nil {
			return 0, err
		}
		_, after, found := strings.Cut(string(status), "VmRSS:")
		if !found {
			continue
		}
		kb, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
		if err != nil {
			return 0, err
		}
		total += kb << 10
	}
	return total, nil
}

// tree is the process and its children.
func (p *Process) tree() []string {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	pids := []string{pid}
	children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err == nil {
		pids = append(pids, strings.Fields(string(children))...)
	}
	return pids
}
