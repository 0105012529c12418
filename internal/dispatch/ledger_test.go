package dispatch

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// failsNow and then records, in whole or in part, and says that it has failed.
type failsNowAndThen struct {
	LedgerStore
	calls int
}

func (s *failsNowAndThen) Record(ctx context.Context, events []*llmproxy.Event) error {
	s.calls++
	switch s.calls % 3 {
	case 1:
		return errors.Join(s.LedgerStore.Record(ctx, events[:len(events)/2]), llmproxy.ErrUnavailable)
	case 2:
		return errors.Join(s.LedgerStore.Record(ctx, events), llmproxy.ErrUnavailable)
	}
	return s.LedgerStore.Record(ctx, events)
}

// TestTheLedgerEqualsTheEvents: whatever comes again, in whatever order, through a store that fails in the middle and a process that
// begins anew, the ledger says what the events say, and what it cannot take is a dead letter.
func TestTheLedgerEqualsTheEvents(t *testing.T) {
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ledger.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	destination, err := Open("ledger", Settings{Ledger: LedgerConfig{
		Store: &failsNowAndThen{LedgerStore: store}, Now: func() time.Time { return storetest.Noon.Add(time.Hour) },
	}})
	require.NoError(t, err)

	told := storetest.Told{}
	source := newSource()
	source.add(llmproxy.NewTestEvent(storetest.Noon)) // counts nowhere
	for n := range 300 {
		e := storetest.LedgerEvent(n, storetest.Noon.Add(time.Duration(n)*time.Second))
		if n%5 == 0 {
			lost := (&llmproxy.Begin{ID: e.ID, Time: e.Time, TokenID: e.TokenID, ProjectID: e.ProjectID, Method: e.Method, Path: e.Path}).Lost()
			source.add(lost)
			told.Tell(lost)
		}
		if n%10 != 0 {
			source.add(e)
			told.Tell(e)
		}
		if n%7 == 0 && n%10 != 0 {
			source.add(e)
		}
	}
	tooMuch, tooDear, negative := int64(llmproxy.MaxUnits+1), 2*float64(llmproxy.MaxCostUSD), int64(-1)
	poison := map[llmproxy.EventID]bool{}
	for _, u := range []*llmproxy.Usage{{Input: &tooMuch}, {CostUSD: &tooDear}, {Output: &negative}} {
		e := storetest.LedgerEvent(1, storetest.Noon)
		e.Usage = u
		source.add(e)
		poison[e.ID] = true
	}
	old := storetest.LedgerEvent(1, storetest.Noon.Add(-llmproxy.LedgerTakes))
	source.add(old)
	poison[old.ID] = true

	dead := filepath.Join(t.TempDir(), "dead.jsonl")
	for again := range 2 { // the second time all of it is replayed
		from := source.restart()
		if again == 1 {
			from.cursor, from.read, from.note = 0, 0, nil
		}
		loop := New(Config{Name: "ledger", Source: from, Destination: destination, DeadLetters: dead, BatchSize: 60, Linger: time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- loop.Run(ctx) }()
		require.Eventually(t, func() bool { return from.committed() == len(from.events) }, 30*time.Second, 5*time.Millisecond)
		cancel()
		require.NoError(t, <-ended)
		storetest.RequireTold(t, store, told)
	}
	for _, l := range letters(t, dead) {
		require.True(t, poison[l.Event.ID], l.Reason)
	}
	require.Len(t, letters(t, dead), len(poison))
}

func TestALedgerNeedsAStore(t *testing.T) {
	_, err := Open("ledger", Settings{})
	require.EqualError(t, err, "the ledger destination needs a store")
}
