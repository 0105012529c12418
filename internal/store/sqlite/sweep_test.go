package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

func TestASweepRemovesSessionsAndSignInsThatAreOver(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "sweep.db"))
	for n, lasts := range []time.Duration{time.Minute, time.Hour} {
		require.NoError(t, s.CreateSession(t.Context(), llmproxy.Session{Hash: llmproxy.SessionHash{byte(n)}, User: "admin", CreatedAt: storetest.Noon, ExpiresAt: storetest.Noon.Add(lasts)}, storetest.Entry("session.create", storetest.Noon)))
	}
	_, err := s.CountSignIn(t.Context(), llmproxy.SignIn{At: storetest.Noon, Keys: [][32]byte{{1}, {2}}, Max: 5, Within: time.Minute})
	require.NoError(t, err)

	removed, err := s.Sweep(t.Context(), storetest.Noon.Add(time.Minute-time.Millisecond))
	require.NoError(t, err)
	require.Zero(t, removed)
	removed, err = s.Sweep(t.Context(), storetest.Noon.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, int64(3), removed, "a session and an attempt's two keys")
	_, err = s.Session(t.Context(), llmproxy.SessionHash{0})
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	_, err = s.Session(t.Context(), llmproxy.SessionHash{1})
	require.NoError(t, err)
}
