package proxy

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPatienceEndsWhatWaitsTooLongForOneThing(t *testing.T) {
	for _, what := range []waiting{forCaller, forHead, forBody, forWrite} {
		expired := make(chan waiting, 1)
		p := patience{expire: func(w waiting) {
			select {
			case expired <- w:
			default:
			}
		}}
		p.begin(20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond)
		p.wait(what)
		require.Equal(t, what, <-expired)
		require.Equal(t, what, <-expired, "again: what was ended may have come at that moment, and something else be waited for")
		p.end()
	}
}

func TestPatienceOfNothingHasNoLimit(t *testing.T) {
	expired := make(chan waiting, 1)
	p := patience{expire: func(w waiting) {
		select {
		case expired <- w:
		default:
		}
	}}
	defer p.end()
	p.begin(time.Millisecond, time.Millisecond, time.Millisecond)
	time.Sleep(20 * time.Millisecond) // its timer fires several times
	require.Empty(t, expired)
	p.wait(forBody)
	require.Equal(t, forBody, <-expired)
}

// TestNothingIsDoneAfterTheEnd: the connection may serve another request by then, whose deadlines must not be touched. The timer is
// made to fire around the end.
func TestNothingIsDoneAfterTheEnd(t *testing.T) {
	for i := range 300 {
		var ended, late atomic.Bool
		p := patience{expire: func(waiting) {
			if ended.Load() {
				late.Store(true)
			}
		}}
		p.begin(time.Microsecond, 50*time.Microsecond, 50*time.Microsecond)
		p.wait(forBody)
		time.Sleep(time.Duration(i%100) * time.Microsecond)
		p.end()
		ended.Store(true)
		time.Sleep(60 * time.Microsecond)
		require.False(t, late.Load())
	}
}
