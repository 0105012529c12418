package dispatch

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/testschema"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
	"github.com/stretchr/testify/require"
)

// kindsOfEvents are events as they come, with all that one can have among them.
func kindsOfEvents(t *testing.T) []*llmproxy.Event {
	t.Helper()
	full := request(0)
	full.Code, full.Timing = "upstream_timeout", llmproxy.Timing{Total: time.Second, Auth: 1, FirstByte: time.Millisecond, Upstream: time.Minute}
	full.Response.Headers, full.Response.Events, full.Response.Encoding = []llmproxy.Header{{Name: "x-request-id", Value: "r"}}, 7, "gzip"
	full.Request.Encoding = "br"
	full.Response.Body = &llmproxy.Body{Head: []byte("\xff\xfe"), Tail: []byte("\xff"), Size: 1000}
	full.Request.Body = &llmproxy.Body{Head: []byte("head"), Tail: []byte("tail"), Size: 1000}
	three, seconds, cost := int64(3), 1.5, 0.25
	full.Model, full.Created = "gpt-4o", 1700000000
	full.Usage = &llmproxy.Usage{
		Input: &three, Output: &three, Total: &three, Cached: &three, CacheWrite: &three, Reasoning: &three, Source: llmproxy.SourceEstimate, Partial: true, CostUSD: &cost,
		Details: &llmproxy.UsageDetails{Tier: "flex", InputAudio: &three, InputImage: &three, OutputAudio: &three, OutputImage: &three, CacheWriteLong: &three, Searches: &three, Seconds: &seconds, Characters: &three},
	}
	small := &llmproxy.Event{ID: full.ID, Time: born, Outcome: llmproxy.UpstreamError}
	begun := llmproxy.Begin{ID: full.ID, Time: born, TokenID: full.TokenID, ProjectID: full.ProjectID, Method: http.MethodGet, Path: "/v1/models"}
	binary := request(1)
	binary.Request.Body = &llmproxy.Body{Head: []byte("\xff\xfe"), Size: 2}
	events := []*llmproxy.Event{llmproxy.NewTestEvent(born), full, small, binary, begun.Lost(), asked(askHi, "text/event-stream", streamsHello), asked(askHi, "application/json", saysHello)}
	meter := Meter(price.Embedded())
	for _, e := range events {
		if e.Usage == nil {
			require.NoError(t, meter(e))
		}
	}
	for _, outcome := range []llmproxy.Outcome{llmproxy.Complete, llmproxy.Cut, llmproxy.ClientGone, llmproxy.Deadline, llmproxy.Refused} {
		e := *small
		e.Outcome = outcome
		events = append(events, &e)
	}
	return events
}

func TestEventsAreAsTheirSchemaSays(t *testing.T) {
	schema, met := testschema.Read(t, "../../docs/event.schema.json"), map[string]bool{}
	for _, e := range kindsOfEvents(t) {
		for _, line := range [][]byte{e.AppendJSON(nil), e.AppendMeta(nil)} {
			var v any
			require.NoError(t, json.Unmarshal(line, &v))
			require.Empty(t, schema.Problems("event", v, met), "%s", line)
		}
	}
	for _, path := range schema.Paths("event") {
		require.True(t, met[path], "%s is described, and no event has it", path)
	}
}

func TestTheSchemaRefusesWhatIsNoEvent(t *testing.T) {
	good := string(request(0).AppendMeta(nil))
	for change, to := range map[string]string{
		`"version":1`: `"version":2`, `"status":200`: `"status":0`, `"outcome":"complete"`: `"outcome":"done"`, `"method":"POST"`: `"method":""`,
		`"bytes":15`: `"bytes":1.5`, `"stream":false`: `"stream":"no"`, `"timing":{`: `"timings":{`, `"id":"0`: `"id":"x`,
	} {
		bad := strings.Replace(good, change, to, 1)
		require.NotEqual(t, good, bad, change)
		var v any
		require.NoError(t, json.Unmarshal([]byte(bad), &v))
		require.NotEmpty(t, testschema.Read(t, "../../docs/event.schema.json").Problems("event", v, map[string]bool{}), to)
	}
}
