package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestADatabaseThatAnotherProcessKeepsIsUnavailable: a spend waits for it as long as its time is, whether it comes first or has waited
// for others before, counts nothing, and the next one after the lock is gone finds all in order.
func TestADatabaseThatAnotherProcessKeepsIsUnavailable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := openAt(t, path)
	other := connect(t, path)
	id, hash, now := llmproxy.NewTokenID(time.Now()), llmproxy.HashTokenSecret("x"), time.Now()

	require.NoError(t, sqlitex.ExecuteTransient(other, "BEGIN IMMEDIATE", nil))
	_, _, err := s.Spend(t.Context(), id, hash, now)
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)

	late := &spendRequest{id: id, hash: hash, now: now, due: time.Now()} // it waited behind the first
	began := time.Now()
	s.spends.run([]*spendRequest{late})
	require.ErrorIs(t, late.err, llmproxy.ErrUnavailable)
	require.Less(t, time.Since(began), spendBusy, "its time was up, it does not wait as if it had just come")

	require.NoError(t, sqlitex.ExecuteTransient(other, "ROLLBACK", nil))
	_, _, err = s.Spend(t.Context(), id, hash, now)
	require.ErrorIs(t, err, llmproxy.ErrNotFound, "the database answers again")
}
