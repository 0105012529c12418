package lambdahost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	coreMB = 1769    // MB of memory at which Lambda gives one whole processor
	period = 100_000 // µs, in each of which a process has its share
)

// hierarchies is where the kernel shows its control groups.
const hierarchies = "/sys/fs/cgroup"

// controlGroups are how the kernel gives a process less than the machine has. Version 2 has one folder for a group, version 1 one for
// each controller.
type controlGroups struct {
	cpu, memory string // folders in which groups are made; the same one with version 2
	limits      func(memoryMB int) []limit
	counters    string // file of a group that counts what was ended for want of memory
}

// limit is a file of a group and what is written into it.
type limit struct {
	folder, file, value string
	optional            bool // not every kernel has it
}

// findControlGroups says why there are none that can be used.
func findControlGroups(root string) (*controlGroups, error) {
	offered, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c := &controlGroups{cpu: filepath.Join(root, "cpu"), memory: filepath.Join(root, "memory"), counters: "memory.oom_control"}
		c.limits = c.version1
		for _, folder := range []string{c.cpu, c.memory} {
			if _, err := os.Stat(filepath.Join(folder, "cgroup.procs")); err != nil {
				return nil, err
			}
		}
		return c, nil
	case err != nil:
		return nil, err
	}
	c := &controlGroups{cpu: root, memory: root, counters: "memory.events"}
	c.limits = c.version2
	for _, name := range []string{"cpu", "memory"} {
		if !slices.Contains(strings.Fields(string(offered)), name) {
			return nil, fmt.Errorf("%s has no controller %q", root, name)
		}
	}
	return c, write(filepath.Join(root, "cgroup.subtree_control"), "+cpu +memory")
}

// share is how long a process with so much memory may run in each period, in µs.
func share(memoryMB int) string { return strconv.Itoa(memoryMB * period / coreMB) }

func (c *controlGroups) version1(memoryMB int) []limit {
	most := strconv.Itoa(memoryMB << 20)
	return []limit{
		{folder: c.cpu, file: "cpu.cfs_period_us", value: strconv.Itoa(period)},
		{folder: c.cpu, file: "cpu.cfs_quota_us", value: share(memoryMB)},
		{folder: c.memory, file: "memory.limit_in_bytes", value: most},
		{folder: c.memory, file: "memory.memsw.limit_in_bytes", value: most, optional: true},
	}
}

func (c *controlGroups) version2(memoryMB int) []limit {
	return []limit{
		{folder: c.cpu, file: "cpu.max", value: share(memoryMB) + " " + strconv.Itoa(period)},
		{folder: c.memory, file: "memory.max", value: strconv.Itoa(memoryMB << 20)},
		{folder: c.memory, file: "memory.swap.max", value: "0", optional: true},
	}
}

// controlGroup holds one process and what it starts.
type controlGroup struct {
	folders  []string
	counters string
}

// make makes a group with the memory, and the share of a processor that goes with it.
func (c *controlGroups) make(name string, memoryMB int) (_ *controlGroup, err error) {
	g := &controlGroup{counters: filepath.Join(c.memory, name, c.counters)}
	defer func() {
		if err != nil {
			g.remove()
		}
	}()
	for _, folder := range slices.Compact([]string{c.cpu, c.memory}) {
		folder = filepath.Join(folder, name)
		if err := os.Mkdir(folder, 0o750); err != nil { //nolint:gosec // the name is ours
			return nil, err
		}
		g.folders = append(g.folders, folder)
	}
	for _, l := range c.limits(memoryMB) {
		err := write(filepath.Join(l.folder, name, l.file), l.value)
		if err != nil && !(l.optional && errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
	}
	return g, nil
}

// write writes into a file that the kernel has made.
func write(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0) //nolint:gosec // the name is ours
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// enter lets a command's process go into the group before it becomes the program, so that INIT has no more either.
func (g *controlGroup) enter(cmd *exec.Cmd) {
	const script = `for group; do echo $$ >"$group/cgroup.procs" || exit; done; exec "$0"`
	cmd.Args = append([]string{"/bin/sh", "-c", script, cmd.Path}, g.folders...)
	cmd.Path = cmd.Args[0]
}

// exhausted reports whether something in the group was ended because no memory was left.
func (g *controlGroup) exhausted() bool {
	if g == nil {
		return false
	}
	counters, err := os.ReadFile(g.counters)
	if err != nil {
		return false // it is a word in a message, and the process has ended either way
	}
	for line := range strings.Lines(string(counters)) {
		if name, count, _ := strings.Cut(strings.TrimSpace(line), " "); name == "oom_kill" {
			return count != "0"
		}
	}
	return false
}

// remove takes the group away when its last process has ended, which the kernel may notice a moment later.
func (g *controlGroup) remove() {
	if g == nil {
		return
	}
	for _, folder := range g.folders {
		for range 100 {
			if err := os.Remove(folder); err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}
