package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllThatIsMissingIsNamedAtOnce(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1")
	_, _, err := join([]string{"LLM_PROXY_LOG_LEVEL=loud"})
	for _, name := range []string{"LLM_PROXY_CONTROL_TABLE", "LogLevel"} {
		require.ErrorContains(t, err, name)
	}
	complete := []string{"LLM_PROXY_CONTROL_TABLE=c"}
	_, _, err = join(complete)
	require.ErrorContains(t, err, "LLM_PROXY_ADMIN_SECRET")
	_, _, err = join(append(complete, "ADMIN_PASSWORD=short-one"))
	require.ErrorContains(t, err, "12 characters")
	require.NotContains(t, err.Error(), "short-one")
	for _, one := range []string{"LLM_PROXY_ADMIN_SECRET=admin", "ADMIN_PASSWORD=fake-password-1234"} {
		handler, refusals, err := join(append(complete, one))
		require.NoError(t, err, one)
		require.NotNil(t, handler)
		refusals.Close()
	}
}
