package llmproxy_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestIDsAreUUIDsOfVersion7(t *testing.T) {
	seen := map[string]bool{}
	shape := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for range 1000 {
		id := llmproxy.NewEventID(noon.Add(123 * time.Millisecond))
		require.Regexp(t, shape, id.String())
		require.Equal(t, noon.Add(123*time.Millisecond), id.Time())
		require.False(t, seen[id.String()])
		seen[id.String()] = true
	}
	earlier, later := llmproxy.NewTokenID(noon), llmproxy.NewTokenID(noon.Add(time.Millisecond))
	require.Less(t, earlier.String(), later.String(), "ids sort by time")
}

func TestIDsHaveOneSpelling(t *testing.T) {
	id := llmproxy.NewProjectID(noon)
	encoded, err := json.Marshal(id)
	require.NoError(t, err)
	var back llmproxy.ProjectID
	require.NoError(t, json.Unmarshal(encoded, &back))
	require.Equal(t, id, back)

	s := id.String()
	for _, bad := range []string{"", s[:35], s + "0", strings.ToUpper(s), "{" + s[1:35] + "}", strings.Replace(s, "-", "_", 1), strings.ReplaceAll(s, "-", ""), "g" + s[1:]} {
		_, err := llmproxy.ParseProjectID(bad)
		require.Error(t, err, bad)
		require.Error(t, json.Unmarshal([]byte(`"`+bad+`"`), &back), bad)
	}
	token, err := llmproxy.ParseTokenID(s)
	require.NoError(t, err)
	require.Equal(t, id.UUID, token.UUID)
	event, err := llmproxy.ParseEventID(s)
	require.NoError(t, err)
	require.Equal(t, id.UUID, event.UUID)
	require.True(t, llmproxy.TokenID{}.IsZero())
}
