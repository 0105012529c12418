package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRequestsAreCountedByHowTheyEnded reads /metrics of a server after one request of each kind.
func TestRequestsAreCountedByHowTheyEnded(t *testing.T) {
	s := start(t, map[string]string{"LLM_PROXY_DEFAULT_MAX_REQUESTS": "2"})
	s.send(http.MethodPost, "/v1/chat/completions", chat)
	s.send(http.MethodGet, "/v1/models", "", "X-Demo: garbage")
	s.send(http.MethodGet, "/v1/models", "")                                // exhausted
	s.send(http.MethodGet, "/v1/models", "", "Authorization: Bearer other") // a stranger
	s.send(http.MethodGet, "/v1/elsewhere", "")
	require.Eventually(t, func() bool { // a request is counted when it has ended, its caller may be first
		return strings.Count(insideText(t, s), "\nllmproxy_requests_total{") == 5
	}, patience, 10*time.Millisecond)
	text := insideText(t, s)
	for _, line := range []string{
		`llmproxy_requests_total{code="",outcome="complete",provider="demo"} 1`,
		`llmproxy_requests_total{code="upstream_invalid",outcome="upstream_error",provider="demo"} 1`,
		`llmproxy_requests_total{code="token_exhausted",outcome="refused",provider="demo"} 1`,
		`llmproxy_requests_total{code="token_invalid",outcome="refused",provider="demo"} 1`,
		`llmproxy_requests_total{code="endpoint_not_allowed",outcome="refused",provider=""} 1`,
		`llmproxy_added_latency_seconds_count{provider="demo"} 2`,
		`llmproxy_first_byte_seconds_count{provider="demo"} 1`,
		`llmproxy_upstream_seconds_count{provider="demo"} 2`,
		`llmproxy_spend_seconds_count{provider="demo"} 3`,
		`llmproxy_events_published_total 3`,
		`llmproxy_events_failed_total 0`,
		`llmproxy_spool_degraded 0`,
		`llmproxy_destination_failing{destination="file"} 0`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, s.token[8:16])
	require.Equal(t, http.StatusNotFound, s.send(http.MethodGet, "/metrics", "").StatusCode, "not on the address that clients reach")
}

// TestNoWebPageReadsTheMetrics: a page's own name may be made to lead to this machine.
func TestNoWebPageReadsTheMetrics(t *testing.T) {
	answer := onlyByAddress(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, status := range map[string]int{
		"127.0.0.1:9090": 200, "127.0.0.1": 200, "[::1]:9090": 200, "[::1]": 200, "localhost:9090": 200, "localhost": 200,
		"evil.example.com:9090": 403, "evil.example.com": 403, "localhost.example.com:9090": 403, "": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		answer.ServeHTTP(w, r)
		require.Equal(t, status, w.Code, host)
	}
}

// TestTheDashboardShowsWhatThereIs: each metric and label that the Grafana dashboard asks for stands in a running server's /metrics.
func TestTheDashboardShowsWhatThereIs(t *testing.T) {
	data, err := os.ReadFile("../../infra/grafana/llm-proxy.json")
	require.NoError(t, err)
	var dashboard struct {
		UID        string
		Templating struct{ List []struct{ Definition string } }
		Panels     []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	require.NoError(t, json.Unmarshal(data, &dashboard))
	require.NotEmpty(t, dashboard.Panels)

	s := start(t, nil)
	s.send(http.MethodPost, "/v1/chat/completions", chat)
	require.Eventually(t, func() bool { return strings.Contains(insideText(t, s), "llmproxy_requests_total{") }, patience, 10*time.Millisecond)
	series := map[string]map[string]bool{} // labels by metric
	for line := range strings.Lines(insideText(t, s)) {
		found := regexp.MustCompile(`^([a-z_]+)(\{.*\})? `).FindStringSubmatch(line)
		if found == nil {
			continue
		}
		labels := map[string]bool{"instance": true, "le": true} // the first is given by whoever collects
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(found[2], -1) {
			labels[label[1]] = true
		}
		series[found[1]] = labels
	}
	check := func(where, expr string) {
		metrics := regexp.MustCompile(`\b(llmproxy|process|go)_[a-z_]+\b`).FindAllString(expr, -1)
		require.Len(t, metrics, 1, "%s: %s", where, expr)
		labels := series[metrics[0]]
		require.NotNil(t, labels, "%s asks for %s, which no server has", where, metrics[0])
		for _, used := range regexp.MustCompile(`([a-z_]+)(?:=~|!=|=)"`).FindAllStringSubmatch(expr, -1) {
			require.True(t, labels[used[1]], "%s: %s has no label %s", where, metrics[0], used[1])
		}
		for _, by := range regexp.MustCompile(`by \(([a-z_]+)\)`).FindAllStringSubmatch(expr, -1) {
			require.True(t, labels[by[1]], "%s: %s has no label %s", where, metrics[0], by[1])
		}
	}
	for _, panel := range dashboard.Panels {
		require.NotEmpty(t, panel.Targets, panel.Title)
		for _, target := range panel.Targets {
			check(panel.Title, target.Expr)
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Definition != "" {
			check("a variable", strings.NewReplacer("label_values(", "", ", instance)", `{instance=""}`, ", provider)", `{provider=""}`).Replace(v.Definition))
		}
	}
	// And it shows all that is ours.
	for metric := range series {
		if strings.HasPrefix(metric, "llmproxy_") && !strings.HasSuffix(metric, "_sum") && !strings.HasSuffix(metric, "_count") {
			require.Contains(t, string(data), metric, "no panel shows it")
		}
	}
}

// insideText is the server's /metrics.
func insideText(t *testing.T, s *testServer) string {
	t.Helper()
	running, err := findServer(s.settings.PIDFile)
	require.NoError(t, err)
	return get(t, running.MetricsURL+"/metrics", http.StatusOK)
}
