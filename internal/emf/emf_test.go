package emf_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/emf"
)

func TestALineIsOfTheEmbeddedMetricFormat(t *testing.T) {
	var log bytes.Buffer
	require.NoError(t, emf.Write(&log, time.UnixMilli(1763798401007), map[string]any{"queue": "q", "dead": 2},
		emf.Directive{Namespace: "LlmProxy", Dimensions: [][]string{{"queue"}}, Metrics: []emf.Metric{{Name: "dead", Unit: "Count"}}}))
	require.Equal(t, `{"_aws":{"Timestamp":1763798401007,"CloudWatchMetrics":[{"Namespace":"LlmProxy","Dimensions":[["queue"]],"Metrics":[{"Name":"dead","Unit":"Count"}]}]},"dead":2,"queue":"q"}`+"\n", log.String())
}

func TestANamespaceIsOneThatCloudWatchTakes(t *testing.T) {
	for name, is := range map[string]bool{
		"": true, "LlmProxy/Function": true, "a.b_c#d:e-9": true, "a b": false, "é": false, " a": false, strings.Repeat("x", 256): true, strings.Repeat("x", 257): false,
	} {
		require.Equal(t, is, emf.IsNamespace(name), name)
	}
}
