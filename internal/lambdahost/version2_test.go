//go:build linux

package lambdahost_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// init2 is the first process of a machine that has this machine's files, and version 2 of control groups.
const init2 = `#!/bin/sh
mount -t proc proc /proc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /tmp
/bin/busybox ifconfig lo 127.0.0.1 up || ip link set lo up || ifconfig lo 127.0.0.1 up
cd "$FOLDER"
TMPDIR=/tmp ./tests -test.v -test.run 'TestAProcess(HasTheShare|ThatTakesMore)|TestNothingIsLimited'
echo "ended: $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
`

// TestLimitsHoldUnderVersion2: where this machine has version 1 of control groups, the tests of limits run once more on a kernel with version 2,
// which Debian has as a program that needs no rights.
func TestLimitsHoldUnderVersion2(t *testing.T) {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); !errors.Is(err, fs.ErrNotExist) {
		t.Skip("SKIPPED: this machine has version 2 itself, so the other tests run on that")
	}
	kernel, err := exec.LookPath("linux.uml")
	if err != nil {
		t.Skip("SKIPPED: this machine has version 1 of control groups, and no kernel to run beside its own (apt-get install user-mode-linux)")
	}
	if strings.HasPrefix(os.TempDir(), "/dev/shm") {
		t.Skip("SKIPPED: the other kernel does not see files in /dev/shm")
	}
	// Not below /tmp, which the tests have for themselves there.
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(cache, 0o755))
	dir, err := os.MkdirTemp(cache, "llm-proxy-version2-") //nolint:usetesting // as above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })

	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(dir, "tests"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // that kernel has no room for the race detector
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	copied, err := os.ReadFile(toy)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "toy"), copied, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "init"), []byte(init2), 0o755))

	said := filepath.Join(dir, "said")
	machine := exec.Command(kernel, "mem=1G", "rootfstype=hostfs", "rw", "quiet", "uml_dir="+dir+"/", "con=null", "con0=null,fd:1", "init="+filepath.Join(dir, "init"),
		"FOLDER="+dir, builtToy+"="+filepath.Join(dir, "toy"), "PATH="+os.Getenv("PATH"))
	console, err := os.Create(said)
	require.NoError(t, err)
	defer console.Close()
	machine.Stdout, machine.Stderr, machine.SysProcAttr = console, console, &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, machine.Start())
	ended := make(chan error, 1)
	go func() { ended <- machine.Wait() }()
	select {
	case err = <-ended:
	case <-time.After(8 * time.Minute): // it goes at a share of a processor that the rest of the machine may have for itself
		err = errors.Join(errors.New("it has not ended"), syscall.Kill(-machine.Process.Pid, syscall.SIGKILL), <-ended)
	}
	text, readErr := os.ReadFile(said)
	require.NoError(t, readErr)
	require.NoError(t, err, "%s", text)
	require.Contains(t, string(text), "ended: 0", "%s", text)
	for _, name := range []string{
		"TestAProcessHasTheShareOfAProcessorThatBelongsToItsMemory", "TestAProcessThatTakesMoreMemoryThanItHasIsEnded", "TestNothingIsLimitedWhereNobodyAsked",
	} {
		require.Contains(t, string(text), "--- PASS: "+name, "%s", text)
	}
}
