package faulttest

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

const (
	rounds     = 20
	racing     = 300
	cap50      = 50
	codeMax    = "token_exhausted"
	codeWindow = "rate_limit_exceeded"
)

// race sends racing requests at once with one token to two servers, and returns the answers. Numbers begin at first.
func race(h *house, servers [2]*server, token string, first int) []answer {
	answers := make([]answer, racing)
	inParallel(racing, func(i int) {
		answers[i] = h.get(servers[i%2].url+"/v1/models/"+strconv.Itoa(first+i), token)
	})
	return answers
}

// tally counts what answers say: 200, or the code of our error.
func tally(answers []answer) map[string]int {
	found := map[string]int{}
	for _, a := range answers {
		switch {
		case a.err != nil:
			found[a.err.Error()]++
		case a.status == http.StatusOK:
			found["200"]++
		default:
			found[strconv.Itoa(a.status)+" "+a.code()]++
		}
	}
	return found
}

func (u *upstream) executedFrom(first int) int {
	n := 0
	for number, keys := range u.executed() {
		if number >= first {
			n += len(keys)
		}
	}
	return n
}

// TestALifetimeCapIsExactOverTwoServers: 300 at once on a cap of 50 give exactly 50, whichever process they reach.
func TestALifetimeCapIsExactOverTwoServers(t *testing.T) {
	h := newHouse(t, nil)
	servers := [2]*server{h.start(), h.start()}
	for round := range rounds {
		id, token := h.mint(cap50, 0)
		first := round * racing
		require.Equal(t, map[string]int{"200": cap50, "429 " + codeMax: racing - cap50}, tally(race(h, servers, token, first)), "round %d", round)
		require.Equal(t, cap50, h.upstream.executedFrom(first), "the upstream's own list, round %d", round)
		stored, err := h.service.Token(t.Context(), id)
		require.NoError(t, err)
		require.EqualValues(t, cap50, stored.RequestCount)
	}
}

// TestAnHourlyWindowIsExactOverTwoServers: likewise, and Retry-After leads to the next full hour.
func TestAnHourlyWindowIsExactOverTwoServers(t *testing.T) {
	h := newHouse(t, nil)
	servers := [2]*server{h.start(), h.start()}
	first := 0
	for round := 0; round < rounds; first += racing {
		_, token := h.mint(0, cap50)
		began := time.Now()
		answers := race(h, servers, token, first)
		if llmproxy.HourOf(began) != llmproxy.HourOf(time.Now()) {
			continue // the next window began meanwhile
		}
		require.Equal(t, map[string]int{"200": cap50, "429 " + codeWindow: racing - cap50}, tally(answers), "round %d", round)
		require.Equal(t, cap50, h.upstream.executedFrom(first), "round %d", round)
		next := began.Truncate(time.Hour).Add(time.Hour)
		for _, a := range answers {
			if a.status == http.StatusOK {
				continue
			}
			seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
			require.NoError(t, err)
			wait := time.Duration(seconds) * time.Second
			require.WithinRange(t, next, began.Add(wait).Add(-2*time.Second), time.Now().Add(wait).Add(2*time.Second), "Retry-After: %d", seconds)
		}
		round++
	}
}

// change is something an operator does to a token under load, and what its callers get from then on.
type change struct {
	name string
	do   func(h *house, id llmproxy.TokenID) error
	then string // code of our error
}

var changes = []change{
	{"revoke", func(h *house, id llmproxy.TokenID) error { return h.service.RevokeTokens(h.t.Context(), operator, id) }, "token_revoked"},
	{"revoke all of the project", func(h *house, _ llmproxy.TokenID) error {
		_, err := h.service.RevokeProjectTokens(h.t.Context(), operator, h.project)
		return err
	}, "token_revoked"},
	{"expire", func(h *house, id llmproxy.TokenID) error {
		now := time.Now()
		_, err := h.service.UpdateToken(h.t.Context(), operator, id, manage.TokenPatch{ExpiresAt: &now})
		return err
	}, "token_expired"},
	{"lower the cap", func(h *house, id llmproxy.TokenID) error {
		_, err := h.service.UpdateToken(h.t.Context(), operator, id, manage.TokenPatch{MaxRequests: limit(1)})
		return err
	}, "token_exhausted"},
	{"rotate", func(h *house, id llmproxy.TokenID) error {
		_, _, err := h.service.RotateToken(h.t.Context(), operator, id, 0)
		return err
	}, "token_invalid"},
	{"deactivate the project", func(h *house, _ llmproxy.TokenID) error { return setActive(h, false) }, "project_inactive"},
}

func setActive(h *house, active bool) error {
	_, err := h.service.UpdateProject(h.t.Context(), operator, h.project, manage.ProjectPatch{Active: &active})
	return err
}

