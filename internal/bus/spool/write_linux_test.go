package spool_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

func TestAnEventThatFitsInPartIsTakenBackAndTheReasonTold(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("NOT TESTED: what a full disk does, since mounting a small file system needs root: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	s, err := spool.Open(spool.Config{Dir: dir})
	require.NoError(t, err)
	before := request(s)
	for _, size := range []int{300 << 10, 1 << 20} {
		s.Publish(event(newID(), body(40<<10, "ask "), body(size, "tell ")))
		require.Contains(t, s.Stats().Degraded, "no space left on device", "an event of %d bytes", size)
	}
	require.EqualValues(t, 2, s.Stats().Failed)
	after := request(s)
	require.Empty(t, s.Stats().Degraded, "a small one still fits")
	info, err := os.Stat(oneFile(t, dir, ".open"))
	require.NoError(t, err)
	require.Equal(t, s.Stats().Written, info.Size(), "nothing torn is left")
	f, err := spool.Follow(dir, "file", nil)
	require.NoError(t, err)
	require.Equal(t, []llmproxy.EventID{before, after}, ids(read(t, f, 2)))
	require.NoError(t, f.Close())
	require.NoError(t, s.Close())
}
