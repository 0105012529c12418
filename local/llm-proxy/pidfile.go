package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// runningServer is what the PID file tells of a server.
type runningServer struct {
	PID         int    `json:"pid"`
	URL         string `json:"url"`                   // origin under which this machine reaches it
	MetricsURL  string `json:"metrics_url,omitempty"` // origin of the loopback listener; empty if it is off
	Certificate string `json:"certificate,omitempty"` // fingerprint; empty without TLS
	Demo        bool   `json:"demo,omitempty"`        // it serves the built-in stand-in provider alone
	ShutdownMS  int64  `json:"shutdown_ms"`           // how long running requests may go on after a stop was asked for
}

func (r *runningServer) shutdown() time.Duration {
	return time.Duration(r.ShutdownMS) * time.Millisecond
}

// errNotRunning: no server holds the PID file.
var errNotRunning = errors.New("no server is running")

// pidFile is the file that names the running server. It is locked while its server lives, so one left behind by a kill is known as
// such. Nil is that of a server which found another one there.
type pidFile struct{ file *os.File }

// Whoever looks holds the lock for a moment too, so a server tries again before it takes another for running.
const (
	claimTries = 20
	claimPause = 10 * time.Millisecond
)

// claimPIDFile takes the file for this process; nil where another server has it: several may share one data folder.
func claimPIDFile(path string) (*pidFile, error) {
	for range claimTries {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the PID file: %w", err)
		}
		if tryLock(file) && isAt(file, path) { // else its holder has removed it since
			return &pidFile{file}, errors.Join(file.Truncate(0), file.Chmod(0o600))
		}
		_ = file.Close()
		time.Sleep(claimPause)
	}
	return nil, nil
}

// isAt reports whether file is the one that path names.
func isAt(file *os.File, path string) bool {
	mine, err := file.Stat()
	there, thereErr := os.Stat(path)
	return err == nil && thereErr == nil && os.SameFile(mine, there)
}

// announce tells that the server serves.
func (p *pidFile) announce(s runningServer) error {
	if p == nil {
		return nil
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = p.file.WriteAt(append(data, '\n'), 0)
	return err
}

// remove ends what the file tells.
func (p *pidFile) remove() error {
	if p == nil {
		return nil
	}
	err := os.Remove(p.file.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, p.file.Close())
}

// findServer reads the PID file of a server that runs.
func findServer(path string) (runningServer, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return runningServer{}, fmt.Errorf("%w: there is no %s", errNotRunning, path)
	}
	if err != nil {
		return runningServer{}, err
	}
	defer file.Close()
	if nobodyLocks(file) {
		return runningServer{}, fmt.Errorf("%w: %s was left behind by one that was killed", errNotRunning, path)
	}
	var s runningServer
	err = json.NewDecoder(file).Decode(&s)
	if errors.Is(err, io.EOF) {
		return runningServer{}, fmt.Errorf("%w yet: it is starting, %s is empty", errNotRunning, path)
	}
	if err == nil && s.PID <= 0 {
		err = errors.New("it names no process")
	}
	if err != nil {
		return runningServer{}, fmt.Errorf("%s is in use, and not as a server's PID file: %w", path, err)
	}
	return s, nil
}

// waitUntilGone waits until the process holds the PID file no more, which it gives back last.
func waitUntilGone(ctx context.Context, path string, pid int, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := findServer(path)
		if errors.Is(err, errNotRunning) || err == nil && s.PID != pid {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d still runs after %s", pid, limit)
		case <-tick.C:
		}
	}
}
