package llmproxy_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestATestEventIsMarkedWhereverItGoes(t *testing.T) {
	e := llmproxy.NewTestEvent(noon)
	for _, line := range [][]byte{e.AppendJSON(nil), e.AppendMeta(nil)} {
		require.Contains(t, string(line), `"test":true`)
		var back llmproxy.Event
		require.NoError(t, json.Unmarshal(line, &back))
		require.True(t, back.Test)
		require.True(t, back.ProjectID.IsZero() && back.TokenID.IsZero(), "it is nobody's")
	}
	require.True(t, json.Valid(e.Request.Body.Head) && json.Valid(e.Response.Body.Head))
	require.NotContains(t, string(fullEvent().AppendJSON(nil)), `"test"`)
}
