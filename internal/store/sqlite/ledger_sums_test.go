package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// TestADatabaseFromBeforeThereWereSumsGetsThem: opened by a newer program, it says the same as before.
func TestADatabaseFromBeforeThereWereSumsGetsThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm-proxy.db")
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	require.NoError(t, err)
	told := storetest.Told{}
	var events []*llmproxy.Event
	for n := range 300 {
		events = append(events, storetest.LedgerEvent(n, storetest.Noon.Add(time.Duration(n)*17*time.Minute)))
	}
	told.Tell(events...)
	require.NoError(t, s.Record(context.Background(), events))
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.ExecContext(context.Background(), `DELETE FROM ledger_sums`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	for range 2 { // the second time there is nothing to do
		again := open(t, path)
		storetest.RequireTold(t, again, told)
	}
}
