package dynamo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestOwnersAreBoundedAndKeepThoseInUse(t *testing.T) {
	var o owners
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	project := llmproxy.NewProjectID(now)
	busy, idle := llmproxy.NewTokenID(now), llmproxy.NewTokenID(now)
	_, known := o.of(busy)
	require.False(t, known)
	o.remember(busy, project)
	o.remember(idle, project)
	for range 3 * ownersPerGeneration {
		o.remember(llmproxy.NewTokenID(now), llmproxy.NewProjectID(now))
		got, known := o.of(busy)
		require.True(t, known)
		require.Equal(t, project, got)
		require.LessOrEqual(t, len(o.young)+len(o.older), 2*ownersPerGeneration)
	}
	_, known = o.of(idle)
	require.False(t, known, "what nobody asks for goes")
}
