package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
)

// versioned opens a new database, changes what it notes of its migrations, and opens it again.
func versioned(t *testing.T, change string) (*Store, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "llm-proxy.db")
	s, err := Open(t.Context(), Config{Path: path})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	if change != "" {
		_, err = db.ExecContext(t.Context(), change)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	return Open(t.Context(), Config{Path: path})
}

func TestCurrentTablesAreLeftAloneAndKnownByOneQuery(t *testing.T) {
	s, err := versioned(t, "")
	require.NoError(t, err)
	defer s.Close()
	require.True(t, current(t.Context(), s.writer))
}

// TestTablesThatAreNotCurrentAreGooses: an upgrade is made, and what this program cannot know is refused.
func TestTablesThatAreNotCurrentAreGooses(t *testing.T) {
	newest, err := newestMigration()
	require.NoError(t, err)

	t.Run("an older program's", func(t *testing.T) {
		s, err := versioned(t, `DROP INDEX tokens_by_name; DELETE FROM goose_db_version WHERE version_id >= 11`) // which makes that index
		require.NoError(t, err)
		defer s.Close()
		require.True(t, current(t.Context(), s.writer))
		var made bool
		require.NoError(t, s.writer.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema WHERE name = 'tokens_by_name'`).Scan(&made))
		require.True(t, made, "the newest index")
	})
	t.Run("a newer program's", func(t *testing.T) {
		_, err := versioned(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
		require.ErrorIs(t, err, errNewer)
	})
	t.Run("without one in between", func(t *testing.T) {
		_, err := versioned(t, `DELETE FROM goose_db_version WHERE version_id = 3`)
		require.ErrorContains(t, err, "missing")
	})
	t.Run("as many, but others", func(t *testing.T) {
		_, err := versioned(t, `UPDATE goose_db_version SET version_id = 99999 WHERE version_id = 3`)
		require.ErrorIs(t, err, errNewer)
	})
	t.Run("taken back", func(t *testing.T) {
		s, err := versioned(t, "")
		require.NoError(t, err)
		defer s.Close()
		_, err = s.writer.ExecContext(t.Context(), `UPDATE `+goose.DefaultTablename+` SET is_applied = 0 WHERE version_id = ?`, newest)
		require.NoError(t, err)
		require.False(t, current(t.Context(), s.writer))
	})
	t.Run("none yet", func(t *testing.T) {
		db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "empty.db"))
		require.NoError(t, err)
		defer db.Close()
		require.False(t, current(t.Context(), db))
	})
}
