package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func session(n byte) llmproxy.Session {
	return llmproxy.Session{Hash: llmproxy.SessionHash{n}, User: "admin ✓", CreatedAt: Noon, ExpiresAt: Noon.Add(30 * time.Minute)}
}

func testSessions(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	ctx := context.Background()
	one, two := session(1), session(2)
	require.NoError(t, s.CreateSession(ctx, one, Entry("session.create", Noon)))
	require.NoError(t, other.CreateSession(ctx, two, Entry("session.create", Noon)))
	for _, handle := range []Store{s, other} {
		got, err := handle.Session(ctx, one.Hash)
		require.NoError(t, err)
		require.Equal(t, one, got)
		_, err = handle.Session(ctx, llmproxy.SessionHash{3})
		require.ErrorIs(t, err, llmproxy.ErrNotFound)
	}

	one.ExpiresAt = one.ExpiresAt.Add(time.Hour)
	require.NoError(t, other.ExtendSession(ctx, one))
	got, err := s.Session(ctx, one.Hash)
	require.NoError(t, err)
	require.Equal(t, one, got)

	require.NoError(t, s.EndSession(ctx, one.Hash, Entry("session.end", Noon)))
	for _, handle := range []Store{s, other} {
		_, err := handle.Session(ctx, one.Hash)
		require.ErrorIs(t, err, llmproxy.ErrNotFound, "ended for everybody at once")
		got, err := handle.Session(ctx, two.Hash)
		require.NoError(t, err)
		require.Equal(t, two, got, "the other session goes on")
	}
}

func testSessionEntries(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	entries := func() (actions []string) {
		all, _, err := s.Audit(ctx, llmproxy.AuditFilter{}, llmproxy.Page{})
		require.NoError(t, err)
		for _, e := range all {
			actions = append(actions, e.Action)
		}
		return actions
	}
	begun := Entry("session.create", Noon)
	require.NoError(t, s.CreateSession(ctx, session(1), begun))
	require.Equal(t, []string{"session.create"}, entries())

	require.Error(t, s.CreateSession(ctx, session(2), begun), "the entry's id is taken")
	_, err := s.Session(ctx, session(2).Hash)
	require.ErrorIs(t, err, llmproxy.ErrNotFound, "what cannot be audited does not happen")
	require.Error(t, s.CreateSession(ctx, session(1), Entry("session.create", Noon)), "the session's hash is taken")
	require.Error(t, s.EndSession(ctx, session(1).Hash, begun))
	_, err = s.Session(ctx, session(1).Hash)
	require.NoError(t, err)

	require.ErrorIs(t, s.EndSession(ctx, session(3).Hash, Entry("session.end", Noon)), llmproxy.ErrNotFound)
	require.Equal(t, []string{"session.create"}, entries(), "nothing happened, nothing is told")

	// Of several that end one session at once, one does.
	var ended atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		handle := s
		if i%2 == 1 {
			handle = engine.Again(t, s)
		}
		wg.Go(func() {
			if handle.EndSession(ctx, session(1).Hash, Entry("session.end", Noon.Add(time.Minute))) == nil {
				ended.Add(1)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), ended.Load())
	require.Equal(t, []string{"session.end", "session.create"}, entries())
}

func testExtendEnded(t *testing.T, engine Engine) {
	ctx := context.Background()
	s := engine.Open(t)
	other := engine.Again(t, s)
	require.ErrorIs(t, s.ExtendSession(ctx, session(9)), llmproxy.ErrNotFound)
	for n := range byte(engine.Rounds) {
		require.NoError(t, s.CreateSession(ctx, session(n), Entry("session.create", Noon)))
		var wg sync.WaitGroup
		wg.Go(func() { _ = other.ExtendSession(ctx, session(n)) }) // before the end or too late: either is right
		wg.Go(func() {
			if err := s.EndSession(ctx, session(n).Hash, Entry("session.end", Noon)); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		_, err := other.Session(ctx, session(n).Hash)
		require.ErrorIs(t, err, llmproxy.ErrNotFound, "sign-out is final")
	}
}

func attempt(at time.Time, keys ...byte) llmproxy.SignIn {
	a := llmproxy.SignIn{At: at, Max: 5, Within: time.Minute}
	for _, k := range keys {
		a.Keys = append(a.Keys, [32]byte{k})
	}
	return a
}

func testSignIns(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	ctx := context.Background()
	var counted atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		handle := s
		if i%2 == 1 {
			handle = other
		}
		wg.Go(func() { // one user, from everywhere
			wait, err := handle.CountSignIn(ctx, attempt(Noon, 1, byte(100+i)))
			switch {
			case err != nil:
				t.Error(err)
			case wait == 0:
				counted.Add(1)
			case wait != time.Minute:
				t.Errorf("to wait %s, not a minute", wait)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(5), counted.Load())

	// What was refused by one key has not counted against the other.
	for range 5 {
		wait, err := s.CountSignIn(ctx, attempt(Noon, 1, 2))
		require.NoError(t, err)
		require.Equal(t, time.Minute, wait)
	}
	wait, err := s.CountSignIn(ctx, attempt(Noon, 3, 2))
	require.NoError(t, err)
	require.Zero(t, wait)
}

func testSignInsPass(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	wait := func(after time.Duration) time.Duration {
		t.Helper()
		wait, err := s.CountSignIn(ctx, attempt(Noon.Add(after), 1, 2))
		require.NoError(t, err)
		return wait
	}
	for i := range 5 {
		require.Zero(t, wait(time.Duration(i)*10*time.Second))
	}
	require.Equal(t, 15*time.Second, wait(45*time.Second), "until the first one no longer counts")
	require.Equal(t, time.Millisecond, wait(time.Minute-time.Millisecond))
	require.Zero(t, wait(time.Minute))
	require.Equal(t, 10*time.Second, wait(time.Minute), "the next one frees the next place: no more than five in any minute")
	require.Zero(t, wait(time.Hour))
}

func testSignInsForgiven(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	count := func(want time.Duration) {
		t.Helper()
		wait, err := s.CountSignIn(ctx, attempt(Noon, 1, 2))
		require.NoError(t, err)
		require.Equal(t, want, wait)
	}
	for range 4 {
		count(0)
	}
	for range 10 {
		count(0)
		require.NoError(t, s.ForgiveSignIn(ctx, attempt(Noon, 1, 2)))
	}
	count(0)
	count(time.Minute)
	require.NoError(t, s.ForgiveSignIn(ctx, attempt(Noon.Add(time.Second), 1, 2)), "there is none of that moment")
	require.NoError(t, s.ForgiveSignIn(ctx, attempt(Noon, 7)), "nor of that key")
	count(time.Minute)
}
