package spool_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

func TestAnEventComesBackAsItWasPublished(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	large := event(newID(), body(64<<10, "ask "), body(256<<10, "tell "))
	large.Request.Body.Size, large.Response.Body.Size = 1<<20, 1<<30
	large.Response.Body.Tail = []byte(body(16<<10, "end "))
	empty := event(newID(), "", "")
	bare := event(newID(), "", "")
	bare.Request.Body, bare.Response.Body, bare.UsageKind = nil, nil, ""
	counted := event(newID(), "a", "b")
	counted.Usage = &llmproxy.Usage{Input: number(3), Total: number(0), Source: llmproxy.SourceUpstream}
	binary := event(newID(), "\x00\xff\xfe", "LPS1\x00\x80")
	for name, e := range map[string]*llmproxy.Event{
		"a small chat": event(newID(), `{"model":"m"}`, `{"choices":[]}`), "as much as capture keeps": large, "empty bodies": empty,
		"no bodies": bare, "with usage": counted, "binary bodies": binary,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, spool.Config{Dir: dir})
			s.Begin(begin(e.ID))
			s.Publish(e)
			got := read(t, follow(t, dir, "file"), 1)[0]
			for _, m := range []*llmproxy.Message{&e.Request, &e.Response} {
				if m.Body != nil && len(m.Body.Head) == 0 {
					m.Body.Head = nil
				}
			}
			require.Equal(t, e, got)
			stats := s.Stats()
			require.EqualValues(t, 1, stats.Published)
			require.Zero(t, stats.Failed)
			require.Empty(t, stats.Degraded)
			info, err := os.Stat(oneFile(t, dir, ".open"))
			require.NoError(t, err)
			require.Equal(t, info.Size(), stats.Written)
		})
	}
}

func TestABodyMayBeUsedAgainOnceItIsPublished(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	for _, size := range []int{10, 100 << 10} {
		e := event(newID(), body(size, "x"), "")
		s.Publish(e)
		clear(e.Request.Body.Head)
	}
	for _, e := range read(t, follow(t, dir, "file"), 2) {
		require.Equal(t, body(len(e.Request.Body.Head), "x"), string(e.Request.Body.Head))
	}
}

// TestAnEventIsShownBeforeItsBodiesAreCopied: who needs a body only for a look saves the copy, and what is left in the event is its own.
func TestAnEventIsShownBeforeItsBodiesAreCopied(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	const n = 8
	for i := range n {
		s.Publish(event(newID(), body(60<<10, strconv.Itoa(i)), body(10<<10, strconv.Itoa(i))))
	}
	f := follow(t, dir, "file")
	shown := 0
	f.Preview(func(e *llmproxy.Event) {
		require.Equal(t, body(60<<10, strconv.Itoa(shown)), string(e.Request.Body.Head))
		require.Equal(t, body(10<<10, strconv.Itoa(shown)), string(e.Response.Body.Head))
		if shown++; shown%2 == 0 {
			e.Request.Body = nil
		}
	})
	for i, e := range read(t, f, n) {
		require.Equal(t, i%2 == 1, e.Request.Body == nil)
		if e.Request.Body != nil {
			require.Equal(t, body(60<<10, strconv.Itoa(i)), string(e.Request.Body.Head))
		}
		require.Equal(t, body(10<<10, strconv.Itoa(i)), string(e.Response.Body.Head))
		require.LessOrEqual(t, cap(e.Response.Body.Head), 10<<10)
	}
	require.Equal(t, n, shown)
}

func TestEventsOfOneProcessComeInOrderAcrossSegments(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, SegmentBytes: 4 << 10, Sync: spool.SyncNever})
	var want []llmproxy.EventID
	for range 200 {
		want = append(want, request(s))
	}
	require.Equal(t, want, ids(read(t, follow(t, dir, "file"), 200)))
	require.Greater(t, len(files(t, dir, ".seg")), 10)
	for _, name := range files(t, dir, ".seg") {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(4<<10))
	}
}

func TestAnOldSegmentIsSealedAndAnEmptyOneIsNot(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, SegmentAge: time.Nanosecond})
	first := oneFile(t, dir, ".open")
	time.Sleep(1500 * time.Millisecond) // longer than the background takes to look
	require.Equal(t, first, oneFile(t, dir, ".open"), "nothing was written")
	request(s)
	require.Eventually(t, func() bool { return len(files(t, dir, ".seg")) == 1 }, patience, 10*time.Millisecond)
	require.NotEqual(t, first, oneFile(t, dir, ".open"))
}

