package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATokenInThePathIsSeenAlsoWhereOneCharacterIsEncoded(t *testing.T) {
	for path, quotes := range map[string]bool{
		"/v1/models/sk-llmp-AaIO3l": true, "/sk-llmp-AaIO3l/v1": true, "/v1/models/%73k-llmp-AaIO3l": true, "/v1/models/sk%2Dllmp-AaIO3l": true,
		"/v1/models/gpt-4o": false, "/v1/models/ft%3Agpt": false, "/v1/models/%": false, "/v1/sk-llm": false,
	} {
		require.Equal(t, quotes, quotesToken(path), path)
	}
}