// callers send numbered requests until they are told to end.
type callers struct {
	next    atomic.Int64 // the newest number that was taken
	ending  atomic.Bool
	answers [1 << 16]answer
	done    chan struct{}
}

const callersAtOnce = 16

func call(h *house, servers [2]*server, token string, first int) *callers {
	return callBy(h, callersAtOnce, servers[:], token, first)
}

// callBy lets so many callers share the servers.
func callBy(h *house, many int, servers []*server, token string, first int) *callers {
	c := &callers{done: make(chan struct{})}
	c.next.Store(int64(first))
	go func() {
		defer close(c.done)
		inParallel(many, func(i int) {
			for !c.ending.Load() {
				n := int(c.next.Add(1)) // taken before it is sent
				if n-first >= len(c.answers) {
					return
				}
				c.answers[n-first] = h.get(servers[i%len(servers)].url+"/v1/models/"+strconv.Itoa(n), token)
			}
		})
	}()
	return c
}

// await waits until so many further numbers were taken.
func (c *callers) await(t *testing.T, more int64) {
	t.Helper()
	from := c.next.Load()
	require.Eventually(t, func() bool { return c.next.Load() >= from+more }, patience, time.Millisecond)
}

// numbersPerChange is more than the callers of one change take.
const numbersPerChange = 1 << 15

// TestAChangeHoldsForTheNextRequestSent: once an operator has been told that a change is made, no request that a caller sends after
// that reaches the provider, through whichever server.
func TestAChangeHoldsForTheNextRequestSent(t *testing.T) {
	for i, change := range changes {
		t.Run(change.name, func(t *testing.T) {
			h := newHouse(t, nil)
			servers := [2]*server{h.start(), h.start()}
			id, token := h.mint(0, 0)
			first := (i + 1) * numbersPerChange
			c := call(h, servers, token, first)
			c.await(t, 200)
			require.NoError(t, change.do(h, id))
			acknowledged := int(c.next.Load()) // every higher number is sent after this
			c.await(t, 200)
			c.ending.Store(true)
			<-c.done
			for n := range h.upstream.executed() {
				require.LessOrEqual(t, n, acknowledged, "request %d was sent after the change and reached the provider", n)
			}
			for n := acknowledged + 1; n <= int(c.next.Load()); n++ {
				require.Equal(t, change.then, c.answers[n-first].code(), "request %d", n)
			}
			require.Equal(t, http.StatusOK, c.answers[1].status, "it worked before")
		})
	}
}

// TestATokenExpiresOnTime: of the requests that are sent at or after its end none reaches the provider.
func TestATokenExpiresOnTime(t *testing.T) {
	h := newHouse(t, nil)
	servers := [2]*server{h.start(), h.start()}
	id, token := h.mint(0, 0)
	c := call(h, servers, token, 0)
	c.await(t, 10)
	end := time.Now().Add(700 * time.Millisecond).Truncate(time.Millisecond)
	_, err := h.service.UpdateToken(t.Context(), operator, id, manage.TokenPatch{ExpiresAt: &end})
	require.NoError(t, err)
	time.Sleep(time.Until(end))
	expired := int(c.next.Load())
	c.await(t, 200)
	c.ending.Store(true)
	<-c.done
	require.Equal(t, http.StatusOK, c.answers[1].status, "it worked before")
	for n := range h.upstream.executed() {
		require.LessOrEqual(t, n, expired, "request %d was sent after the token had expired", n)
	}
}

// TestANewProviderKeyHoldsForTheNextRequestSent, and a project that is activated again works again.
func TestANewProviderKeyHoldsForTheNextRequestSent(t *testing.T) {
	h := newHouse(t, nil)
	servers := [2]*server{h.start(), h.start()}
	_, token := h.mint(0, 0)
	c := call(h, servers, token, 0)
	c.await(t, 200)
	const newKey = "sk-fake-the-new-provider-key"
	key := llmproxy.NewSecret(newKey)
	_, err := h.service.UpdateProject(t.Context(), operator, h.project, manage.ProjectPatch{APIKey: &key})
	require.NoError(t, err)
	acknowledged := int(c.next.Load())
	c.await(t, 200)
	c.ending.Store(true)
	<-c.done
	executed := h.upstream.executed()
	require.Equal(t, []string{h.providerKey}, executed[1])
	for n := acknowledged + 1; n <= int(c.next.Load()); n++ {
		require.Equal(t, []string{newKey}, executed[n], "request %d was sent after the key was changed", n)
	}
	require.NoError(t, setActive(h, false))
	require.Equal(t, "project_inactive", h.get(servers[0].url+"/v1/models/1", token).code())
	require.NoError(t, setActive(h, true))
	require.Equal(t, http.StatusOK, h.get(servers[1].url+"/v1/models/1", token).status)
}