func TestAFollowerHearsOfAnEventAtOnceInItsOwnProcessAndSoonFromAnother(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	told, err := s.Follow("told")
	require.NoError(t, err)
	defer func() { require.NoError(t, told.Close()) }()
	for name, f := range map[string]*spool.Follower{"told": told, "looking": follow(t, dir, "looking")} {
		t.Run(name, func(t *testing.T) {
			rest(t, f)
			time.AfterFunc(20*time.Millisecond, func() { request(s) })
			require.Len(t, read(t, f, 1), 1)
		})
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	f := follow(t, t.TempDir(), "file")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := f.Read(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = f.Read(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
}

func TestACommitIsWhereTheNextFollowerBegins(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	var want []llmproxy.EventID
	for range 10 {
		want = append(want, request(s))
	}
	f, err := spool.Follow(dir, "file", nil)
	require.NoError(t, err)
	require.Nil(t, f.Note())
	require.Equal(t, want[:3], ids(read(t, f, 3)))
	require.NoError(t, f.Commit([]byte("three")))
	require.Equal(t, []byte("three"), f.Note())
	require.Equal(t, want[3:5], ids(read(t, f, 2)), "not committed")
	require.NoError(t, f.Close())

	f, err = spool.Follow(dir, "file", nil)
	require.NoError(t, err)
	require.Equal(t, []byte("three"), f.Note())
	require.Equal(t, want[3:], ids(read(t, f, 7)))
	require.NoError(t, f.Commit([]byte("a shorter one")))
	require.NoError(t, f.Commit(nil))
	require.NoError(t, f.Close())

	f = follow(t, dir, "file")
	require.Empty(t, f.Note())
	require.Empty(t, rest(t, f))
	require.Equal(t, want, ids(read(t, follow(t, dir, "another"), 10)), "a new one begins with the oldest")
}

func TestANoteIsKeptWithoutMovingTheCursor(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	var want []llmproxy.EventID
	for range 6 {
		want = append(want, request(s))
	}
	f, err := spool.Follow(dir, "file", nil)
	require.NoError(t, err)
	require.Equal(t, want[:2], ids(read(t, f, 2)))
	require.NoError(t, f.Keep([]byte("of a first start")))
	require.NoError(t, f.Close())
	f, err = spool.Follow(dir, "file", nil)
	require.NoError(t, err)
	require.Equal(t, []byte("of a first start"), f.Note())
	require.Equal(t, want[:3], ids(read(t, f, 3)), "none was committed")
	require.NoError(t, f.Commit([]byte("three")))
	require.Equal(t, want[3:5], ids(read(t, f, 2)))
	require.NoError(t, f.Keep([]byte("three, and one of the next")))
	require.NoError(t, f.Close())
	f = follow(t, dir, "file")
	require.Equal(t, []byte("three, and one of the next"), f.Note())
	require.Equal(t, want[3:], ids(read(t, f, 3)))
}

func TestACommitThatIsKilledInTheMiddleLeavesTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	want := []llmproxy.EventID{request(s), request(s), request(s)}
	f, err := spool.Follow(dir, "file", nil)
	require.NoError(t, err)
	read(t, f, 1)
	require.NoError(t, f.Commit([]byte("one")))
	read(t, f, 1)
	require.NoError(t, f.Commit([]byte("two")))
	require.NoError(t, f.Close())
	newest := filepath.Join(dir, "file.cursor-a")
	whole, err := os.ReadFile(newest)
	require.NoError(t, err)
	for cut := range len(whole) {
		require.NoError(t, os.WriteFile(newest, whole[:cut], 0o600))
		f, err := spool.Follow(dir, "file", nil)
		require.NoError(t, err)
		require.Equal(t, []byte("one"), f.Note(), "cut at %d of %d", cut, len(whole))
		if cut%40 == 0 {
			require.Equal(t, want[1:], ids(read(t, f, 2)))
		}
		require.NoError(t, f.Close())
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file.cursor-b"), []byte("x"), 0o600))
	_, err = spool.Follow(dir, "file", nil)
	require.ErrorContains(t, err, "checksum", "both are gone: that is no kill")
	require.Eventually(t, func() bool { return strings.Contains(s.Stats().Degraded, "checksum") }, patience, 10*time.Millisecond)
}

func TestAFollowersNameIsHeldByOne(t *testing.T) {
	dir := t.TempDir()
	f, err := spool.Follow(dir, "file", nil)
	require.NoError(t, err)
	_, err = spool.Follow(dir, "file", nil)
	require.ErrorIs(t, err, spool.ErrLocked)
	require.NoError(t, f.Close())
	follow(t, dir, "file")
	for _, bad := range []string{"", "File", "../file", "a.cursor-a", strings.Repeat("a", 65)} {
		_, err := spool.Follow(dir, bad, nil)
		require.ErrorContains(t, err, "name", "name %q", bad)
	}
}

func TestTwoSpoolsShareAFolder(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, spool.Config{Dir: dir}), open(t, spool.Config{Dir: dir})
	var want []llmproxy.EventID
	for range 20 {
		want = append(want, request(a), request(b))
	}
	require.ElementsMatch(t, want, ids(read(t, follow(t, dir, "file"), 40)))
	require.Zero(t, a.Stats().Lost+b.Stats().Lost)
}

func TestABusyProcessStarvesNoOther(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, spool.Config{Dir: dir}), open(t, spool.Config{Dir: dir})
	for range 100 {
		request(a)
	}
	id := request(b)
	f := follow(t, dir, "file")
	var got []llmproxy.EventID
	for range 2 {
		got = append(got, ids(read(t, f, 20))...)
	}
	require.Contains(t, got, id)
}

func TestTheBacklogIsWhatIsNotCommitted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, SegmentBytes: 2 << 10})
	f := follow(t, dir, "file")
	bytes, oldest, err := f.Backlog()
	require.NoError(t, err)
	require.Zero(t, bytes)
	require.True(t, oldest.IsZero())
	for i := range 10 {
		id := llmproxy.NewEventID(start.Add(time.Duration(i) * time.Minute))
		s.Begin(begin(id))
		s.Publish(event(id, "", ""))
	}
	bytes, oldest, err = f.Backlog()
	require.NoError(t, err)
	require.Equal(t, s.Stats().Written, bytes)
	require.Equal(t, start, oldest)
	read(t, f, 4)
	_, oldest, err = f.Backlog()
	require.NoError(t, err)
	require.Equal(t, start, oldest, "nothing is committed")
	require.NoError(t, f.Commit(nil))
	less, oldest, err := f.Backlog()
	require.NoError(t, err)
	require.Less(t, less, bytes)
	require.Equal(t, start.Add(4*time.Minute), oldest)
	read(t, f, 6)
	require.NoError(t, f.Commit(nil))
	bytes, oldest, err = f.Backlog()
	require.NoError(t, err)
	require.Zero(t, bytes)
	require.True(t, oldest.IsZero())
}

