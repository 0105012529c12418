package main

import (
	"bytes"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// terminal is a program on a terminal: what it draws, and where to type.
type terminal struct {
	t      *testing.T
	file   io.ReadWriter
	drawn  *lockedBuffer
	seen   int // of drawn when something was typed last
	stdout bytes.Buffer
	cmd    *exec.Cmd
}

// onTerminal starts the program with terminal as standard input and error; standard output is a pipe, as in TOKEN=$(llm-proxy ...).
func onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	master, slave, err := pty.Open()
	require.NoError(t, err)
	require.NoError(t, pty.Setsize(master, &pty.Winsize{Rows: 40, Cols: 100}))
	x := &terminal{t: t, file: master, drawn: &lockedBuffer{}, cmd: program(t, args...)}
	x.cmd.Stdin, x.cmd.Stderr, x.cmd.Stdout = slave, slave, &x.stdout
	x.cmd.Env = append(x.cmd.Environ(), "TERM=xterm-256color", "XDG_DATA_HOME="+t.TempDir())
	require.NoError(t, x.cmd.Start())
	require.NoError(t, slave.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(x.drawn, master) // until the program has closed the other side
	}()
	t.Cleanup(func() {
		master.Close()
		<-read
	})
	return x
}

// sees waits until the terminal has drawn something since the last keys. Only what changes is drawn.
func (x *terminal) sees(what string) {
	x.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(plainText(x.drawn.String()[x.seen:]), what); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			require.FailNow(x.t, what+" is not shown", "%q", x.drawn.String()[x.seen:])
		}
	}
}

// types sends keys once nothing more is drawn: what is seen afterwards comes of them.
func (x *terminal) types(keys string) {
	x.t.Helper()
	for quiet, drawn := 0, -1; quiet < 10; time.Sleep(30 * time.Millisecond) {
		if now := len(x.drawn.String()); now != drawn {
			quiet, drawn = 0, now
		}
		quiet++
	}
	x.seen = len(x.drawn.String())
	_, err := io.WriteString(x.file, keys)
	require.NoError(x.t, err)
}

// cursor marks the question that keys go to. Keys for the next one must wait until it has moved there.
const cursor = "┃"

var control = regexp.MustCompile("\x1b(\\[[0-9;?<>=]*[a-zA-Z]|\\][^\x07\x1b]*(\x07|\x1b\\\\)|[()][A-Z0-9]|[=>])")

// plainText is what was drawn without what moves and colours it.
func plainText(drawn string) string { return control.ReplaceAllString(drawn, "") }

func TestTheWizardAsksAndNeverShowsTheKey(t *testing.T) {
	const key = "sk-fake-Qm7ZxW4kPv2LrTy9"
	x := onTerminal(t, "setup")
	x.sees("Name of the project")
	x.types("Team Rocket\r")
	x.sees(cursor)
	x.types(key)
	x.sees("*")
	x.types("\r")
	x.sees(cursor)
	x.types("\r") // the minutes as they stand
	require.NoError(t, x.cmd.Wait(), "%s", plainText(x.drawn.String()))
	for i := range len(key) - 7 {
		require.NotContains(t, plainText(x.drawn.String()), key[i:i+8], "the key is not echoed")
	}
	printed := x.stdout.String()
	require.Regexp(t, `(?m)^export OPENAI_BASE_URL=http://127\.0\.0\.1:8080/v1$`, printed)
	require.Regexp(t, `(?m)^export OPENAI_API_KEY=sk-llmp-[A-Za-z0-9_-]{48}$`, printed)
	require.Contains(t, printed, "start:  llm-proxy server\n")
	require.NotContains(t, printed, key)
	require.NotContains(t, printed, "\x1b", "standard output is data")
}

func TestTheWizardAsksForWhatTheFlagsLeaveOpen(t *testing.T) {
	x := onTerminal(t, "setup", "--project", "Team", "--json")
	x.sees("Provider key")
	require.NotContains(t, plainText(x.drawn.String()), "Name of the project")
	x.types("\r") // nothing
	x.sees("must not be empty")
	x.types("sk-fake-0123456789\r")
	x.sees(cursor)
	x.types("\x15" + "0\r") // in place of the minutes that stand there
	x.sees("525600")
	x.types("\x15" + "60\r")
	require.NoError(t, x.cmd.Wait(), "%s", plainText(x.drawn.String()))
	require.Regexp(t, `^\{"project_id":"[0-9a-f-]{36}","token":"sk-llmp-`, x.stdout.String())
}

func TestLeavingTheWizardMakesNothing(t *testing.T) {
	x := onTerminal(t, "setup")
	x.sees("Name of the project")
	x.types("\x03")
	require.Error(t, x.cmd.Wait())
	require.Equal(t, exitRefused, x.cmd.ProcessState.ExitCode())
	x.sees("error: nothing was made")
	require.Empty(t, x.stdout.String())
}
