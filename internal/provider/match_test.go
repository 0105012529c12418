package provider_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

func TestOnlyExactPathsMatch(t *testing.T) {
	s := provider.Default()
	for _, path := range []string{
		"", "/", "//", "v1/models", "/v1", "/v1/", "/V1/models", "/v1/Models", "/v1/models/", "//v1/models", "/v1//models", "/v1/./models",
		"/v1/../v1/models", "/v1/models/..", "/v1/models/.", "/v1/models/...", "/v1/models;a=b", "/v1/models/a;b", "/v1/models%2fa",
		"/v1/models/a%2fb", "/v1/models/%2e%2e", "/v1/models/a%252fb", "/v1%2fmodels", "/%761/models", "/v1/models.", "/v1/models/a/b",
		"/v1/models/a\\b", "\\v1\\models", "/v1/models/a b", "/v1/models/a\x00", "/v1/models/ü", "/v1/models/a?b", "/v1/models/a#b",
		"http://h/v1/models", "*", "/openai", "/openai/models", "/openai//v1/models", "/OpenAI/v1/models", "/other/v1/models",
		"/openai/openai/v1/models", "/v1/models/a@b", "/v1/models/~a", "/v1/realtime/sessions",
	} {
		_, err := s.Match("GET", path)
		require.ErrorIs(t, err, provider.ErrNoEndpoint, path)
	}
}

func TestMatchBuildsTheOutgoingPath(t *testing.T) {
	s := provider.Default()
	for in, out := range map[string]string{
		"/v1/models": "/v1/models", "/v1/models/ft:a.b": "/v1/models/ft:a.b", "/openai/v1/files/f/content": "/v1/files/f/content",
	} {
		m, err := s.Match("GET", in)
		require.NoError(t, err)
		require.Equal(t, out, m.Path)
	}
	_, err := s.Match("HEAD", "/v1/models")
	var e *provider.MethodError
	require.ErrorAs(t, err, &e)
	require.Equal(t, []string{"GET"}, e.Allow)
	require.EqualError(t, err, "method not allowed, only GET")
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = s.Match("POST", "/v1/responses") }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = s.Match("GET", "/v1/models/x") }), 1.0)
}
