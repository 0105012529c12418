package sqlite

import (
	"database/sql/driver"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSpendsAreSyncedToTheDiskWhereAskedAndChangesAlways reads what SQLite is told: 1 is NORMAL, 2 is FULL.
func TestSpendsAreSyncedToTheDiskWhereAskedAndChangesAlways(t *testing.T) {
	for fullSync, want := range map[bool]int64{false: 1, true: 2} {
		s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "t.db"), FullSync: fullSync})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })

		rows, err := s.spends.conn.(driver.QueryerContext).QueryContext(t.Context(), "PRAGMA synchronous", nil)
		require.NoError(t, err)
		row := make([]driver.Value, 1)
		require.NoError(t, rows.Next(row))
		require.NoError(t, rows.Close())
		require.Equal(t, want, row[0])

		var changes int64
		require.NoError(t, s.writer.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&changes))
		require.EqualValues(t, 2, changes)
	}
}
