package dispatch

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestEventBridgeEntriesAreThoseOfTheProxyOnAWS(t *testing.T) {
	var entries [][]gjson.Result
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		entries = append(entries, gjson.GetBytes(body, "Entries").Array())
		return takesEntries(w, r, body)
	})
	events := requests(23)
	events[1].Response.Body = whole(strings.Repeat("x", 250_000))
	results := handOver(t, "eventbridge", Settings{EventBridge: EventBridgeConfig{Bus: "events", AWS: onAWS(backend.URL)}}, events...)
	require.Equal(t, make([]Result, 23), results)
	require.Equal(t, []int{10, 10, 3}, []int{len(entries[0]), len(entries[1]), len(entries[2])})
	first := entries[0][0]
	require.Equal(t, "llm-proxy", first.Get("Source").Str)
	require.Equal(t, "request", first.Get("DetailType").Str)
	require.Equal(t, "events", first.Get("EventBusName").Str)
	require.JSONEq(t, string(events[0].AppendJSON(nil)), first.Get("Detail").Str)
	require.Equal(t, born.Unix(), first.Get("Time").Int())
	require.False(t, gjson.Get(entries[0][1].Get("Detail").Str, "response.body").Exists(), "a record that is too long goes without bodies")
}

// TestARecordTooLargeForTheBusLiesInTheBucket: under the name and in the form that the proxy on AWS gives it, so that dispatchers there
// read it back whole.
func TestARecordTooLargeForTheBusLiesInTheBucket(t *testing.T) {
	var details []string
	objects, refuse := map[string]string{}, 1
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		if r.Method != http.MethodPut {
			for _, entry := range gjson.GetBytes(body, "Entries").Array() {
				details = append(details, entry.Get("Detail").Str)
			}
			return takesEntries(w, r, body)
		}
		if refuse--; refuse >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return nil
		}
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
		objects[r.URL.Path] = string(body)
		return nil
	})
	events := requests(3)
	events[1].Request.Body, events[1].Response.Body = whole(`{"model":"gpt-4o"}`), whole(strings.Repeat("x", 250_000))
	settings := Settings{EventBridge: EventBridgeConfig{Bus: "events", Bucket: "claims", AWS: onAWS(backend.URL), PathStyle: true}}
	results := handOver(t, "eventbridge", settings, events...)
	require.ErrorContains(t, results[1].Err, "s3://claims")
	require.False(t, results[1].Poison, "it is tried again, with its bodies")
	require.Equal(t, []Result{{}, {}}, []Result{results[0], results[2]}, "the others do not wait for it")
	require.Len(t, details, 2)
	require.Len(t, events[1].Response.Body.Head, 250_000, "the event is as it was")

	require.Equal(t, []Result{{}}, handOver(t, "eventbridge", settings, events[1]))
	key := events[1].ClaimKey()
	require.Len(t, objects, 1)
	require.True(t, objects["/claims/"+key] == string(events[1].AppendJSON(nil)), "the whole record") //nolint:testifylint // too long to show
	detail := details[2]
	require.Less(t, len(detail), llmproxy.MaxOnBus)
	for body, size := range map[string]int64{"request.body": 18, "response.body": 250_000} {
		require.JSONEq(t, fmt.Sprintf(`{"s3":%q,"size":%d}`, key, size), gjson.Get(detail, body).Raw)
	}
	require.Equal(t, events[1].ID.String(), gjson.Get(detail, "id").Str)
}

func TestEventBridgeResendsOnlyWhatFailed(t *testing.T) {
	backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"FailedEntryCount":2,"Entries":[{"EventId":"a"},{"ErrorCode":"InternalFailure","ErrorMessage":"again"},{"ErrorCode":"MalformedDetail","ErrorMessage":"never"}]}`)
		return nil
	})
	results := handOver(t, "eventbridge", Settings{EventBridge: EventBridgeConfig{Bus: "events", AWS: onAWS(backend.URL)}}, requests(3)...)
	require.Equal(t, Result{}, results[0])
	require.Equal(t, Retry(results[1].Err, 0), results[1])
	require.EqualError(t, results[1].Err, "InternalFailure: again")
	require.True(t, results[2].Poison)
	for _, r := range handOver(t, "eventbridge", Settings{EventBridge: EventBridgeConfig{Bus: "events", AWS: onAWS(backend.URL)}}, requests(2)...) {
		require.ErrorContains(t, r.Err, "answered for 3 of 2")
	}
}
