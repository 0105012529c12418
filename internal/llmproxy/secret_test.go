package llmproxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestSecretShowsItselfNowhere(t *testing.T) {
	const value = "sk-fake-canary-0123456789"
	s := llmproxy.NewSecret(value)
	holder := struct {
		Key llmproxy.Secret
		Ptr *llmproxy.Secret
	}{s, &s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", s, &s, holder)
	}
	encoded, err := json.Marshal(holder)
	require.NoError(t, err)
	out.Write(encoded)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", s, "holder", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", s, "holder", holder)

	for i := 0; i+8 <= len(value); i++ {
		require.NotContains(t, out.String(), value[i:i+8])
		require.NotContains(t, out.String(), fmt.Sprintf("%x", value[i:i+8]))
	}
	require.Contains(t, out.String(), "REDACTED")
	require.Equal(t, value, s.Reveal())
	require.False(t, s.IsZero())
	require.True(t, llmproxy.Secret{}.IsZero())
}
