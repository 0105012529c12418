package dispatch

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestCloudWatchLinesAreMetrics(t *testing.T) {
	backend := newStub(t, takesLogEvents)
	backend.mood = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n > 0 || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".CreateLogStream") {
			return false
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		badRequest(w, `{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}`)
		return true
	}
	late, early := request(5), request(1)
	early.Status, early.Response.Body, early.Model = 401, nil, "a name that a caller made up"
	results := handOver(t, "cloudwatch", Settings{CloudWatch: CloudWatchConfig{Group: "g", AWS: onAWS(backend.URL)}}, late, early)
	require.Equal(t, make([]Result, 2), results)
	require.JSONEq(t, `{"logGroupName":"g"}`, string(backend.body(t, 0)), "the group is made when it is not there")
	put := gjson.ParseBytes(backend.body(t, len(backend.bodies)-1))
	require.Equal(t, early.Time.UnixMilli(), put.Get("logEvents.0.timestamp").Int(), "in the order of time")
	line := gjson.Parse(put.Get("logEvents.1.message").Str)
	require.JSONEq(t, `{"Timestamp":`+fmt.Sprint(late.Time.UnixMilli())+`,"CloudWatchMetrics":[{"Namespace":"LlmProxy","Dimensions":[[],["project_id"],["project_id","model"]],"Metrics":[
		{"Name":"requests","Unit":"Count"},{"Name":"errors","Unit":"Count"},{"Name":"latency","Unit":"Milliseconds"},{"Name":"input_units","Unit":"Count"},{"Name":"output_units","Unit":"Count"},{"Name":"cost_usd","Unit":"None"}]}]}`, line.Get("_aws").Raw)
	for _, metric := range line.Get("_aws.CloudWatchMetrics.0.Metrics.#.Name").Array() {
		require.Equal(t, gjson.Number, line.Get(metric.Str).Type, metric.Str)
	}
	require.Equal(t, gjson.String, line.Get("project_id").Type)
	require.Equal(t, "gpt-4o", line.Get("model").Str)
	require.Equal(t, late.ID.String(), line.Get("id").Str)
	require.False(t, line.Get("request.body").Exists())
	require.Len(t, gjson.Get(put.Get("logEvents.0.message").Str, "_aws.CloudWatchMetrics.0.Dimensions").Array(), 2, "no metric for a model that only a caller has named")
}

func TestCloudWatchCallsStayWithinItsLimits(t *testing.T) {
	var sizes []int
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		list := gjson.GetBytes(body, "logEvents")
		if !list.Exists() {
			return takesLogEvents(w, r, body)
		}
		size := 0
		for _, e := range list.Array() {
			size += len(e.Get("message").Str) + logEventExtra
		}
		sizes = append(sizes, size)
		return takesLogEvents(w, r, body)
	})
	events := requests(8)
	for _, e := range events[:6] {
		e.Response.Body = whole(strings.Repeat("x", 250_000))
	}
	events[6].Response.Body = whole(strings.Repeat("\x01", 250_000)) // six bytes each as JSON
	events[7].Time = events[7].Time.Add(25 * time.Hour)
	require.Equal(t, make([]Result, 8), handOver(t, "cloudwatch", Settings{CloudWatch: CloudWatchConfig{Group: "g", Bodies: true, AWS: onAWS(backend.URL)}}, events...))
	require.Len(t, sizes, 3, "two by size, one for the next day")
	for _, size := range sizes {
		require.LessOrEqual(t, size, logCallBytes)
	}
	require.Len(t, backend.ids(), 8)
}

func TestCloudWatchRejectsAreDeadLettersWithTheirReason(t *testing.T) {
	for rejected, want := range map[string][]string{
		`{"tooOldLogEventEndIndex":1}`:                               {"too old", "", ""},
		`{"expiredLogEventEndIndex":2}`:                              {"older than the log group keeps", "older than the log group keeps", ""},
		`{"tooNewLogEventStartIndex":2}`:                             {"", "", "in the future"},
		`{"tooOldLogEventEndIndex":1,"tooNewLogEventStartIndex":-9}`: {"in the future", "in the future", "in the future"},
		`{"tooOldLogEventEndIndex":99}`:                              {"too old", "too old", "too old"},
	} {
		backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = io.WriteString(w, `{"rejectedLogEventsInfo":`+rejected+`}`)
			return nil
		})
		results := handOver(t, "cloudwatch", Settings{CloudWatch: CloudWatchConfig{Group: "g", AWS: onAWS(backend.URL)}}, requests(3)...)
		for i, reason := range want {
			if reason == "" {
				require.Equal(t, Result{}, results[i], rejected)
				continue
			}
			require.True(t, results[i].Poison)
			require.ErrorContains(t, results[i].Err, reason, rejected)
		}
	}
}
