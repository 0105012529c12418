package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// connect is what another process is to a store: a connection that it knows nothing of.
func connect(t *testing.T, path string) *sqlite.Conn {
	t.Helper()
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

func TestStoresOfOneFileCountEachOthersSpends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s, other := openAt(t, path), openAt(t, path)
	id, hash := storetest.AddToken(t, s, storetest.AddProject(t, s).ID)
	for i, from := range []*Store{s, s, other, s, other, other, s, s} {
		token, _, err := from.Spend(t.Context(), id, hash, storetest.Noon)
		require.NoError(t, err)
		require.EqualValues(t, i+1, token.RequestCount)
		require.True(t, from.spends.teller.holding, "what follows is decided on the state of this spend, while it is the newest")
	}
}

// TestASpendFindsWhatAnotherProcessHasWritten: it never goes by what it remembers.
func TestASpendFindsWhatAnotherProcessHasWritten(t *testing.T) {
	for _, c := range []struct {
		change string
		want   error
	}{
		{"UPDATE tokens SET name = 'new'", nil},
		{"UPDATE tokens SET active = 0", llmproxy.ErrRevoked},
		{"UPDATE tokens SET max_requests = 2", llmproxy.ErrExhausted},
		{"UPDATE tokens SET request_count = max_requests - 1", llmproxy.ErrExhausted},
		{"UPDATE tokens SET expires_at = 1", llmproxy.ErrExpired},
		{"UPDATE tokens SET hash = zeroblob(32)", llmproxy.ErrNotFound},
		{"UPDATE tokens SET epoch = -1", llmproxy.ErrRevoked},
		{"DELETE FROM tokens", llmproxy.ErrNotFound},
		{"UPDATE projects SET active = 0", llmproxy.ErrProjectInactive},
		{"UPDATE projects SET deleted_at = 1", llmproxy.ErrRevoked},
		{"UPDATE projects SET epoch = epoch + 1", llmproxy.ErrRevoked},
	} {
		t.Run(c.change, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			s := openAt(t, path)
			id, hash := storetest.AddToken(t, s, storetest.AddProject(t, s).ID, func(g *llmproxy.Gate) { g.MaxRequests = 10 })
			spend := func() error {
				_, _, err := s.Spend(t.Context(), id, hash, storetest.Noon)
				return err
			}
			require.NoError(t, spend())
			require.NoError(t, spend())
			require.NoError(t, sqlitex.ExecuteTransient(connect(t, path), c.change, nil))
			err := spend()
			if err == nil { // the last one that the cap leaves
				err = spend()
			}
			require.ErrorIs(t, err, c.want)
			require.NoError(t, sqlitex.ExecuteTransient(connect(t, path), "UPDATE tokens SET active = 1", nil), "a refused spend leaves nothing locked")
		})
	}
}

// TestAFailedTransactionCountsNothing: not in memory either.
func TestAFailedTransactionCountsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := openAt(t, path)
	id, hash := storetest.AddToken(t, s, storetest.AddProject(t, s).ID)
	_, _, err := s.Spend(t.Context(), id, hash, storetest.Noon)
	require.NoError(t, err)

	commit := s.spends.teller.commit
	s.spends.teller.commit, err = s.spends.teller.conn.Prepare("INSERT INTO projects (id) VALUES (1)") // a constraint fails
	require.NoError(t, err)
	batch := []*spendRequest{{id: id, hash: hash, now: storetest.Noon, due: time.Now().Add(time.Minute)}, {id: id, hash: hash, now: storetest.Noon, due: time.Now().Add(time.Minute)}}
	s.spends.run(batch)
	for _, r := range batch {
		require.ErrorIs(t, r.err, llmproxy.ErrUnavailable)
	}
	s.spends.teller.commit = commit
	token, _, err := s.Spend(t.Context(), id, hash, storetest.Noon)
	require.NoError(t, err)
	require.EqualValues(t, 2, token.RequestCount)
}

// TestTheLogIsMovedThoughStatesAreHeld reads what SQLite tells of its log: frames in it, and those of them that are in the database too.
func TestTheLogIsMovedThoughStatesAreHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s, idle := openAt(t, path), openAt(t, path)
	id, hash := storetest.AddToken(t, s, storetest.AddProject(t, s).ID)
	spend := func(from *Store, times int) {
		for range times {
			_, _, err := from.Spend(t.Context(), id, hash, storetest.Noon)
			require.NoError(t, err)
		}
	}
	conn := connect(t, path)
	log := func() (frames, moved int64) {
		require.NoError(t, sqlitex.ExecuteTransient(conn, "PRAGMA wal_checkpoint(PASSIVE)", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			frames, moved = row.ColumnInt64(1), row.ColumnInt64(2)
			return nil
		}}))
		return frames, moved
	}
	spend(idle, 1)
	spend(s, 400)
	require.Eventually(t, func() bool {
		require.NoError(t, s.checkpoint(t.Context()))
		frames, moved := log()
		return frames >= 400 && moved == frames
	}, 10*time.Second, 10*time.Millisecond, "who does nothing lets go within a second")
	require.Eventually(t, func() bool { // a store that looks after the log at that moment reads it
		require.NoError(t, s.checkpoint(t.Context()))
		spend(s, 1)
		frames, _ := log()
		return frames < 10
	}, 10*time.Second, 10*time.Millisecond, "the log begins anew")
}

// TestTheLogBeginsAnewBesideAnotherServersSpends: each of two servers holds a state nearly always, and the log must not wait for the one
// moment at which neither does.
func TestTheLogBeginsAnewBesideAnotherServersSpends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s, other := openAt(t, path), openAt(t, path)
	id, hash := storetest.AddToken(t, s, storetest.AddProject(t, s).ID)
	spend := func(from *Store) error {
		_, _, err := from.Spend(t.Context(), id, hash, storetest.Noon)
		return err
	}
	require.NoError(t, spend(other))
	for range checkpointHard/4096 + 100 {
		require.NoError(t, spend(s))
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				ended <- nil
				return
			case <-time.After(time.Millisecond):
				err = spend(other)
			}
		}
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond) // the other one holds a state now
	for range 20 {                    // one that is disturbed comes again a second later
		require.NoError(t, s.checkpoint(t.Context()))
	}
	require.NoError(t, spend(s))
	close(stop)
	require.NoError(t, <-ended, "a spend waits for the move, and is not refused for it")
	var frames int64
	require.NoError(t, sqlitex.ExecuteTransient(connect(t, path), "PRAGMA wal_checkpoint(PASSIVE)", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		frames = row.ColumnInt64(1)
		return nil
	}}))
	require.Less(t, frames, int64(checkpointHard/4096))
}
