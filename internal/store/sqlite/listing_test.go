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

func TestTokensComeInTheOrderOfNamesAndEnds(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "listing.db"))
	for order, index := range map[llmproxy.TokenOrder]string{llmproxy.OrderName: "tokens_by_name", "-" + llmproxy.OrderName: "tokens_by_name", llmproxy.OrderExpiry: "tokens_by_expiry"} {
		query, args := tokenIDs(llmproxy.TokenFilter{Order: order}, llmproxy.Page{After: llmproxy.NewUUID(time.Now()), AfterKey: "7"})
		plan := planOf(t, s, query, args...)
		require.Contains(t, plan, index, order)
		require.NotContains(t, plan, "TEMP B-TREE", "%s: it comes in order", order)
	}
}

// TestRequestsComeFromTheIndexThatLeavesFewest: what is rare is looked for among what is rare, whichever of the filters that is.
func TestRequestsComeFromTheIndexThatLeavesFewest(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "requests.db"))
	at := time.Now().Truncate(time.Millisecond)
	var events []*llmproxy.Event
	for i := range 700 {
		events = append(events, eventOf(1, 1, at.Add(time.Duration(i)*time.Millisecond), 1))
	}
	quiet, cut, failed := events[7], events[77], events[150]
	quiet.ProjectID.UUID[15], quiet.TokenID.UUID[15] = 2, 2
	cut.Outcome = llmproxy.Cut
	failed.Status = 502
	require.NoError(t, s.Record(t.Context(), events))
	for name, c := range map[string]struct {
		f     llmproxy.RequestFilter
		index string
		want  *llmproxy.Event
	}{
		"200 in a quiet project":     {llmproxy.RequestFilter{ProjectID: quiet.ProjectID, StatusFrom: 200, StatusTo: 201}, "by_project", quiet},
		"a model in a quiet project": {llmproxy.RequestFilter{ProjectID: quiet.ProjectID, Model: "gpt-4o"}, "by_project", quiet},
		"a quiet token":              {llmproxy.RequestFilter{TokenID: quiet.TokenID, StatusFrom: 200, StatusTo: 201}, "by_token", quiet},
		"cut in a busy project":      {llmproxy.RequestFilter{ProjectID: cut.ProjectID, Outcome: llmproxy.Cut}, "by_outcome", cut},
		"502 in a busy project":      {llmproxy.RequestFilter{ProjectID: cut.ProjectID, Model: "gpt-4o", StatusFrom: 502, StatusTo: 503}, "by_any_status", failed},
	} {
		query, args, err := s.requestsQuery(t.Context(), &c.f, llmproxy.Page{})
		require.NoError(t, err)
		plan := planOf(t, s, query, args...)
		require.Contains(t, plan, "ledger_requests_"+c.index+" ", name)
		require.NotContains(t, plan, "TEMP B-TREE", "%s: it comes in order", name)
		got, _, err := s.Requests(t.Context(), c.f, llmproxy.Page{})
		require.NoError(t, err)
		require.Len(t, got, 1, name)
		require.Equal(t, c.want.ID, got[0].ID, name)
	}
	got, _, err := s.Requests(t.Context(), llmproxy.RequestFilter{ProjectID: cut.ProjectID, StatusFrom: 500, StatusTo: 600}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, failed.ID, got[0].ID)
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
