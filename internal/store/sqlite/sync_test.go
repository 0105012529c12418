package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestSpendsAreSyncedToTheDiskWhereAskedAndChangesAlways reads what SQLite is told: 1 is NORMAL, 2 is FULL.
func TestSpendsAreSyncedToTheDiskWhereAskedAndChangesAlways(t *testing.T) {
	for fullSync, want := range map[bool]int64{false: 1, true: 2} {
		s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "t.db"), FullSync: fullSync})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })

		var spends int64
		require.NoError(t, sqlitex.ExecuteTransient(s.spends.teller.conn, "PRAGMA synchronous", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			spends = row.ColumnInt64(0)
			return nil
		}}))
		require.Equal(t, want, spends)

		var changes int64
		require.NoError(t, s.writer.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&changes))
		require.EqualValues(t, 2, changes)
	}
}
