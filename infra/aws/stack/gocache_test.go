//go:build unix

package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Settings with which this program is a cache of the go command's: the folder into which it copies what is asked for, and the one that has it.
const (
	seedDir  = "LLM_PROXY_TEST_SEED"
	cacheDir = "LLM_PROXY_TEST_GOCACHE"
)

func TestMain(m *testing.M) {
	if into := os.Getenv(seedDir); into != "" {
		if err := serveGoCache(os.Getenv(cacheDir), into, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveGoCache is the go command's cache (see `go help goproxyprog` and cmd/go/internal/cacheprog): it answers from one folder of a cache and
// leaves in another what a build needed of it, laid out alike. It takes nothing new.
func serveGoCache(from, into string, in io.Reader, out io.Writer) error {
	answers := json.NewEncoder(out)
	type answer struct {
		ID            int64      `json:",omitempty"`
		KnownCommands []string   `json:",omitempty"`
		Miss          bool       `json:",omitempty"`
		OutputID      []byte     `json:",omitempty"`
		Size          int64      `json:",omitempty"`
		Time          *time.Time `json:",omitempty"`
		DiskPath      string     `json:",omitempty"`
	}
	if err := answers.Encode(answer{KnownCommands: []string{"get", "close"}}); err != nil {
		return err
	}
	for questions := json.NewDecoder(bufio.NewReader(in)); ; {
		var q struct {
			ID       int64
			Command  string
			ActionID []byte
		}
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a := answer{ID: q.ID}
		if q.Command == "get" {
			output, at, err := copyEntry(from, into, hex.EncodeToString(q.ActionID))
			if err != nil {
				a.Miss = true
			} else {
				a.OutputID, _ = hex.DecodeString(filepath.Base(strings.TrimSuffix(output, "-d"))) // copyEntry has found the file by it
				a.DiskPath, a.Time = output, &at
				if info, err := os.Stat(output); err == nil {
					a.Size = info.Size()
				}
			}
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// copyEntry copies an action and what came of it, and returns where that is.
func copyEntry(from, into, action string) (output string, at time.Time, err error) {
	entry, err := os.ReadFile(filepath.Join(from, action[:2], action+"-a"))
	if err != nil {
		return "", at, err
	}
	fields := strings.Fields(string(entry)) // v1, action, output, size, time
	if len(fields) != 5 || len(fields[2]) < 2 {
		return "", at, fmt.Errorf("the entry of %s is %q", action, entry)
	}
	var nanoseconds int64
	if _, err := fmt.Sscan(fields[4], &nanoseconds); err != nil {
		return "", at, err
	}
	name := filepath.Join(fields[2][:2], fields[2]+"-d")
	content, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		return "", at, err
	}
	for path, text := range map[string][]byte{name: content, filepath.Join(action[:2], action+"-a"): entry} {
		path = filepath.Join(into, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
			return "", at, err
		}
	}
	return filepath.Join(from, name), time.Unix(0, nanoseconds), nil
}

// goEnv is what the go command says of its settings.
func goEnv(t *testing.T, names ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
