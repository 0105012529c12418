package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// runningServer is what the PID file tells. The file is locked while its server runs, so one left behind by a kill is known as such.
type runningServer struct {
	PID  int    `json:"pid"`
	URL  string `json:"url"` // origin it serves
	file *os.File
}

// errNotRunning: no server holds the PID file.
var errNotRunning = errors.New("no server is running")

// writePIDFile tells that this process serves url. It is nil where another server holds the file: several may share one database.
func writePIDFile(path, url string) (*runningServer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if !tryLock(file) {
		return nil, file.Close()
	}
	s := &runningServer{PID: os.Getpid(), URL: url, file: file}
	data, err := json.Marshal(s)
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = file.WriteAt(append(data, '\n'), 0)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// remove ends what the file tells.
func (s *runningServer) remove() error {
	if s == nil {
		return nil
	}
	return errors.Join(os.Remove(s.file.Name()), s.file.Close())
}

// findServer reads the PID file of a server that runs.
func findServer(path string) (runningServer, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return runningServer{}, fmt.Errorf("%w: there is no %s", errNotRunning, path)
	}
	if err != nil {
		return runningServer{}, err
	}
	defer file.Close()
	if tryLock(file) {
		return runningServer{}, fmt.Errorf("%w: %s was left behind by one that was killed", errNotRunning, path)
	}
	var s runningServer
	if err := json.NewDecoder(file).Decode(&s); err != nil {
		return runningServer{}, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// waitUntilGone waits until no server holds the PID file any more.
func waitUntilGone(path string, limit time.Duration) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := findServer(path); errors.Is(err, errNotRunning) {
			return nil
		}
	}
	return fmt.Errorf("the server still runs after %s", limit)
}
