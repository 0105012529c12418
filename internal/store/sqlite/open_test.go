package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// openEnv names the database that this process is to open in the place of tests.
const openEnv = "LLM_PROXY_TEST_OPEN"

func TestMain(m *testing.M) {
	path := os.Getenv(openEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until all are
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestProcessesThatOpenANewDatabaseAtOnceAllGetIt(t *testing.T) {
	for range 3 {
		path := filepath.Join(t.TempDir(), "new.db")
		gate, open, err := os.Pipe()
		require.NoError(t, err)
		openers := make([]*opener, 6)
		for i := range openers {
			openers[i] = startOpener(t, path, gate)
		}
		require.NoError(t, open.Close())
		for _, o := range openers {
			require.NoError(t, o.cmd.Wait(), "%s", &o.said)
		}
	}
}

// opener is a process that opens a database when its standard input ends.
type opener struct {
	cmd  *exec.Cmd
	said bytes.Buffer
}

func startOpener(t *testing.T, path string, gate *os.File) *opener {
	t.Helper()
	o := &opener{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	o.cmd.Env = append(os.Environ(), openEnv+"="+path)
	o.cmd.Stdin, o.cmd.Stderr = gate, &o.said
	out, err := o.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, o.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return o
}
