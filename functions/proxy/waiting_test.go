//go:build unix

package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// With a bus that takes two seconds the caller has its last byte as early as with a fast one, though the process is frozen the moment it
// asks for its next invocation: medians of 50 calls differ by less than 10 ms, or half a call where the machine makes a call longer than that.
//
// The machine may be busy, and then a call takes as long as it likes. So slow and fast calls take turns, that whatever slows the machine
// down slows both; medians are compared, which a few late calls do not move; a process that is not warm or still busy with a slow bus is
// no part of what is measured, so there are more processes than can be busy; and a round that fails is followed by two more at most. If
// callers waited for the bus, each round would differ by a second.
func TestACallersAnswerEndsAsEarlyWithASlowBus(t *testing.T) {
	const calls, rounds, processes = 50, 3, 10
	s := start(t, 0)
	_, token := s.mint()
	s.cloud.set(func(c *cloud) { c.slow = "slow-bus" })
	header := bearer(token)
	header.Set("Content-Type", "application/json")
	slow, fast := strings.Replace(streamQuestion, "hello", "slow-bus", 1), strings.Replace(streamQuestion, "hello", "fast-bus", 1)

	var warming sync.WaitGroup
	for range processes {
		warming.Go(func() {
			// Each is held by its hook for a while, so that the next request needs another process.
			r, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/chat/completions", strings.NewReader(slow))
			r.Header = header.Clone()
			if got, err := s.client.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, got.Body)
				got.Body.Close()
			}
		})
	}
	warming.Wait()

	for name, client := range map[string]*http.Client{
		"keep-alive": {Transport: &http.Transport{}}, "fresh connections": {Transport: &http.Transport{DisableKeepAlives: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(client.CloseIdleConnections)
			call := func(body string) time.Duration {
				for {
					r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/chat/completions", strings.NewReader(body))
					require.NoError(t, err)
					r.Header = header.Clone()
					began := time.Now()
					got, err := client.Do(r)
					require.NoError(t, err)
					all, err := io.ReadAll(got.Body)
					took := time.Since(began)
					got.Body.Close()
					require.NoError(t, err)
					if got.StatusCode == http.StatusOK {
						require.True(t, strings.HasSuffix(string(all), "data: [DONE]\n\n"))
						return took
					}
					// All processes wait for the slow bus, or the store was too slow: that is no call of the kind that is measured.
					require.Contains(t, []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}, got.StatusCode, "%s", all)
					time.Sleep(50 * time.Millisecond)
				}
			}
			var difference, most time.Duration
			for round := range rounds {
				var ofSlow, ofFast []time.Duration
				for range calls {
					ofFast = append(ofFast, call(fast))
					ofSlow = append(ofSlow, call(slow))
				}
				slices.Sort(ofSlow)
				slices.Sort(ofFast)
				difference = ofSlow[calls/2] - ofFast[calls/2]
				t.Logf("round %d: p50 %v with a slow bus, %v with a fast one", round+1, ofSlow[calls/2], ofFast[calls/2])
				if most = min(time.Second/2, max(10*time.Millisecond, ofFast[calls/2]/2)); difference.Abs() < most {
					return
				}
			}
			require.Less(t, difference.Abs(), most, "in %d rounds", rounds)
		})
	}
}
