package provider_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

func TestMistakesAreOneLineWithPlace(t *testing.T) {
	const head = "default: a\nproviders:\n  a:\n    preset: openai_compatible\n"
	const url = head + "    base_url: https://a.example\n"
	for name, c := range map[string]struct{ yaml, cause string }{
		"no yaml":          {"a: [", ""},
		"empty":            {"", "providers is missing"},
		"unknown key":      {url + "    colour: red\n", "colour"},
		"deep unknown key": {url + "    timeouts: {total: 5s}\n", "total"},
		"duplicate key":    {url + "    base_url: https://b.example\n", "already defined"},
		"missing URL":      {head, "base_url is missing"},
		"http":             {head + "    base_url: http://a.example\n", "http"},
		"user":             {head + "    base_url: https://u:p@a.example\n", "user"},
		"query":            {head + "    base_url: https://a.example?x\n", "query"},
		"fragment":         {head + "    base_url: 'https://a.example#x'\n", "fragment"},
		"private":          {head + "    base_url: https://10.0.0.1\n", "private"},
		"metadata":         {head + "    base_url: https://169.254.169.254\n", "link-local"},
		"mapped":           {head + "    base_url: https://[::ffff:127.0.0.1]\n", "hides"},
		"decimal":          {head + "    base_url: https://2130706433\n", "usual form"},
		"hex":              {head + "    base_url: https://0x7f.0x0.0x0.0x1\n", "usual form"},
		"octal":            {head + "    base_url: https://0177.0.0.1\n", "usual form"},
		"duplicate route":  {url + "    endpoints: [{path: '/v1/models/{x}', methods: [GET]}]\n", "twice"},
		"bad template":     {url + "    endpoints: [{path: '/v1/a/../b', methods: [GET]}]\n", "template"},
		"unknown usage":    {url + "    endpoints: [{path: /v1/a, methods: [GET], usage: x}]\n", "unknown usage"},
		"unknown group":    {url + "    endpoints: [{path: /v1/a, methods: [GET], group: x}]\n", "unknown group"},
		"bad method":       {url + "    endpoints: [{path: /v1/a, methods: [get]}]\n", "unknown method"},
		"bad duration":     {url + "    timeouts: {idle: soon}\n", "duration"},
		"bad size":         {url + "    limits: {request_bytes: 5MB}\n", "size"},
		"two retries":      {url + "    retry: {attempts: 2}\n", "between"},
		"credential set":   {url + "    request_headers: {set: {x-api-key: k}}\n", "cannot be set"},
		"bad header":       {url + "    request_headers: {drop: ['a b']}\n", "invalid header"},
		"bad origin":       {url + "    cors: {allowed_origins: ['*']}\n", "origin"},
		"unknown default":  {strings.Replace(url, "default: a", "default: b", 1), "default names"},
		"reserved name":    {strings.Replace(url, "  a:", "  health:", 1), "reserved"},
		"bad name":         {strings.Replace(url, "  a:", "  A_b:", 1), "name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := provider.Parse("p.yaml", []byte(c.yaml))
			require.Error(t, err)
			require.Regexp(t, `^p\.yaml:\d+:\d+: .+$`, err.Error())
			require.NotContains(t, err.Error(), "\n")
			require.Contains(t, err.Error(), c.cause)
		})
	}
}

func TestPresetsAllowNothingThatBypassesTheProxy(t *testing.T) {
	data, err := os.ReadFile("testdata/denied.txt")
	require.NoError(t, err)
	ids := regexp.MustCompile(`\{[^}]*\}`)
	denied := strings.Fields(string(data))
	require.Greater(t, len(denied), 100)
	s, err := provider.Parse("p.yaml", []byte("default: openai\nproviders:\n  openai: {preset: openai}\n  anthropic: {preset: anthropic}\n"))
	require.NoError(t, err)
	for _, p := range s.Providers {
		for _, e := range p.Endpoints {
			for _, d := range denied {
				if prefix, ok := strings.CutSuffix(d, "*"); ok {
					require.False(t, p.Name == "anthropic" && strings.HasPrefix(e.Path, prefix), e.Path)
					continue
				}
				require.NotEqual(t, ids.ReplaceAllString(d, "{}"), ids.ReplaceAllString(e.Path, "{}"))
			}
		}
	}
	require.Len(t, provider.Default().Providers["openai"].Endpoints, 52)
}