func TestCloseEndsWhatHasNotEnded(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(spool.Config{Dir: dir})
	require.NoError(t, err)
	id := newID()
	s.Begin(begin(id))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "again")
	require.Empty(t, files(t, dir, ".open"))
	require.Empty(t, files(t, dir, ".lock"))
	got := read(t, follow(t, dir, "file"), 1)[0]
	require.Equal(t, begin(id).Lost(), got)
	s.Publish(event(id, "", ""))
	s.Begin(begin(newID()))
	require.EqualValues(t, 1, s.Stats().Failed)
	require.Contains(t, s.Stats().Degraded, "closed")
}

func TestACleanEndLeavesNothingToRecover(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(spool.Config{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Empty(t, files(t, dir, ""), "nothing was written")
	s, err = spool.Open(spool.Config{Dir: dir})
	require.NoError(t, err)
	request(s)
	require.NoError(t, s.Close())
	s = open(t, spool.Config{Dir: dir})
	require.Zero(t, s.Stats().Lost)
	require.Len(t, rest(t, follow(t, dir, "file")), 1)
}

func TestAFolderThatCannotBeOneIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := spool.Open(spool.Config{Dir: path})
	require.ErrorContains(t, err, "open spool")
	_, err = spool.Follow(path, "file", nil)
	require.ErrorContains(t, err, "follow spool")
}

func TestSyncModeIsReadAndShown(t *testing.T) {
	for text, want := range map[string]spool.SyncMode{
		"always": spool.SyncAlways, "never": spool.SyncNever, "100ms": spool.DefaultSync, "2s": spool.SyncMode(2 * time.Second),
	} {
		var got spool.SyncMode
		require.NoError(t, got.UnmarshalText([]byte(text)))
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	require.Equal(t, "100ms", spool.SyncMode(0).String())
	for _, bad := range []string{"", "sometimes", "0s", "-1s", "100"} {
		_, err := spool.ParseSyncMode(bad)
		require.ErrorContains(t, err, "always", "%q", bad)
		require.Error(t, new(spool.SyncMode).UnmarshalText([]byte(bad)))
	}
}

func TestEverySyncModeKeepsEvents(t *testing.T) {
	for _, mode := range []spool.SyncMode{spool.SyncAlways, spool.SyncNever, spool.SyncMode(time.Millisecond)} {
		t.Run(mode.String(), func(t *testing.T) {
			dir := t.TempDir()
			s, err := spool.Open(spool.Config{Dir: dir, Sync: mode, SegmentBytes: 2 << 10})
			require.NoError(t, err)
			var want []llmproxy.EventID
			for range 20 {
				want = append(want, request(s))
			}
			require.Empty(t, s.Stats().Degraded)
			require.NoError(t, s.Close())
			require.Equal(t, want, ids(read(t, follow(t, dir, "file"), 20)))
		})
	}
}
