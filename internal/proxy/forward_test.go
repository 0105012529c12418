package proxy

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRedirectsThatLeadAwayAreKnown(t *testing.T) {
	base, err := url.Parse("https://api.example.com/v1")
	require.NoError(t, err)
	for value, away := range map[string]bool{
		"/v1/files/1":                           false,
		"files/1?x=//y":                         false,
		"https://api.example.com/other":         false,
		"https://API.example.com/other":         false,
		"//api.example.com/other":               false,
		"http://api.example.com/other":          true,
		"https://evil.example/":                 true,
		"//evil.example/":                       true,
		`/\evil.example/`:                       true,
		"/\t/evil.example/":                     true,
		"javascript:alert(1)":                   true,
		"https://api.example.com@evil.example/": true,
		"https://api.example.com:8443/":         true,
		"%zz":                                   true,
	} {
		require.Equal(t, away, leadsAway("Location", []string{value}, base), "Location: %s", value)
	}
	require.True(t, leadsAway("Refresh", []string{"5; URL='https://evil.example/'"}, base))
	require.False(t, leadsAway("Refresh", []string{"5; url=/v1/models"}, base))
	require.False(t, leadsAway("Refresh", []string{"5"}, base))
}

func TestConnectionNamesWhatGoesNoFurther(t *testing.T) {
	require.Nil(t, connectionNames(nil))
	require.Nil(t, connectionNames([]string{"keep-alive"}))
	require.Nil(t, connectionNames([]string{"close", "Keep-Alive"}))
	require.Equal(t, map[string]bool{"Authorization": true, "X-Secret": true, "Keep-Alive": true}, connectionNames([]string{"keep-alive, authorization ,, x-secret"}))
}

func TestCredentialsInAQueryAreKnown(t *testing.T) {
	for query, want := range map[string]bool{
		"limit=20&order=asc&after=abc":  false,
		"include[]=message.output_text": false,
		"monkey=1&keyboard=2":           false,
		"api_key=x":                     true,
		"limit=1&KEY=x":                 true,
		"a=b;key=x":                     true,
		"%61pi_key=x":                   true,
		"api-key":                       true,
		"x=sk-llmp-AAAA":                true,
		"x=%73k-llmp-AAAA":              true,
		"sk-llmp-AAAA":                  true,
		"access_token=x":                true,
		"x-goog-api-key=":               true,
		"%zz=1&%%":                      false,
	} {
		require.Equal(t, want, hasCredential(query), query)
	}
}
