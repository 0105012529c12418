package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// admission bounds what one token or one source may ask of this process before the store is asked: a token's requests under way, and
// unknown tokens tried a minute.
type admission struct {
	perToken         int // 0 is no cap
	unknownPerMinute int // 0 is no limit

	shards [16]admissionShard

	sourcesMu sync.Mutex
	sources   map[string]unknownCount // address without port
	throttled atomic.Int64            // end of the last window with a source over its limit, in Unix ns: until then sources are looked at
}

// admissionShard has the tokens whose id ends in its number.
type admissionShard struct {
	mu    sync.Mutex
	slots map[llmproxy.TokenID]*slot
}

// slot is what this process knows of a token.
type slot struct {
	shard    *admissionShard
	id       llmproxy.TokenID
	inflight int         // guarded by shard.mu
	admitted atomic.Bool // a spend of it succeeded here
}

// unknownCount counts a source's unknown tokens in the minute that began at since.
type unknownCount struct {
	since time.Time
	n     int
}

// Memory is bounded by these: slots of a shard, beyond which idle ones are forgotten, and sources remembered.
const (
	maxIdleSlots = 1024
	maxSources   = 4096
)

func newAdmission(perToken, unknownPerMinute int) *admission {
	a := &admission{perToken: perToken, unknownPerMinute: unknownPerMinute, sources: map[string]unknownCount{}}
	for i := range a.shards {
		a.shards[i].slots = map[llmproxy.TokenID]*slot{}
	}
	return a
}

// enter takes a place for a request of the token, to be given back with leave.
func (a *admission) enter(id llmproxy.TokenID, remoteAddr string, now time.Time) (*slot, *refusal) {
	shard := &a.shards[id.UUID[15]%byte(len(a.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s := shard.slots[id]
	if (s == nil || !s.admitted.Load()) && a.isThrottled(remoteAddr, now) {
		return nil, refuseUnknownTokens
	}
	if s == nil {
		if len(shard.slots) >= maxIdleSlots {
			shard.forgetIdle()
		}
		s = &slot{shard: shard, id: id}
		shard.slots[id] = s
	}
	if a.perToken > 0 && s.inflight >= a.perToken {
		return nil, refuseTooManyAtOnce
	}
	s.inflight++
	return s, nil
}

// admitted notes that a spend of the token succeeded.
func (a *admission) admitted(s *slot) {
	if !s.admitted.Load() {
		s.admitted.Store(true)
	}
}

// leave gives a place back.
func (a *admission) leave(s *slot) {
	s.shard.mu.Lock()
	s.inflight--
	if s.inflight == 0 && !s.admitted.Load() {
		delete(s.shard.slots, s.id)
	}
	s.shard.mu.Unlock()
}

// forgetIdle drops the tokens that have no request under way.
func (s *admissionShard) forgetIdle() {
	for id, slot := range s.slots {
		if slot.inflight == 0 {
			delete(s.slots, id)
		}
	}
}

// unknown counts an unknown token that a source has tried.
func (a *admission) unknown(remoteAddr string, now time.Time) {
	if a.unknownPerMinute <= 0 {
		return
	}
	source := sourceOf(remoteAddr)
	a.sourcesMu.Lock()
	defer a.sourcesMu.Unlock()
	c := a.sources[source]
	if c.since.IsZero() || now.Sub(c.since) >= time.Minute {
		if len(a.sources) >= maxSources {
			a.forgetSources(now)
		}
		c = unknownCount{since: now}
	}
	c.n++
	a.sources[source] = c
	if c.n >= a.unknownPerMinute {
		a.throttled.Store(max(a.throttled.Load(), c.since.Add(time.Minute).UnixNano()))
	}
}

// forgetSources drops the sources whose minute is over, and if most are current, any of them: a flood from many addresses must not fill
// the memory, nor look through it for each address.
func (a *admission) forgetSources(now time.Time) {
	for source, c := range a.sources {
		if now.Sub(c.since) >= time.Minute {
			delete(a.sources, source)
		}
	}
	for source := range a.sources {
		if len(a.sources) <= maxSources/2 {
			return
		}
		delete(a.sources, source)
	}
}

// isThrottled reports whether the source has tried too many unknown tokens this minute.
func (a *admission) isThrottled(remoteAddr string, now time.Time) bool {
	if a.unknownPerMinute <= 0 || now.UnixNano() >= a.throttled.Load() {
		return false
	}
	a.sourcesMu.Lock()
	defer a.sourcesMu.Unlock()
	c := a.sources[sourceOf(remoteAddr)]
	return c.n >= a.unknownPerMinute && now.Sub(c.since) < time.Minute
}

// sourceOf is the host of the connection's peer.
func sourceOf(remoteAddr string) string {
	if host, _, err := net.SplitHostPort(remoteAddr); err == nil {
		return host
	}
	return remoteAddr
}
