package spool_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestASegmentGoesWhenEveryFollowerHasPassedIt(t *testing.T) {
	dir := t.TempDir()
	quick, slow := follow(t, dir, "quick"), follow(t, dir, "slow")
	s := open(t, spool.Config{Dir: dir, SegmentBytes: 2 << 10})
	for range 50 {
		request(s)
	}
	require.Eventually(t, func() bool { return len(files(t, dir, ".open")) == 1 }, patience, time.Millisecond)
	all := len(files(t, dir, ".seg"))
	require.Greater(t, all, 10)
	read(t, quick, 50)
	require.NoError(t, quick.Commit(nil))
	read(t, slow, 30)
	time.Sleep(1500 * time.Millisecond) // longer than the background takes to look
	require.Len(t, files(t, dir, ".seg"), all, "slow has committed nothing")
	require.NoError(t, slow.Commit(nil))
	require.Eventually(t, func() bool { n := len(files(t, dir, ".seg")); return n > 0 && n < all/2 }, patience, 10*time.Millisecond)
	require.Len(t, read(t, slow, 20), 20)
	require.NoError(t, slow.Commit(nil))
	require.Eventually(t, func() bool { return len(files(t, dir, ".seg")) == 0 }, patience, 10*time.Millisecond)
	require.Empty(t, rest(t, quick))
	require.Zero(t, s.Stats().Dropped)
	require.Empty(t, s.Stats().Degraded)
}

func TestWithoutAFollowerTheNewestAreKept(t *testing.T) {
	dir := t.TempDir()
	const most = 32 << 10
	s, err := spool.Open(spool.Config{Dir: dir, MaxBytes: most})
	require.NoError(t, err)
	var want []llmproxy.EventID
	for range 200 {
		want = append(want, request(s))
	}
	require.Eventually(t, func() bool { k := s.Stats().Kept; return k > most/2 && k <= most }, patience, 10*time.Millisecond)
	require.Empty(t, s.Stats().Degraded, "nobody misses them")
	require.NoError(t, s.Close())
	got := ids(rest(t, follow(t, dir, "file")))
	require.Equal(t, want[200-len(got):], got)
	require.Greater(t, len(got), 10)
}

func TestAFullSpoolDropsTheOldestAndSaysSo(t *testing.T) {
	dir := t.TempDir()
	const most = 32 << 10
	log, lines := observer.New(zap.WarnLevel)
	f := follow(t, dir, "file")
	s := open(t, spool.Config{Dir: dir, MaxBytes: most, Log: zap.New(log)})
	for range 200 {
		request(s)
	}
	require.Eventually(t, func() bool { return s.Stats().Dropped > 0 && s.Stats().Kept <= most }, patience, 10*time.Millisecond)
	require.Contains(t, s.Stats().Degraded, "full")
	require.Eventually(t, func() bool { return lines.FilterMessage("spool is degraded").Len() > 0 }, patience, 10*time.Millisecond)
	require.NotEmpty(t, rest(t, f))
	require.NoError(t, f.Commit(nil))
	require.Eventually(t, func() bool { return s.Stats().Degraded == "" }, patience, 10*time.Millisecond, "it was read")
	require.Eventually(t, func() bool { return lines.FilterMessage("spool works again").Len() > 0 }, patience, 10*time.Millisecond)
}

func TestASegmentDroppedUnderAReaderIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, SegmentBytes: 2 << 10})
	f := follow(t, dir, "file")
	for range 30 {
		request(s)
	}
	require.Eventually(t, func() bool { return len(files(t, dir, ".open")) == 1 }, patience, time.Millisecond)
	read(t, f, 1)
	sealed := files(t, dir, ".seg")
	for _, name := range sealed[:len(sealed)-1] {
		require.NoError(t, os.Remove(name))
	}
	last := request(s)
	events := rest(t, f)
	require.Equal(t, last, events[len(events)-1].ID)
	require.Less(t, len(events), 20)
}

func TestAFullDiskServesOnAndRecovers(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("NOT TESTED: what a full disk does, since mounting a small file system needs root: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	log, lines := observer.New(zap.WarnLevel)
	s, err := spool.Open(spool.Config{Dir: dir, SegmentBytes: 256 << 10, Log: zap.New(log)})
	require.NoError(t, err)
	f, err := s.Follow("file")
	require.NoError(t, err)
	want := map[llmproxy.EventID]bool{}
	publish := func(size int) bool {
		id := newID()
		failed := s.Stats().Failed
		s.Begin(begin(id))
		s.Publish(event(id, "question", body(size, "answer ")))
		if s.Stats().Failed == failed {
			want[id] = true
			return true
		}
		return false
	}
	for range 100 {
		publish(20 << 10)
		publish(100 << 10)
	}
	for publish(1) { // to the last byte
	}
	require.Greater(t, s.Stats().Failed, int64(100))
	require.Contains(t, s.Stats().Degraded, "no space left")
	require.Eventually(t, func() bool { return lines.FilterMessage("spool is degraded").Len() > 0 }, patience, 10*time.Millisecond)
	open := newID()
	s.Begin(begin(open)) // not on disk

	got := map[llmproxy.EventID]bool{}
	take := func() {
		for len(got) < len(want) {
			for _, e := range read(t, f, 1) {
				require.True(t, want[e.ID], "what failed")
				require.False(t, got[e.ID], "twice")
				got[e.ID] = true
			}
		}
	}
	take()
	require.NoError(t, f.Commit([]byte("a commit needs no space")))
	require.Eventually(t, func() bool { return publish(100 << 10) }, patience, 50*time.Millisecond, "what was read makes room")
	require.Eventually(t, func() bool { return s.Stats().Degraded == "" }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return lines.FilterMessage("spool works again").Len() > 0 }, patience, 10*time.Millisecond)
	take()
	require.Zero(t, f.Stats().Damaged+f.Stats().Torn)

	dead := filepath.Join(t.TempDir(), "dead")
	require.Eventually(t, func() bool {
		snapshot(t, dir, dead)
		after, err := spool.Open(spool.Config{Dir: dead})
		require.NoError(t, err)
		defer func() { require.NoError(t, after.Close()) }()
		return after.Stats().Lost == 1
	}, patience, 100*time.Millisecond, "the begin that did not fit is written when there is room")
	require.NoError(t, f.Close())
	require.NoError(t, s.Close())
}

func TestASpoolOpensOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("NOT TESTED: what a full disk does, since mounting a small file system needs root: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	require.Error(t, os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o600))
	s, err := spool.Open(spool.Config{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	request(s)
	require.EqualValues(t, 1, s.Stats().Failed)
	require.Contains(t, s.Stats().Degraded, "no space left")
	require.NoError(t, os.Remove(filepath.Join(dir, "filler")))
	id := request(s)
	require.Empty(t, s.Stats().Degraded)
	require.Equal(t, []llmproxy.EventID{id}, ids(rest(t, follow(t, dir, "file"))))
}
