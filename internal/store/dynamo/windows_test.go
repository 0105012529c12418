package dynamo_test

import (
	"context"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// windowsOf are the hours that a token's row counts, relative to noon.
func windowsOf(t *testing.T, cfg dynamo.Config, id llmproxy.TokenID) (hours []int) {
	t.Helper()
	for name := range rowOf(t, cfg, id) {
		if digits, ok := strings.CutPrefix(name, "w"); ok {
			var hour int64
			for _, c := range digits {
				hour = hour*10 + int64(c-'0')
			}
			hours = append(hours, int(hour-llmproxy.HourOf(storetest.Noon)))
		}
	}
	sort.Ints(hours)
	return hours
}

// TestALateSpendCountsInItsOwnHour: near the end of an hour requests overtake each other, and clocks differ. The window before the
// newest one is kept, so that no hour begins twice.
func TestALateSpendCountsInItsOwnHour(t *testing.T) {
	s := open(t, newTables(t, patient))
	p := storetest.AddProject(t, s)
	id, hash := storetest.AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.RequestsPerHour = 2 })
	next := storetest.Noon.Add(30 * time.Minute)
	late := next.Add(-time.Millisecond)
	at := func(now time.Time) error {
		_, _, err := s.Spend(context.Background(), id, hash, now)
		return err
	}
	require.NoError(t, at(late))
	require.NoError(t, at(late))
	require.NoError(t, at(next))
	var full *llmproxy.RateLimitError
	require.ErrorAs(t, at(late), &full, "its hour is full, though the next one has begun")
	require.Equal(t, time.Millisecond, full.RetryAfter)
	require.NoError(t, at(next))
	require.ErrorAs(t, at(next), &full, "and the late one did not empty the next one's")
}

// TestOldWindowsAreRemoved: hour by hour by the spends themselves, after a pause by a second update that Close waits for.
func TestOldWindowsAreRemoved(t *testing.T) {
	cfg := newTables(t, patient)
	s := dynamo.New(engine(t).Config(), cfg)
	p := storetest.AddProject(t, s)
	id, hash := storetest.AddToken(t, s, p.ID)
	var calls recorder
	awsConfig := engine(t).Config()
	calls.record(&awsConfig)
	recorded := dynamo.New(awsConfig, cfg)
	for hour := range 4 {
		_, _, err := recorded.Spend(context.Background(), id, hash, storetest.Noon.Add(time.Duration(hour)*time.Hour))
		require.NoError(t, err)
	}
	require.Equal(t, []int{2, 3}, windowsOf(t, cfg, id))
	require.Len(t, calls.taken(), 8, "hour by hour there is no second update")

	_, _, err := recorded.Spend(context.Background(), id, hash, storetest.Noon.Add(100*time.Hour))
	require.NoError(t, err)
	require.NoError(t, recorded.Close(), "waits for the clean-up")
	require.Equal(t, []int{100}, windowsOf(t, cfg, id))
	require.Len(t, calls.taken(), 3)
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	require.Equal(t, int64(5), token.RequestCount)
	require.NoError(t, s.Close())
}

// TestACleanUpMakesNoRowAnew: the row may have gone between the spend and its clean-up.
func TestACleanUpMakesNoRowAnew(t *testing.T) {
	cfg := newTables(t, patient)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	id, hash := storetest.AddToken(t, setup, p.ID)
	require.NoError(t, spend(setup, id, hash))
	client := dynamodb.NewFromConfig(engine(t).Config())
	awsConfig := engine(t).Config()
	intercept(func(input any, call func() (any, error)) (any, error) {
		if update, ok := input.(*dynamodb.UpdateItemInput); ok && strings.HasPrefix(*update.UpdateExpression, "REMOVE") {
			_, err := client.DeleteItem(context.Background(), &dynamodb.DeleteItemInput{TableName: update.TableName, Key: update.Key})
			if err != nil {
				return nil, err
			}
		}
		return call()
	})(&awsConfig)
	s := dynamo.New(awsConfig, cfg)
	_, _, err := s.Spend(context.Background(), id, hash, storetest.Noon.Add(100*time.Hour))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Empty(t, rowOf(t, cfg, id))
}

// TestCleanUpsAreBounded: while the engine holds them up, further ones are left to later spends, and no spend waits.
func TestCleanUpsAreBounded(t *testing.T) {
	cfg := newTables(t, patient)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	hold := make(chan struct{})
	var begun atomic.Int64
	awsConfig := engine(t).Config()
	intercept(func(input any, call func() (any, error)) (any, error) {
		if update, ok := input.(*dynamodb.UpdateItemInput); ok && strings.HasPrefix(*update.UpdateExpression, "REMOVE") {
			begun.Add(1)
			<-hold
		}
		return call()
	})(&awsConfig)
	s := dynamo.New(awsConfig, cfg)
	var last llmproxy.TokenID
	for range 10 {
		id, hash := storetest.AddToken(t, setup, p.ID)
		last = id
		require.NoError(t, spend(setup, id, hash))
		_, _, err := s.Spend(context.Background(), id, hash, storetest.Noon.Add(100*time.Hour))
		require.NoError(t, err)
	}
	close(hold)
	require.NoError(t, s.Close())
	require.Equal(t, int64(4), begun.Load())
	require.Equal(t, []int{0, 100}, windowsOf(t, cfg, last), "left for the next spend")
}
