package spool_test

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

func deadline(t *rapid.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// written is a folder as a killed process leaves it, and where in its one segment each event ends.
func written(t *testing.T, n int) (dir string, data []byte, want []llmproxy.EventID, ends []int) {
	t.Helper()
	live, dir := t.TempDir(), t.TempDir()
	s := open(t, spool.Config{Dir: live})
	for range n {
		want = append(want, request(s))
		ends = append(ends, int(s.Stats().Written))
	}
	snapshot(t, live, dir)
	data, err := os.ReadFile(oneFile(t, dir, ".open"))
	require.NoError(t, err)
	return dir, data, want, ends
}

func TestASegmentCutAnywhereLosesItsTornEndAndNoMore(t *testing.T) {
	origin, data, want, ends := written(t, 50)
	name := filepath.Base(oneFile(t, origin, ".open"))
	dir := filepath.Join(t.TempDir(), "cut")
	for range 100 {
		cut := rand.IntN(len(data) + 1)
		snapshot(t, origin, dir)
		require.NoError(t, os.Truncate(filepath.Join(dir, name), int64(cut)))
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		s, err := spool.Open(spool.Config{Dir: dir})
		require.NoError(t, err)
		require.LessOrEqual(t, s.Stats().Lost, int64(1), "cut at %d", cut)
		after := request(s)
		lost := int(s.Stats().Lost)
		require.NoError(t, s.Close())
		f, err := spool.Follow(dir, "file", nil)
		require.NoError(t, err)
		events := read(t, f, whole+lost+1)
		require.Equal(t, want[:whole], ids(events)[:whole], "cut at %d", cut)
		if lost == 1 {
			require.Equal(t, begin(want[whole]).Lost(), events[whole], "cut at %d", cut)
		}
		require.Equal(t, after, events[whole+lost].ID)
		require.Zero(t, f.Stats().Damaged, "cut at %d", cut)
		require.LessOrEqual(t, f.Stats().Torn, int64(1))
		require.NoError(t, f.Close())
	}
}

func TestDamageInTheMiddleCostsTheRecordsItHits(t *testing.T) {
	origin, data, want, ends := written(t, 50)
	name := filepath.Base(oneFile(t, origin, ".open"))
	dir := filepath.Join(t.TempDir(), "damaged")
	for range 60 {
		at := rand.IntN(len(data))
		length := 1 + rand.IntN(min(2000, len(data)-at))
		bad := append([]byte(nil), data...)
		for i := range length {
			bad[at+i] ^= byte(1 + rand.IntN(255))
		}
		snapshot(t, origin, dir)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), bad, 0o600))
		s, err := spool.Open(spool.Config{Dir: dir})
		require.NoError(t, err)
		last := request(s)
		require.NoError(t, s.Close())
		f, err := spool.Follow(dir, "file", nil)
		require.NoError(t, err)
		events, err := f.Read(t.Context(), 1000) // all are there
		require.NoError(t, err)
		complete := map[llmproxy.EventID]bool{}
		for _, e := range events {
			require.NotContains(t, complete, e.ID, "twice")
			complete[e.ID] = e.Outcome == llmproxy.Complete
		}
		require.True(t, complete[last])
		for i, id := range want {
			from := 0
			if i > 0 {
				from = ends[i-1]
			}
			if ends[i] <= at || from >= at+length {
				require.True(t, complete[id], "event %d at %d to %d, damage at %d to %d", i, from, ends[i], at, at+length)
			}
		}
		stats := f.Stats()
		require.Positive(t, stats.Damaged+stats.Torn)
		require.NoError(t, f.Close())
	}
}

func TestDamageInASegmentThatIsStillWrittenIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	ids := []llmproxy.EventID{request(s)}
	middle := s.Stats().Written
	request(s)
	f := follow(t, dir, "file")
	name := oneFile(t, dir, ".open")
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(make([]byte, s.Stats().Written-middle), middle) // as a power cut can leave it
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.Equal(t, ids[0], read(t, f, 1)[0].ID)
	require.Empty(t, rest(t, f))
	third := request(s)
	require.Equal(t, third, read(t, f, 1)[0].ID)
	require.EqualValues(t, 1, f.Stats().Damaged)
	require.Positive(t, f.Stats().Skipped)
	_, oldest, err := f.Backlog()
	require.NoError(t, err)
	require.Equal(t, start, oldest)
}

