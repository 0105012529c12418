package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// swept notes when it was asked, and fails the first time.
type swept struct{ at []time.Time }

func (s *swept) Sweep(_ context.Context, now time.Time) (int64, error) {
	if s.at = append(s.at, now); len(s.at) == 1 {
		return 0, errors.New("the disk is full")
	}
	return 3, nil
}

func TestTheFirstSweepIsSoonAfterTheStartAndThenOneAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		ctx, cancel := context.WithCancel(t.Context())
		store, start := &swept{}, time.Now()
		go sweepLoop(ctx, store, zap.New(core))
		time.Sleep(2*time.Hour + 2*time.Minute)
		synctest.Wait()
		cancel()
		synctest.Wait()
		var after []time.Duration
		for _, at := range store.at {
			after = append(after, at.Sub(start))
		}
		require.Equal(t, []time.Duration{time.Minute, time.Hour + time.Minute, 2*time.Hour + time.Minute}, after)
		require.Equal(t, []string{"old tokens could not be removed", "removed what ended long ago", "removed what ended long ago"}, messages(logs))
	})
}

func messages(logs *observer.ObservedLogs) (all []string) {
	for _, e := range logs.All() {
		all = append(all, e.Message)
	}
	return all
}
