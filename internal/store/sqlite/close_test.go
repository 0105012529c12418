package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

func TestWhatComesAfterCloseIsRefusedAndWaitsForNothing(t *testing.T) {
	ctx := context.Background() // which never ends
	s, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	require.NoError(t, err)
	p := storetest.AddProject(t, s)
	id, hash := storetest.AddToken(t, s, p.ID)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "a second time")

	_, _, err = s.Spend(ctx, id, hash, storetest.Noon)
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
	require.ErrorContains(t, err, "closed")
	require.ErrorIs(t, s.AppendAudit(ctx, storetest.Entry("late", storetest.Noon)), llmproxy.ErrUnavailable)
	require.ErrorIs(t, s.Record(ctx, []*llmproxy.Event{{ID: llmproxy.NewEventID(storetest.Noon), Time: storetest.Noon}}), llmproxy.ErrUnavailable)
	_, err = s.Sweep(ctx, storetest.Noon)
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
	_, err = s.Project(ctx, p.ID)
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
}
