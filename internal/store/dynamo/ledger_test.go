package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

var (
	_ dispatch.LedgerStore = (*dynamo.Ledger)(nil)
	_ manage.Ledger        = (*dynamo.Ledger)(nil)
)

// newLedgerTable makes a new, empty table, whose rows stay whatever the clock says.
func newLedgerTable(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("ledger-", tablesMade.Add(1))
	l := openLedger(t, name)
	require.NoError(t, l.CreateTable(context.Background()))
	_, err := dynamodb.NewFromConfig(engine(t).Config()).UpdateTimeToLive(context.Background(), &dynamodb.UpdateTimeToLiveInput{
		TableName: &name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(false)},
	})
	require.NoError(t, err)
	require.NoError(t, l.CreateTable(context.Background()), "one that is there is left alone")
	return name
}

// openLedger opens a ledger as another process would.
func openLedger(t testing.TB, table string, change ...func(*aws.Config)) *dynamo.Ledger {
	t.Helper()
	cfg := engine(t).Config()
	for _, c := range change {
		c(&cfg)
	}
	l := dynamo.NewLedger(cfg, dynamo.LedgerConfig{Table: table, Budget: time.Minute})
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// TestLedger: the whole suite, with exactly the actions that the roles are given.
func TestLedger(t *testing.T) {
	var seen actions
	tables := map[storetest.Ledger]string{}
	open := func(t *testing.T, table string) storetest.Ledger {
		l := openLedger(t, table, seen.watch)
		tables[l] = table
		return l
	}
	storetest.RunLedger(t, storetest.LedgerEngine{
		Open:   func(t *testing.T) storetest.Ledger { return open(t, newLedgerTable(t)) },
		Again:  func(t *testing.T, l storetest.Ledger) storetest.Ledger { return open(t, tables[l]) },
		Rounds: 10,
	})
	var want []string
	for _, action := range slices.Concat(dynamo.RecordActions, dynamo.ReadActions) {
		want = append(want, "ledger "+action)
	}
	slices.Sort(want)
	require.Equal(t, want, slices.Sorted(maps.Keys(seen.seen)))
}

// TestARecordWhoseAnswerIsLostCountsOnce: it was stored, the caller does not know, and tells all of it again.
func TestARecordWhoseAnswerIsLostCountsOnce(t *testing.T) {
	table := newLedgerTable(t)
	var mu sync.Mutex
	lost := 0
	l := openLedger(t, table, intercept(func(input any, call func() (any, error)) (any, error) {
		result, err := call()
		if _, ok := input.(*dynamodb.TransactWriteItemsInput); ok && err == nil {
			mu.Lock()
			defer mu.Unlock()
			if lost++; lost%2 == 1 {
				return nil, errors.New("the answer was lost")
			}
		}
		return result, err
	}))
	told := storetest.Told{}
	var events []*llmproxy.Event
	for n := range 50 {
		events = append(events, storetest.LedgerEvent(n, storetest.Noon.Add(time.Duration(n)*time.Minute)))
	}
	told.Tell(events...)
	failures := 0
	for {
		err := l.Record(context.Background(), events)
		if err == nil {
			break
		}
		require.ErrorIs(t, err, llmproxy.ErrUnavailable)
		failures++
	}
	require.Positive(t, failures)
	storetest.RequireTold(t, openLedger(t, table), told)
}

// TestAnEngineThatRefusesIsUnavailable: nothing is taken for stored, or for not there.
func TestAnEngineThatRefusesIsUnavailable(t *testing.T) {
	l := openLedger(t, "no-such-table")
	e := storetest.LedgerEvent(1, storetest.Noon)
	require.ErrorIs(t, l.Record(t.Context(), []*llmproxy.Event{e}), llmproxy.ErrUnavailable)
	_, err := l.Request(t.Context(), e.ID)
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
	for _, f := range []llmproxy.RequestFilter{{}, {ProjectID: e.ProjectID}} {
		_, _, err = l.Requests(t.Context(), f, llmproxy.Page{})
		require.ErrorIs(t, err, llmproxy.ErrUnavailable)
	}
	_, err = l.Usage(t.Context(), llmproxy.UsageFilter{From: storetest.Noon, To: storetest.Noon.Add(time.Hour)})
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
}
