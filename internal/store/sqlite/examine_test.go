package sqlite

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExamineTellsAWholeDatabaseWhileItIsOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm-proxy.db")
	s, err := Open(t.Context(), Config{Path: path})
	require.NoError(t, err)
	defer s.Close()
	x, err := Examine(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, x.Problems)
	require.Positive(t, x.Newest)
	require.Equal(t, x.Newest, x.Version)
	require.NoError(t, s.Ping(t.Context()))
}

func TestExamineMakesAndMigratesNothing(t *testing.T) {
	dir := t.TempDir()
	_, err := Examine(t.Context(), filepath.Join(dir, "missing.db"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)

	empty := filepath.Join(dir, "empty.db")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	x, err := Examine(t.Context(), empty)
	require.NoError(t, err)
	require.Zero(t, x.Version)
	info, err := os.Stat(empty)
	require.NoError(t, err)
	require.Zero(t, info.Size())
}

func TestExamineNamesDamageAndANewerProgramsTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm-proxy.db")
	s, err := Open(t.Context(), Config{Path: path})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	x, err := Examine(t.Context(), path)
	require.NoError(t, err)
	require.EqualValues(t, 99999, x.Version)

	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := 4096; i < len(data); i++ { // all pages but the first
		data[i] = 0xa5
	}
	require.NoError(t, os.WriteFile(path, data, 0o600))
	x, err = Examine(t.Context(), path)
	require.True(t, err != nil || len(x.Problems) > 0, "damage is told: %v %v", x, err)

	require.NoError(t, os.WriteFile(path, []byte("this is no database at all, but a text that is long enough"), 0o600))
	_, err = Examine(t.Context(), path)
	require.Error(t, err)
}
