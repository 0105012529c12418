package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeyIsFoundInAnErrorThatQuotesIt(t *testing.T) {
	const key = "sk-proj-fakefakefakeABCDEFGHwxyz"
	for text, want := range map[string]bool{
		"Incorrect API key provided: " + key:                       true,
		"Incorrect API key provided: sk-proj-****************wxyz": true,
		"Incorrect API key provided: sk-proj-fake...wxyz.":         true,
		"invalid x-api-key: sk-…wxyz":                              true,
		"your key begins with fakefake":                            true,
		"and has ABCDEFGH in it":                                   true,
		"The model `gpt-4o-wxyz` does not exist":                   false,
		"keys look like sk-proj-...":                               false,
		"sk-proj-fakefak":                                          false,
		"":                                                         false,
	} {
		require.Equal(t, want, quotes([]byte(text), key), text)
	}
	require.True(t, quotes([]byte("bad key: abc"), "abc"))
	require.False(t, quotes([]byte("bad key"), ""))
	require.True(t, quotes([]byte("bad key: local-key-abc"), "local-key-abc"), "a key with a short last part")
}
