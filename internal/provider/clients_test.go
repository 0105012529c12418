package provider

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientsAreGivenTheBaseURLThatTheyExpect(t *testing.T) {
	set, err := Parse("test", []byte(`default: claude
providers:
  claude: {preset: anthropic}
  openai: {preset: openai}
  other: {preset: anthropic}
  both:
    base_url: https://both.example
    auth: {header: Authorization, scheme: Bearer}
    endpoints:
      - {path: /v1/messages, methods: [POST]}
      - {path: /v1/chat/completions, methods: [POST]}
`))
	require.NoError(t, err)
	for name, want := range map[string]struct {
		clients Clients
		path    string
	}{"claude": {ClientsAnthropic, ""}, "openai": {ClientsOpenAI, "/openai/v1"}, "other": {ClientsAnthropic, "/other"}, "both": {ClientsOpenAI, "/both/v1"}} {
		require.Equal(t, want.clients, set.Providers[name].Clients(), name)
		require.Equal(t, want.path, set.BasePath(name), name)
	}
	require.Equal(t, "/v1", Default().BasePath(Default().Default))
}
