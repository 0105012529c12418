package dispatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

// disk is what a folder holds.
type disk map[string][]byte

func diskOf(t *testing.T, dir string) disk {
	t.Helper()
	d := disk{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		d[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
	}
	return d
}

// restore makes the folder hold that, older names first in time.
func (d disk) restore(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.Mkdir(dir, 0o700))
	for _, name := range slices.Sorted(maps.Keys(d)) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), d[name], 0o600))
	}
}

// moment is what outlives a kill: the cursor with its note, and the disk.
type moment struct {
	cursor int
	note   []byte
	disk   disk
}

// history runs a loop to its end and returns the moments of its commits, beginning before the first.
func history(t *testing.T, dir string, events []*llmproxy.Event, cfg FileConfig, batch int) []moment {
	t.Helper()
	moments := []moment{{disk: disk{}}}
	synctest.Test(t, func(t *testing.T) {
		src := newSource(events...)
		src.onCommit = func() {
			moments = append(moments, moment{src.cursor, src.note, diskOf(t, dir)})
		}
		f, err := NewFile(cfg)
		require.NoError(t, err)
		r := run(t, Config{Source: src, Destination: f, BatchSize: batch})
		synctest.Wait()
		require.NoError(t, r.stop())
	})
	require.Equal(t, len(events), moments[len(moments)-1].cursor)
	return moments
}

// resume starts a new process at a moment, lets it finish, and checks that every event stands in the logs once, in whole lines.
func resume(t *testing.T, at moment, dir string, events []*llmproxy.Event, cfg FileConfig, batch int, when string) {
	t.Helper()
	at.disk.restore(t, dir)
	synctest.Test(t, func(t *testing.T) {
		src := newSource(events...)
		src.cursor, src.read, src.note = at.cursor, at.cursor, at.note
		f, err := NewFile(cfg)
		require.NoError(t, err)
		r := run(t, Config{Source: src, Destination: f, BatchSize: batch})
		synctest.Wait()
		require.NoError(t, r.stop())
		require.Equal(t, len(events), src.committed(), when)
	})
	require.ElementsMatch(t, idsOf(events), loggedIDs(t, cfg.Path), when)
}

func TestAKillAtAnyByteRepeatsNoLineAndTearsNone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	require.NoError(t, os.Mkdir(dir, 0o700))
	cfg := FileConfig{Path: filepath.Join(dir, "events.jsonl")}
	events := requests(7)
	moments := history(t, dir, events, cfg, 3)
	require.Len(t, moments, 4)
	for i, before := range moments[:len(moments)-1] {
		written := moments[i+1].disk["events.jsonl"]
		for length := len(before.disk["events.jsonl"]); length <= len(written); length += 13 {
			at := moment{before.cursor, before.note, disk{"events.jsonl": written[:length]}}
			resume(t, at, dir, events, cfg, 3, fmt.Sprintf("killed in batch %d with %d bytes in the file", i, length))
		}
		for _, batch := range []int{1, 2, 100} { // the new process reads other batches
			at := moment{before.cursor, before.note, disk{"events.jsonl": written}}
			resume(t, at, dir, events, cfg, batch, fmt.Sprintf("killed before commit %d, then batches of %d", i, batch))
		}
	}
}

func TestAPowerCutLeavesZerosThatAreCutOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	require.NoError(t, os.Mkdir(dir, 0o700))
	cfg := FileConfig{Path: filepath.Join(dir, "events.jsonl")}
	events := requests(4)
	moments := history(t, dir, events, cfg, 2)
	written := moments[2].disk["events.jsonl"]
	from := len(moments[1].disk["events.jsonl"])
	for _, length := range []int{from, from + 1, from + 8, from + 40, from + 400} {
		torn := append(slices.Clone(written[:length]), make([]byte, 5000)...)
		resume(t, moment{moments[1].cursor, moments[1].note, disk{"events.jsonl": torn}}, dir, events, cfg, 2, fmt.Sprintf("zeros from %d on", length))
	}
}

func TestAKillAroundARotationRepeatsNoLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	require.NoError(t, os.Mkdir(dir, 0o700))
	cfg := FileConfig{Path: filepath.Join(dir, "events.jsonl"), MaxBytes: 1000}
	events := requests(8)
	moments := history(t, dir, events, cfg, 2)
	rotations := 0
	for i, before := range moments[:len(moments)-1] {
		after := moments[i+1]
		var renamed string
		for name := range after.disk {
			if _, known := before.disk[name]; !known && name != "events.jsonl" {
				renamed = name
			}
		}
		if renamed == "" {
			continue
		}
		rotations++
		step := func(when string, change func(disk)) {
			d := maps.Clone(before.disk)
			change(d)
			resume(t, moment{before.cursor, before.note, d}, dir, events, cfg, 2, fmt.Sprintf("rotation %d: %s", rotations, when))
		}
		step("before the rename", func(disk) {})
		step("after the rename", func(d disk) {
			d[renamed] = d["events.jsonl"]
			delete(d, "events.jsonl")
		})
		written := after.disk["events.jsonl"]
		for length := 0; length <= len(written); length += 29 {
			step(fmt.Sprintf("with %d bytes in the new file", length), func(d disk) {
				d[renamed], d["events.jsonl"] = d["events.jsonl"], written[:length]
			})
		}
		step("before the commit", func(d disk) {
			clear(d)
			maps.Copy(d, after.disk)
		})
	}
	require.GreaterOrEqual(t, rotations, 2)
}

func TestAKillAfterTheLogWasRenamedUnderUsRepeatsNoLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	require.NoError(t, os.Mkdir(dir, 0o700))
	cfg := FileConfig{Path: filepath.Join(dir, "events.jsonl")}
	events := requests(4)
	moments := history(t, dir, events, cfg, 2)
	before, after := moments[1], moments[2]
	gz := append([]byte("\x1f\x8b"), strings.Repeat("\x00", 100)...)
	for _, name := range []string{"events.jsonl.1", "events-20261122.jsonl"} {
		at := moment{before.cursor, before.note, disk{name: after.disk["events.jsonl"]}}
		resume(t, at, dir, events, cfg, 2, "the uncommitted lines stand in "+name)
	}

	disk{"events.jsonl.1": after.disk["events.jsonl"], "events.jsonl.2.gz": gz, "unrelated": nil}.restore(t, dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "events.d"), 0o700))
	f, err := NewFile(cfg)
	require.NoError(t, err)
	var note loopNote
	require.NoError(t, json.Unmarshal(before.note, &note))
	require.NoError(t, f.Start(t.Context(), note.Destination))
	deliver(t, f, events[2:]...)
	require.Empty(t, lines(t, cfg.Path), "they stand in the renamed file, among neighbours that are none of ours")
	require.NoError(t, f.Close())
}

// TestAProcessThatCommitsLessThanTheOneBeforeWroteLeavesTheRestRecognizable: one process is killed with a hundred lines written and none
// committed, the next reads smaller batches and is killed between them.
func TestAProcessThatCommitsLessThanTheOneBeforeWroteLeavesTheRestRecognizable(t *testing.T) {
	for name, note := range map[string]bool{"at the first start": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			path, events := filepath.Join(t.TempDir(), "events.jsonl"), requests(110)
			start := func(note []byte) *File {
				f, err := NewFile(FileConfig{Path: path, MaxBytes: 20_000}) // it is rotated on the way
				require.NoError(t, err)
				require.NoError(t, f.Start(t.Context(), note))
				return f
			}
			write := func(f *File, from, to int) []byte {
				require.Equal(t, make([]Result, to-from), f.Deliver(t.Context(), events[from:to]))
				return f.Note()
			}
			var kept []byte
			if note {
				f := start(nil)
				kept = write(f, 0, 10)
				require.NoError(t, f.Close())
			}
			done := 0
			if note {
				done = 10
			}
			first := start(kept)
			write(first, done, 100)
			require.NoError(t, first.Close())
			for ; done < 100; done += 30 { // each process commits thirty, and is killed
				f := start(kept)
				kept = write(f, done, min(done+30, 110))
				require.NoError(t, f.Close())
			}
			require.NoError(t, start(kept).Close())
			ids := loggedIDs(t, path)
			require.Equal(t, idsOf(events[:len(ids)]), ids, "each event has one line, in order")
			require.GreaterOrEqual(t, len(ids), 100)
		})
	}
}
