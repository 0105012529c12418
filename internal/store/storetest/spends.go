package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func spend(s Store, id llmproxy.TokenID, hash llmproxy.TokenHash, at time.Time) error {
	_, _, err := s.Spend(context.Background(), id, hash, at)
	return err
}

func testSpend(t *testing.T, engine Engine) {
	s := engine.Open(t)
	p := AddProject(t, s, func(p *llmproxy.Project) {
		p.Capture, p.Endpoints = llmproxy.CaptureMetadata, []llmproxy.EndpointGroup{llmproxy.GroupInference, llmproxy.GroupStored}
	})
	id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) {
		g.MaxRequests, g.RequestsPerHour, g.RequestHeadersDrop = 10, 5, []string{"X-Private"}
	})
	for n := int64(1); n <= 3; n++ {
		token, project, err := s.Spend(context.Background(), id, hash, Noon)
		require.NoError(t, err)
		require.Equal(t, id, token.ID)
		require.Equal(t, p.ID, token.ProjectID)
		require.Equal(t, n, token.RequestCount)
		require.Equal(t, []string{"X-Private"}, token.RequestHeadersDrop)
		require.True(t, token.Active)
		require.Equal(t, llmproxy.Project{ID: p.ID, Provider: "openai", Active: true, SealedKey: "v1.fake.sealed", Capture: llmproxy.CaptureMetadata, Endpoints: p.Endpoints}, project)
	}
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	require.Equal(t, int64(3), token.RequestCount)
	require.Equal(t, Noon, token.LastUsedAt)

	_, project, err := s.Spend(context.Background(), id, hash, Noon)
	require.NoError(t, err)
	project.Endpoints[0] = "scribbled"
	_, project, err = s.Spend(context.Background(), id, hash, Noon)
	require.NoError(t, err)
	require.Equal(t, llmproxy.GroupStored, project.Endpoints[1])
}

func testRefusals(t *testing.T, engine Engine) {
	s := engine.Open(t)
	p := AddProject(t, s)
	asleep := AddProject(t, s, func(p *llmproxy.Project) { p.Active = false })
	cases := []struct {
		name    string
		project llmproxy.ProjectID
		change  func(*llmproxy.Gate)
		at      time.Time
		want    error
	}{
		{"revoked", p.ID, func(g *llmproxy.Gate) { g.Active, g.RevokedAt = false, Noon }, Noon, llmproxy.ErrRevoked},
		{"expires now", p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = Noon }, Noon, llmproxy.ErrExpired},
		{"a millisecond left", p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = Noon.Add(time.Millisecond) }, Noon, nil},
		{"the clock stepped back", p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = Noon }, Noon.Add(-5 * time.Minute), nil},
		{"project asleep", asleep.ID, func(*llmproxy.Gate) {}, Noon, llmproxy.ErrProjectInactive},
		{"revoked in a project asleep", asleep.ID, func(g *llmproxy.Gate) { g.Active = false }, Noon, llmproxy.ErrRevoked},
	}
	for _, c := range cases {
		id, hash := AddToken(t, s, c.project, c.change)
		token, _, err := s.Spend(context.Background(), id, hash, c.at)
		require.ErrorIs(t, err, c.want, c.name)
		require.Equal(t, id, token.ID, "%s: a known token is returned beside the error", c.name)
		require.Equal(t, c.project, token.ProjectID, c.name)
		if c.want != nil && !errors.Is(c.want, llmproxy.ErrProjectInactive) {
			stored, err := s.Token(context.Background(), id)
			require.NoError(t, err)
			require.Zero(t, stored.RequestCount, "%s: nothing is counted", c.name)
		}
	}

	unknown := llmproxy.NewTokenID(Noon)
	token, project, err := s.Spend(context.Background(), unknown, llmproxy.TokenHash{}, Noon)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	require.Zero(t, token)
	require.Zero(t, project)
	id, _ := AddToken(t, s, p.ID)
	for _, hash := range []llmproxy.TokenHash{{}, {1}} {
		token, _, err = s.Spend(context.Background(), id, hash, Noon)
		require.ErrorIs(t, err, llmproxy.ErrNotFound, "another secret of a known token")
		require.Zero(t, token, "tells nothing")
	}
}

// race runs n spends at once and returns how many were admitted. Every other error must be refusal.
func race(t *testing.T, n int, spendOne func(i int) error, refusal error) int {
	t.Helper()
	var admitted, odd atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			switch err := spendOne(i); {
			case err == nil:
				admitted.Add(1)
			case !errors.Is(err, refusal):
				odd.Add(1)
				t.Errorf("a spend ended with %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	require.Zero(t, odd.Load())
	return int(admitted.Load())
}

func testExactCap(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	p := AddProject(t, s)
	for round := range engine.Rounds {
		id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.MaxRequests = 50 })
		admitted := race(t, 300, func(i int) error {
			if i%2 == 0 {
				return spend(s, id, hash, Noon)
			}
			return spend(other, id, hash, Noon)
		}, llmproxy.ErrExhausted)
		require.Equal(t, 50, admitted, "round %d", round)
		token, err := s.Token(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, int64(50), token.RequestCount)
	}
}

// hourlyFull matches a full window.
type hourlyFull struct{}

func (hourlyFull) Error() string { return "hourly limit" }

func testHourly(t *testing.T, engine Engine) {
	s := engine.Open(t)
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.RequestsPerHour = 20 })
	for hour := range engine.Rounds {
		at := Noon.Add(time.Duration(hour) * time.Hour)
		admitted := race(t, 100, func(int) error {
			err := spend(s, id, hash, at)
			var full *llmproxy.RateLimitError
			if errors.As(err, &full) {
				if full.RetryAfter != 30*time.Minute {
					return fmt.Errorf("wait %s", full.RetryAfter)
				}
				return hourlyFull{}
			}
			return err
		}, hourlyFull{})
		require.Equal(t, 20, admitted, "hour %d", hour)
	}
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	require.Equal(t, int64(20*engine.Rounds), token.RequestCount)
}

// testLate: at the full hour requests overtake each other, and clocks differ. However they mix, two hours admit no more than two hours'
// worth.
func testLate(t *testing.T, engine Engine) {
	s := engine.Open(t)
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.RequestsPerHour = 3 })
	next := Noon.Add(30 * time.Minute)
	late := next.Add(-time.Millisecond)
	admitted := 0
	for range 10 {
		for _, at := range []time.Time{late, next} {
			err := spend(s, id, hash, at)
			var full *llmproxy.RateLimitError
			if errors.As(err, &full) {
				require.Positive(t, full.RetryAfter)
				continue
			}
			require.NoError(t, err)
			admitted++
		}
	}
	require.LessOrEqual(t, admitted, 6)
	require.GreaterOrEqual(t, admitted, 3)
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	require.Equal(t, int64(admitted), token.RequestCount)
	require.NoError(t, spend(s, id, hash, next.Add(time.Hour)), "the hour after begins anew")
}
