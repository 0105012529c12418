package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestAProjectsTokensAreFilteredAndCountedInAnIndexAlone(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "listing.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	now := time.Now()
	project, active := llmproxy.NewProjectID(now), true
	for name, f := range map[string]llmproxy.TokenFilter{
		"all":      {ProjectID: project},
		"active":   {ProjectID: project, Active: &active, Now: now},
		"expiring": {ProjectID: project, Active: &active, ExpiringWithin: time.Hour, Now: now},
	} {
		query, args := tokenIDs(f, llmproxy.Page{After: project.UUID})
		plan := planOf(t, s, query, args...)
		require.Contains(t, plan, "COVERING INDEX tokens_listing", name)
		require.NotContains(t, plan, "TEMP B-TREE", "%s: it comes in order", name)
	}
	require.Contains(t, planOf(t, s, countActive, project.UUID[:], toMillis(now)), "COVERING INDEX tokens_listing", "spends wait for a bulk revoke")
}

// planOf is how SQLite goes about a query.
func planOf(t *testing.T, s *Store, query string, args ...any) (plan string) {
	t.Helper()
	steps, err := list(context.Background(), s.readers, "EXPLAIN QUERY PLAN "+query, args, func(r row) (string, error) {
		var id, parent, unused int
		var detail string
		err := r.Scan(&id, &parent, &unused, &detail)
		return detail, err
	})
	require.NoError(t, err)
	for _, step := range steps {
		plan += step + "\n"
	}
	return plan
}