func TestARecordInsideABodyIsNotTakenForOne(t *testing.T) {
	_, quoted, _, _ := written(t, 3)
	dir, dead := t.TempDir(), t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	s.Publish(event(newID(), string(quoted), "answer"))
	last := request(s)
	snapshot(t, dir, dead)
	name := oneFile(t, dead, ".open")
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte{0}, 0)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.Equal(t, []llmproxy.EventID{last}, ids(rest(t, follow(t, dead, "file"))))
}

func TestATornRecordIsWaitedForWhileItMayBeWritten(t *testing.T) {
	origin, data, want, ends := written(t, 2)
	name := oneFile(t, origin, ".open")
	for _, cut := range []int{ends[0] + 2, ends[0] + 30, ends[1] - 1} {
		require.NoError(t, os.WriteFile(name, data[:cut], 0o600))
		f, err := spool.Follow(origin, "file", nil)
		require.NoError(t, err)
		require.Equal(t, want[:1], ids(rest(t, f)))
		require.NoError(t, os.WriteFile(name, data, 0o600))
		require.Equal(t, want[1:], ids(read(t, f, 1)))
		require.Zero(t, f.Stats().Damaged+f.Stats().Torn)
		require.NoError(t, f.Close())
	}
}

func TestACursorBeyondAShortenedFileGoesBackToItsEnd(t *testing.T) {
	origin, _, want, ends := written(t, 10)
	f, err := spool.Follow(origin, "file", nil)
	require.NoError(t, err)
	require.Equal(t, want, ids(read(t, f, 10)))
	require.NoError(t, f.Commit(nil))
	require.NoError(t, f.Close())
	require.NoError(t, os.Truncate(oneFile(t, origin, ".open"), int64(ends[6]))) // a power cut takes what was not synced
	s := open(t, spool.Config{Dir: origin})
	after := request(s)
	f = follow(t, origin, "file")
	require.Equal(t, []llmproxy.EventID{after}, ids(read(t, f, 1)))
	require.NoError(t, f.Commit(nil))
	bytes, _, err := f.Backlog()
	require.NoError(t, err)
	require.Zero(t, bytes)
}

func TestWhatCannotBeReadIsAnErrorAfterTheEventsBeforeIt(t *testing.T) {
	dir := t.TempDir()
	log, lines := observer.New(zap.WarnLevel)
	s := open(t, spool.Config{Dir: dir})
	id := request(s)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "20990101T000000.000-0123456789abcdef-000001.open"), 0o700))
	open(t, spool.Config{Dir: dir, Log: zap.New(log)})
	require.Equal(t, 1, lines.FilterMessageSnippet("will be tried again").Len())

	f := follow(t, dir, "file")
	require.Equal(t, []llmproxy.EventID{id}, ids(read(t, f, 1)))
	for range 2 {
		_, err := f.Read(t.Context(), 10)
		require.ErrorContains(t, err, "0123456789abcdef-000001")
	}
	_, _, err := f.Backlog()
	require.ErrorContains(t, err, "0123456789abcdef-000001")
	id = request(s)
	require.Equal(t, []llmproxy.EventID{id}, ids(read(t, f, 1)), "the others are read on")
}

func TestAFolderThatIsGoneIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := spool.Open(spool.Config{Dir: dir})
	require.NoError(t, err)
	request(s)
	f := follow(t, dir, "file")
	require.NoError(t, os.RemoveAll(dir))
	_, err = f.Read(t.Context(), 1)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, _, err = f.Backlog()
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, f.Commit(nil), fs.ErrNotExist)
	require.Eventually(t, func() bool { return s.Stats().Degraded != "" }, patience, 10*time.Millisecond)
	require.Error(t, s.Close())
}
