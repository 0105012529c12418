package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// packs returns the days that have a pack, and those of them whose pack is of the day as it is now.
func packs(t *testing.T, s *Store) (all, good []int64) {
	t.Helper()
	for query, days := range map[string]*[]int64{
		`SELECT day FROM ledger_packs WHERE part = 0 ORDER BY day`:                                       &all,
		`SELECT day FROM ledger_packs JOIN ledger_days USING (day, changes) WHERE part = 7 ORDER BY day`: &good,
	} {
		var err error
		*days, err = list(context.Background(), s.readers, query, nil, func(r row) (day int64, err error) { return day, r.Scan(&day) })
		require.NoError(t, err)
	}
	return all, good
}

func eventOf(project, token byte, at time.Time, input int64) *llmproxy.Event {
	return &llmproxy.Event{
		ID: llmproxy.NewEventID(at), Time: at, Status: 200, Outcome: llmproxy.Complete, Model: "gpt-4o", Usage: &llmproxy.Usage{Input: &input},
		ProjectID: llmproxy.ProjectID{UUID: llmproxy.UUID{1: 1, 15: project}}, TokenID: llmproxy.TokenID{UUID: llmproxy.UUID{1: 2, 15: token}},
	}
}

// TestAPackIsOfItsDayAsItIs: the largest tokens are those of their rows, whatever comes late, from whatever process.
func TestAPackIsOfItsDayAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "packs.db")
	s, other := openAt(t, path), openAt(t, path)
	begin := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	first := llmproxy.HourOf(begin) / hoursOfDay
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	largest := func(s *Store, change ...func(*llmproxy.UsageFilter)) (tokens []byte) {
		f := llmproxy.UsageFilter{From: day(0), To: day(3), By: []llmproxy.Dimension{llmproxy.ByToken}}
		for _, c := range change {
			c(&f)
		}
		groups, err := s.Largest(t.Context(), f, llmproxy.SizeInput, 100)
		require.NoError(t, err)
		for _, g := range groups {
			tokens = append(tokens, g.TokenID.UUID[15])
		}
		return tokens
	}
	lost := eventOf(1, 1, day(0).Add(time.Hour), 0)
	lost.Outcome, lost.Usage = llmproxy.Lost, nil
	require.NoError(t, s.Record(t.Context(), []*llmproxy.Event{
		lost, eventOf(1, 1, day(0), 1), eventOf(1, 2, day(0).Add(24*time.Hour-time.Millisecond), 20), eventOf(2, 1, day(1), 300), eventOf(1, 2, day(2), 4000),
	}))
	require.Equal(t, []byte{2, 1}, largest(s))
	all, good := packs(t, s)
	require.Equal(t, []int64{first, first + 1}, all, "the last day is not over")
	require.Equal(t, all, good)
	require.Equal(t, []byte{2, 1}, largest(other), "read from packs")

	late := eventOf(1, 1, day(0).Add(time.Hour), 50_000)
	late.ID = lost.ID
	require.NoError(t, other.Record(t.Context(), []*llmproxy.Event{late}))
	_, good = packs(t, s)
	require.Equal(t, []int64{first + 1}, good)
	require.Equal(t, []byte{1, 2}, largest(s))
	require.NoError(t, s.Record(t.Context(), []*llmproxy.Event{eventOf(1, 2, day(1), 600_000), eventOf(1, 3, day(3), 1)}))
	_, err := s.Sweep(t.Context(), day(3))
	require.NoError(t, err)
	_, good = packs(t, s)
	require.Equal(t, []int64{first, first + 1, first + 2}, good, "a sweep makes those that are missing")
	require.Equal(t, []byte{2, 1}, largest(s))
	require.Equal(t, []byte{1, 2}, largest(s, func(f *llmproxy.UsageFilter) { f.To = day(1) }))
	require.Equal(t, []byte{2, 1}, largest(s, func(f *llmproxy.UsageFilter) { f.From, f.To = day(0).Add(23*time.Hour), day(2) }))
	require.Equal(t, []byte{1}, largest(s, func(f *llmproxy.UsageFilter) { f.ProjectID = llmproxy.ProjectID{UUID: llmproxy.UUID{1: 1, 15: 2}} }))
	require.Empty(t, largest(s, func(f *llmproxy.UsageFilter) { f.Model = "another" }))
	require.Equal(t, []byte{2, 1, 1}, largest(s, func(f *llmproxy.UsageFilter) {
		f.Model, f.By = "gpt-4o", []llmproxy.Dimension{llmproxy.ByModel, llmproxy.ByToken, llmproxy.ByProject}
	}), "the first's in both projects")

	_, err = s.Sweep(t.Context(), day(1).Add(llmproxy.LedgerKeepsHours))
	require.NoError(t, err)
	all, _ = packs(t, s)
	require.Equal(t, []int64{first + 1, first + 2}, all, "the first day is no longer kept")
	require.Equal(t, []byte{2, 1}, largest(s))
}

func TestADamagedPackIsNoFigure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "packs.db")
	s := openAt(t, path)
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	require.NoError(t, s.Record(t.Context(), []*llmproxy.Event{eventOf(1, 1, at, 1), eventOf(1, 1, at.AddDate(0, 0, 1), 1)}))
	f := llmproxy.UsageFilter{From: at, To: at.AddDate(0, 0, 1), By: []llmproxy.Dimension{llmproxy.ByToken}}
	_, err := s.Largest(t.Context(), f, llmproxy.SizeCost, 1)
	require.NoError(t, err)
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `UPDATE ledger_packs SET data = x'' WHERE part = 6`)
	require.NoError(t, err)
	_, err = s.Largest(t.Context(), f, llmproxy.SizeCost, 1)
	require.ErrorIs(t, err, errPack)
	_, err = s.Largest(t.Context(), f, llmproxy.SizeTotal, 1)
	require.NoError(t, err)

	var p *pack
	require.NoError(t, s.reading(t.Context(), func(conn *sqlite.Conn) error {
		p, err = makePack(conn, llmproxy.HourOf(at)/hoursOfDay)
		return err
	}))
	groups := 0
	count := func(*packGroup, llmproxy.Amount) { groups++ }
	require.NoError(t, p.each(llmproxy.SizeRequests, count))
	require.Equal(t, 1, groups)
	for n := range len(p[0]) {
		cut := *p
		cut[0] = p[0][:n]
		require.ErrorIs(t, cut.each(llmproxy.SizeRequests, count), errPack, "%d bytes of %d", n, len(p[0]))
	}
	p[0] = []byte{200, 1}
	require.ErrorIs(t, p.each(llmproxy.SizeRequests, count), errPack, "more than there is")
}

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
