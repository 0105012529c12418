package proxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

func TestBreakerOpensAfterFailuresInARowAndLetsOneProbeThrough(t *testing.T) {
	b := newBreaker(provider.Breaker{Failures: 3, Window: 10 * time.Second, Cooldown: 5 * time.Second})
	at := time.Unix(1e9, 0)
	allow := func() permit { p, _ := b.allow(at); return p }

	b.fail(at, false)
	b.fail(at, false)
	b.succeed(false)
	b.fail(at, false)
	b.fail(at, false)
	require.Equal(t, permitPass, allow(), "a success starts the count anew")
	b.fail(at, false)
	require.Equal(t, permitNone, allow(), "three in a row")
	_, wait := b.allow(at.Add(2 * time.Second))
	require.Equal(t, 3*time.Second, wait)

	at = at.Add(5 * time.Second)
	require.Equal(t, permitProbe, allow(), "after the cooldown")
	require.Equal(t, permitNone, allow(), "only one probe at a time")
	b.fail(at, false)
	require.Equal(t, permitNone, allow(), "a late failure of before changes nothing")
	b.fail(at, true)
	require.Equal(t, permitNone, allow(), "a failed probe opens it anew")

	at = at.Add(5 * time.Second)
	require.Equal(t, permitProbe, allow())
	b.release()
	require.Equal(t, permitProbe, allow(), "a probe that was never sent is given back")
	b.succeed(true)
	require.Equal(t, permitPass, allow())
	require.Equal(t, permitPass, allow(), "closed for all")
}

func TestBreakerForgetsOldFailures(t *testing.T) {
	b := newBreaker(provider.Breaker{Failures: 3, Window: 10 * time.Second, Cooldown: time.Second})
	at := time.Unix(1e9, 0)
	for range 20 {
		b.fail(at, false)
		at = at.Add(6 * time.Second)
	}
	p, _ := b.allow(at)
	require.Equal(t, permitPass, p, "never three within the window")
	b.fail(at, false)
	b.fail(at, false)
	p, _ = b.allow(at)
	require.Equal(t, permitNone, p)
}

func TestBreakerThatIsOff(t *testing.T) {
	b := newBreaker(provider.Breaker{})
	for range 100 {
		b.fail(time.Now(), false)
	}
	p, _ := b.allow(time.Now())
	require.Equal(t, permitPass, p)
}
