//go:build linux

package aws

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestTheDocumentedPatternTakesFailuresOfOneProject asks EventBridge's stand-in what the example in the documentation matches.
func TestTheDocumentedPatternTakesFailuresOfOneProject(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join(root, "docs/aws.md"))
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```yaml\n(  EventPattern:.*?)```").FindSubmatch(doc)
	require.NotNil(t, block)
	var example struct {
		EventPattern map[string]any `yaml:"EventPattern"`
	}
	require.NoError(t, yaml.Unmarshal(block[1], &example))
	pattern, err := json.Marshal(example.EventPattern)
	require.NoError(t, err)
	mine, err := llmproxy.ParseProjectID("01a20f95-0000-7000-8000-000000000000")
	require.NoError(t, err)
	other := llmproxy.NewProjectID(time.Now())

	e := startEmulator(t)
	buses := eventbridge.NewFromConfig(e.config())
	for name, c := range map[string]struct {
		event llmproxy.Event
		want  bool
	}{
		"a success":                     {llmproxy.Event{ProjectID: mine, Status: 200, Outcome: llmproxy.Complete}, false},
		"an error of the upstream":      {llmproxy.Event{ProjectID: mine, Status: 500, Outcome: llmproxy.Complete}, true},
		"an answer that broke off":      {llmproxy.Event{ProjectID: mine, Status: 200, Outcome: llmproxy.Cut}, true},
		"one that was lost":             {llmproxy.Event{ProjectID: mine, Outcome: llmproxy.Lost}, true},
		"a failure of another project":  {llmproxy.Event{ProjectID: other, Status: 500, Outcome: llmproxy.Complete}, false},
		"a request that was never made": {llmproxy.Event{Status: 500, Outcome: llmproxy.Complete}, false},
	} {
		c.event.ID, c.event.Time = llmproxy.NewEventID(time.Now()), time.Now()
		event := fmt.Sprintf(`{"id":"1","detail-type":"request","source":"llm-proxy","account":"000000000000","time":"2026-11-22T12:00:00Z","region":"us-east-1","resources":[],"detail":%s}`, c.event.AppendJSON(nil))
		out, err := buses.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: &event, EventPattern: sdk.String(string(pattern))})
		require.NoError(t, err)
		require.Equal(t, c.want, out.Result, name)
	}
}
