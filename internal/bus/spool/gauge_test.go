package spool_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
)

func TestAGaugeSeesWhatWaitsForEachFollower(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	g := spool.NewGauge(dir)
	states, err := g.Followers()
	require.NoError(t, err)
	require.Empty(t, states)
	require.NoDirExists(t, dir, "looking makes nothing")

	s := open(t, spool.Config{Dir: dir, SegmentBytes: 4 << 10}) // some events a segment
	fast, slow := follow(t, dir, "fast"), follow(t, dir, "slow")
	waiting := map[string]int{}
	for round := range 40 {
		for range rand.IntN(8) {
			request(s)
			waiting["fast"]++
			waiting["slow"]++
		}
		for name, f := range map[string]*spool.Follower{"fast": fast, "slow": slow} {
			if n := rand.IntN(waiting[name] + 1); n > 0 && (name == "fast" || round%10 == 9) {
				waiting[name] -= len(read(t, f, n))
				require.NoError(t, f.Commit([]byte(`"round"`)))
			}
		}
		states, err := g.Followers()
		require.NoError(t, err)
		require.Len(t, states, 2)
		for i, f := range []*spool.Follower{fast, slow} {
			bytes, oldest, err := f.Backlog()
			require.NoError(t, err)
			got := states[i]
			require.EqualValues(t, waiting[got.Name], got.Waiting.Events, "%s in round %d", got.Name, round)
			require.Equal(t, bytes, got.Waiting.Bytes)
			require.Equal(t, oldest, got.Waiting.Oldest)
			require.Equal(t, f.Note(), got.Note)
			require.Equal(t, f.Note() == nil, got.Committed.IsZero())
			require.True(t, got.Held)
			alone, err := g.Waiting(got.Name)
			require.NoError(t, err)
			require.Equal(t, got.Waiting, alone)
		}
	}
	unknown, err := g.Waiting("nobody")
	require.NoError(t, err)
	require.Positive(t, unknown.Events, "who never followed has all before it")
}

func TestAGaugePassesOverDamageAsAFollowerDoes(t *testing.T) {
	dir, data, _, ends := written(t, 20)
	file := oneFile(t, dir, ".open")
	broken := append([]byte(nil), data...)
	copy(broken[ends[4]:], "no header stands here any more")
	require.NoError(t, os.WriteFile(file, broken, 0o600))
	g := spool.NewGauge(dir)
	for range 2 {
		w, err := g.Waiting("file")
		require.NoError(t, err)
		require.EqualValues(t, 20, w.Events, "the damaged record was a begin")
		require.EqualValues(t, len(data), w.Bytes)
	}
	require.NoError(t, os.WriteFile(file, broken[:ends[19]-1], 0o600))
	w, err := spool.NewGauge(dir).Waiting("file")
	require.NoError(t, err)
	require.EqualValues(t, 19, w.Events, "one that is being written does not wait yet")
	w, err = g.Waiting("file")
	require.NoError(t, err)
	require.EqualValues(t, 19, w.Events, "what was taken back is counted anew")
}

func TestAFollowerThatEndedIsNotHeldAndLookingStopsNobody(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	request(s)
	f, err := spool.Follow(dir, "webhook", nil)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	g := spool.NewGauge(dir)
	stop, looked := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				looked <- nil
				return
			case <-time.After(time.Millisecond):
				_, err = g.Followers()
			}
		}
		looked <- err
	}()
	for range 50 {
		f, err := spool.Follow(dir, "webhook", nil)
		require.NoError(t, err, "a look is no follower")
		require.NoError(t, f.Close())
	}
	close(stop)
	require.NoError(t, <-looked)
	states, err := g.Followers()
	require.NoError(t, err)
	require.False(t, states[0].Held)
	require.EqualValues(t, 1, states[0].Waiting.Events)
	require.True(t, states[0].Committed.IsZero(), "it never committed")

	follow(t, dir, "webhook")
	_, err = spool.Follow(dir, "webhook", nil)
	require.ErrorIs(t, err, spool.ErrLocked)
}

func TestADamagedCursorHidesNoOther(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	request(s)
	follow(t, dir, "file")
	follow(t, dir, "webhook")
	for _, ext := range []string{".cursor-a", ".cursor-b"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "file"+ext), []byte("no cursor\n"), 0o600))
	}
	states, err := spool.NewGauge(dir).Followers()
	require.NoError(t, err)
	require.Len(t, states, 2)
	require.ErrorContains(t, states[0].Err, "follower file of the spool")
	require.NoError(t, states[1].Err)
	require.EqualValues(t, 1, states[1].Waiting.Events)
}
