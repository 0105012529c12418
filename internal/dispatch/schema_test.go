package dispatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
	"github.com/stretchr/testify/require"
)

// jsonSchema is what docs/*.schema.json use of JSON Schema.
type jsonSchema struct {
	Schema      string                 `json:"$schema"`
	Title       string                 `json:"title"`
	Description string                 `json:"description"`
	Type        string                 `json:"type"`
	Required    []string               `json:"required"`
	Properties  map[string]*jsonSchema `json:"properties"`
	Additional  *jsonSchema            `json:"additionalProperties"`
	Enum        []any                  `json:"enum"`
	Pattern     string                 `json:"pattern"`
	MinLength   int                    `json:"minLength"`
	Minimum     *float64               `json:"minimum"`
	Maximum     *float64               `json:"maximum"`
}

func readSchema(t *testing.T, name string) *jsonSchema {
	t.Helper()
	data, err := os.ReadFile("../../docs/" + name)
	require.NoError(t, err)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // a keyword that is not checked below
	var s jsonSchema
	require.NoError(t, d.Decode(&s))
	return &s
}

// problems says where a value is not as the schema has it. What the schema does not describe is a problem too: it is for readers.
func (s *jsonSchema) problems(path string, v any, met map[string]bool) (found []string) {
	met[path] = true
	add := func(format string, args ...any) { found = append(found, path+": "+fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		add("%v is none of %v", v, s.Enum)
	}
	switch v := v.(type) {
	case string:
		if s.Type != "string" || utf8.RuneCountInString(v) < s.MinLength || s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			add("%q", v)
		}
	case bool:
		if s.Type != "boolean" {
			add("%v", v)
		}
	case float64:
		if s.Type != "number" && (s.Type != "integer" || v != float64(int64(v))) || s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			add("%v", v)
		}
	case map[string]any:
		if s.Type != "object" {
			add("an object")
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				add("%s is missing", name)
			}
		}
		for name, member := range v {
			is := s.Properties[name]
			if is == nil {
				is = s.Additional
			}
			if is == nil {
				add("%s is not described", name)
				continue
			}
			found = append(found, is.problems(path+"."+name, member, met)...)
		}
	default:
		add("%T", v)
	}
	return found
}

// paths are the names of all that the schema describes.
func (s *jsonSchema) paths(path string) []string {
	all := []string{path}
	for name, member := range s.Properties {
		all = append(all, member.paths(path+"."+name)...)
	}
	return all
}

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
	schema, met := readSchema(t, "event.schema.json"), map[string]bool{}
	for _, e := range kindsOfEvents(t) {
		for _, line := range [][]byte{e.AppendJSON(nil), e.AppendMeta(nil)} {
			var v any
			require.NoError(t, json.Unmarshal(line, &v))
			require.Empty(t, schema.problems("event", v, met), "%s", line)
		}
	}
	for _, path := range schema.paths("event") {
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
		require.NotEmpty(t, readSchema(t, "event.schema.json").problems("event", v, map[string]bool{}), to)
	}
}
