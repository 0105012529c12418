package spool_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
)

func TestTheBacklogIsKnownWhileAnotherFollows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	bytes, _, known, err := spool.Backlog(dir, "file")
	require.NoError(t, err)
	require.False(t, known)
	require.Zero(t, bytes)
	require.NoDirExists(t, dir, "looking makes nothing")

	s := open(t, spool.Config{Dir: dir})
	id := request(s)
	bytes, oldest, known, err := spool.Backlog(dir, "file")
	require.NoError(t, err)
	require.False(t, known, "nobody has followed yet")
	require.Positive(t, bytes)
	require.Equal(t, id.Time().UnixMilli(), oldest.UnixMilli())

	f := follow(t, dir, "file")
	want, _, err := f.Backlog()
	require.NoError(t, err)
	bytes, _, known, err = spool.Backlog(dir, "file")
	require.NoError(t, err, "the follower's lock is its own")
	require.True(t, known)
	require.Equal(t, want, bytes)
	read(t, f, 1)
	require.NoError(t, f.Commit(nil))
	bytes, oldest, _, err = spool.Backlog(dir, "file")
	require.NoError(t, err)
	require.Zero(t, bytes)
	require.True(t, oldest.IsZero())
}

func TestFollowersAreThoseThatHaveACursor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	names, err := spool.Followers(dir)
	require.NoError(t, err)
	require.Empty(t, names)
	open(t, spool.Config{Dir: dir})
	follow(t, dir, "webhook")
	follow(t, dir, "file")
	names, err = spool.Followers(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"file", "webhook"}, names)
}
