//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/emf"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// requireEMF checks a line against the rules of CloudWatch's embedded metric format.
func requireEMF(t *testing.T, line string) gjson.Result {
	t.Helper()
	require.True(t, gjson.Valid(line), line)
	require.Less(t, len(line), 1<<20)
	root := gjson.Parse(line)
	require.Positive(t, root.Get("_aws.Timestamp").Int())
	directives := root.Get("_aws.CloudWatchMetrics").Array()
	require.NotEmpty(t, directives, line)
	for _, d := range directives {
		require.True(t, emf.IsNamespace(d.Get("Namespace").Str) && d.Get("Namespace").Str != "")
		for _, set := range d.Get("Dimensions").Array() {
			require.LessOrEqual(t, len(set.Array()), 30)
			for _, name := range set.Array() {
				value := root.Get(name.Str)
				require.Equal(t, gjson.String, value.Type, "dimension %s in %s", name.Str, line)
				require.NotEmpty(t, value.Str, name.Str)
				require.LessOrEqual(t, len(value.Str), 1024)
				require.LessOrEqual(t, len(name.Str), 250)
			}
		}
		metrics := d.Get("Metrics").Array()
		require.NotEmpty(t, metrics, line)
		require.LessOrEqual(t, len(metrics), 100)
		for _, m := range metrics {
			require.Equal(t, gjson.Number, root.Get(m.Get("Name").Str).Type, "metric %s in %s", m.Get("Name").Str, line)
			require.Contains(t, []string{"Count", "Milliseconds"}, m.Get("Unit").Str)
		}
	}
	return root
}

func TestAMetricIsALineThatCloudWatchUnderstands(t *testing.T) {
	var log bytes.Buffer
	m := &metrics{namespace: "LlmProxy/Function", function: "stack-proxy", lines: &log}
	at := time.UnixMilli(1763798401007)
	m.observe(&llmproxy.Event{
		Time: at, Outcome: llmproxy.Complete, Provider: "openai", Path: "/v1/models",
		Timing: llmproxy.Timing{Total: 900 * time.Millisecond, Auth: 1500 * time.Microsecond, FirstByte: 100 * time.Millisecond, Upstream: 884 * time.Millisecond},
	})
	m.observe(&llmproxy.Event{Time: at, Outcome: llmproxy.Refused}) // a stranger's: no provider, no time
	require.Empty(t, log.String(), "nothing is written before the caller has its answer")
	m.flush()
	m.flush()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	for _, line := range lines {
		require.EqualValues(t, 1763798401007, requireEMF(t, line).Get("_aws.Timestamp").Int())
	}
	require.JSONEq(t, `{"_aws":{"Timestamp":1763798401007,"CloudWatchMetrics":[
		{"Namespace":"LlmProxy/Function","Dimensions":[["function","outcome"]],"Metrics":[{"Name":"requests","Unit":"Count"}]},
		{"Namespace":"LlmProxy/Function","Dimensions":[["function","provider"]],"Metrics":[{"Name":"spend","Unit":"Milliseconds"},{"Name":"first_byte","Unit":"Milliseconds"},
			{"Name":"upstream","Unit":"Milliseconds"},{"Name":"added_latency","Unit":"Milliseconds"}]}]},
		"function":"stack-proxy","outcome":"complete","provider":"openai","requests":1,"spend":1.5,"first_byte":100,"upstream":884,"added_latency":16}`, lines[0])
	require.False(t, gjson.Get(lines[1], "provider").Exists())
}

func TestTheFunctionWritesMetricsWhereItIsToldTo(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	a := s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token))
	require.Equal(t, 200, a.status, a.body)
	s.log.await(t, `"CloudWatchMetrics"`)
	for line := range strings.SplitSeq(s.log.String(), "\n") {
		if strings.Contains(line, "CloudWatchMetrics") {
			root := requireEMF(t, line)
			require.NotEmpty(t, root.Get("function").Str)
			require.Positive(t, root.Get("upstream").Float())
			require.Positive(t, root.Get("added_latency").Float())
		}
	}
	_, err := loadSettings([]string{
		"LLM_PROXY_TOKENS_TABLE=x", "LLM_PROXY_CONTROL_TABLE=x", "LLM_PROXY_EVENT_BUS=x", "LLM_PROXY_SPILL_QUEUE=x", "LLM_PROXY_EVENT_BUCKET=x", "LLM_PROXY_SEALING_SECRET=x",
		"LLM_PROXY_KEYS_PREFIX=x", "LLM_PROXY_METRICS_NAMESPACE=a b",
	})
	require.ErrorContains(t, err, "LLM_PROXY_METRICS_NAMESPACE")
	observe, _ := (&settings{}).metrics(func(context.Context) {})
	require.Nil(t, observe, "and nowhere else")
}

func TestTheFunctionSaysHowItIs(t *testing.T) {
	s := start(t, 0)
	a := s.ask(s.url, "GET", "/health", "", http.Header{})
	require.Equal(t, 200, a.status)
	require.Equal(t, "ok", gjson.Get(a.body, "status").Str, a.body)
	require.Equal(t, 405, s.ask(s.url, "POST", "/health", "", http.Header{}).status)
	require.Equal(t, 404, s.ask(s.url, "GET", "/health/other", "", http.Header{}).status, "it is the proxy's")
	require.Empty(t, s.upstream.Requests())
}

func TestHealthAsksTheStoreNowAndThenOnly(t *testing.T) {
	asked := 0
	h := &healthFront{next: http.NotFoundHandler(), ping: func(context.Context) error { asked++; return errors.New("the table arn:aws:x") }}
	for range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health?x=1", nil))
		require.Equal(t, http.StatusOK, w.Code)
		var body map[string]string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		require.Equal(t, "degraded", body["status"])
		require.NotContains(t, w.Body.String(), "arn:", "strangers learn no names")
	}
	require.Equal(t, 1, asked)
}
