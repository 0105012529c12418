package lambdahost

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// kernel makes files as a kernel has them.
func kernel(t *testing.T, root string, files ...string) {
	t.Helper()
	for _, name := range files {
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), nil, 0o600))
	}
}

// Each machine has one version. What the other would be told is seen in a folder that looks like it: the kernel makes the files of a
// group, so they are there before. That limits hold is seen on kernels.
func TestBothVersionsOfControlGroupsAreToldTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		files  []string
		offers string
		want   map[string]string
	}{
		"version 1": {
			files: []string{"cpu/cgroup.procs", "memory/cgroup.procs"},
			want: map[string]string{
				"cpu/g/cpu.cfs_period_us": "100000", "cpu/g/cpu.cfs_quota_us": "28942", "memory/g/memory.limit_in_bytes": "536870912", "memory/g/memory.memsw.limit_in_bytes": "536870912",
			},
		},
		"version 2": {
			files: []string{"cgroup.subtree_control"}, offers: "cpuset cpu io memory pids\n",
			want: map[string]string{"cgroup.subtree_control": "+cpu +memory", "g/cpu.max": "28942 100000", "g/memory.max": "536870912", "g/memory.swap.max": "0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			kernel(t, root, c.files...)
			if c.offers != "" {
				require.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.controllers"), []byte(c.offers), 0o600))
			}
			groups, err := findControlGroups(root)
			require.NoError(t, err)
			for file := range c.want {
				if file != "cgroup.subtree_control" {
					kernel(t, root, file)
				}
			}
			for _, l := range groups.limits(512) {
				require.NoError(t, write(filepath.Join(l.folder, "g", l.file), l.value))
			}
			for file, value := range c.want {
				got, err := os.ReadFile(filepath.Join(root, file))
				require.NoError(t, err)
				require.Equal(t, value, string(got), file)
			}
			_, err = groups.make("g", 512)
			require.ErrorIs(t, err, fs.ErrExist, "a group of another process is not taken over")
			require.DirExists(t, filepath.Join(groups.cpu, "g"))
		})
	}
}

func TestWhereControlGroupsCannotBeUsedTheReasonIsTold(t *testing.T) {
	_, err := findControlGroups(t.TempDir())
	require.ErrorIs(t, err, fs.ErrNotExist)
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.controllers"), []byte("cpuset io\n"), 0o600))
	_, err = findControlGroups(root)
	require.ErrorContains(t, err, `has no controller "cpu"`)
	require.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.controllers"), []byte("cpu memory\n"), 0o600))
	_, err = findControlGroups(root)
	require.ErrorIs(t, err, fs.ErrNotExist, "the control file is missing")
}

func TestAGroupThatCannotHaveItsLimitsIsTakenAwayAgain(t *testing.T) {
	root := t.TempDir()
	kernel(t, root, "cgroup.subtree_control")
	require.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.controllers"), []byte("cpu memory\n"), 0o600))
	groups, err := findControlGroups(root)
	require.NoError(t, err)
	_, err = groups.make("g", 512) // no kernel makes its files
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoDirExists(t, filepath.Join(root, "g"))
}

func TestWhatWasEndedForWantOfMemoryIsCounted(t *testing.T) {
	root := t.TempDir()
	for content, want := range map[string]bool{
		"low 0\nmax 7\noom 1\noom_kill 1\n": true, "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n": false, "": false,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(root, "counters"), []byte(content), 0o600))
		require.Equal(t, want, (&controlGroup{counters: filepath.Join(root, "counters")}).exhausted(), content)
	}
	require.False(t, (&controlGroup{counters: filepath.Join(root, "none")}).exhausted())
	require.False(t, (*controlGroup)(nil).exhausted())
	(*controlGroup)(nil).remove()
}
