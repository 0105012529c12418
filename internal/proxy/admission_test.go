package proxy

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestATokenHasSoManyRequestsUnderWayAtOnce(t *testing.T) {
	a := newAdmission(2, 0)
	now := time.Unix(1e9, 0)
	id, other := llmproxy.NewTokenID(now), llmproxy.NewTokenID(now)
	first, no := a.enter(id, "192.0.2.1:1", now)
	require.Nil(t, no)
	_, no = a.enter(id, "192.0.2.1:1", now)
	require.Nil(t, no)
	_, no = a.enter(id, "192.0.2.1:1", now)
	require.Equal(t, refuseTooManyAtOnce, no)
	_, no = a.enter(other, "192.0.2.1:1", now)
	require.Nil(t, no, "other tokens are not concerned")
	a.leave(first)
	_, no = a.enter(id, "192.0.2.1:1", now)
	require.Nil(t, no)
}

func TestASourceOfUnknownTokensIsThrottledAndNobodyElse(t *testing.T) {
	a := newAdmission(0, 60)
	now := time.Unix(1e9, 0)
	known := llmproxy.NewTokenID(now)
	slot, no := a.enter(known, "192.0.2.1:1", now)
	require.Nil(t, no)
	a.admitted(slot)
	a.leave(slot)

	try := func(source string) *refusal {
		s, no := a.enter(llmproxy.NewTokenID(now), source, now)
		if no == nil {
			a.unknown(source, now)
			a.leave(s)
		}
		return no
	}
	for i := range 60 {
		require.Nil(t, try("192.0.2.1:"+strconv.Itoa(i)))
	}
	require.Equal(t, refuseUnknownTokens, try("192.0.2.1:99"))
	require.Nil(t, try("192.0.2.2:1"), "another source")
	_, no = a.enter(known, "192.0.2.1:1", now)
	require.Nil(t, no, "an id that was admitted before")
	now = now.Add(time.Minute)
	require.Nil(t, try("192.0.2.1:1"), "the next minute")
}

func TestAdmissionMemoryIsBounded(t *testing.T) {
	a := newAdmission(1, 1)
	now := time.Unix(1e9, 0)
	for i := range 3 * maxSources {
		a.unknown("192.0.2."+strconv.Itoa(i), now)
	}
	require.LessOrEqual(t, len(a.sources), maxSources)
	for range 3 * maxIdleSlots * len(a.shards) {
		s, no := a.enter(llmproxy.NewTokenID(now), "[::1]:1", now)
		require.Nil(t, no)
		a.admitted(s)
		a.leave(s)
	}
	for i := range a.shards {
		require.LessOrEqual(t, len(a.shards[i].slots), maxIdleSlots)
	}
}
