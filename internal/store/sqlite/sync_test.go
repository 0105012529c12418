package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestSpendsAreSyncedToTheDiskWhereAskedAndChangesAlways reads what SQLite is told: 1 is NORMAL, 2 is FULL.
func TestSpendsAreSyncedToTheDiskWhereAskedAndChangesAlways(t *testing.T) {
	for fullSync, want := range map[bool]int64{false: 1, true: 2} {
		s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "t.db"), FullSync: fullSync})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })

		var spends int64
		require.NoError(t, sqlitex.ExecuteTransient(s.spends.conn, "PRAGMA synchronous", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			spends = row.ColumnInt64(0)
			return nil
		}}))
		require.Equal(t, want, spends)

		var changes int64
		require.NoError(t, s.writer.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&changes))
		require.EqualValues(t, 2, changes)
	}
}

// TestASpendThatPanicsHoldsUpNoOther breaks the spender's statement for one spend.
func TestASpendThatPanicsHoldsUpNoOther(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "t.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	now := time.Now()
	id := llmproxy.NewTokenID(now)
	gate := s.spends.gate
	s.spends.gate = nil
	require.Panics(t, func() { _, _, _ = s.Spend(t.Context(), id, llmproxy.TokenHash{}, now) })
	s.spends.gate = gate
	_, _, err = s.Spend(t.Context(), id, llmproxy.TokenHash{}, now)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}
