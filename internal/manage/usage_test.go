package manage_test

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// newLedgerAPI is management over a ledger of n events, one a minute up to noon.
func newLedgerAPI(t *testing.T, n int) (*api, []*llmproxy.Event) {
	t.Helper()
	h := newHouse(t)
	a := serveAPI(t, h, func(cfg *manage.HandlerConfig) { cfg.Ledger = h.store })
	events := make([]*llmproxy.Event, n)
	for i := range events {
		events[i] = storetest.LedgerEvent(i, noon.Truncate(time.Millisecond).Add(-time.Duration(n-1-i)*time.Minute))
	}
	require.NoError(t, h.store.Record(t.Context(), events))
	return a, events
}

func TestUsageIsTheSumOfTheRequests(t *testing.T) {
	a, events := newLedgerAPI(t, 300)
	var sum llmproxy.Tally
	byModel := map[string]int64{}
	for _, e := range events {
		sum.AddEvent(e)
		byModel[e.Model]++
	}
	got := a.want(t, http.StatusOK, "GET", "/manage/usage", nil).body
	total := gjson.Get(got, "total")
	require.Equal(t, sum.Requests, total.Get("requests").Int())
	require.Equal(t, sum.Errors, total.Get("errors").Int())
	require.Equal(t, sum.Metered, total.Get("metered").Int())
	require.Equal(t, sum.Estimated, total.Get("estimated").Int())
	require.Equal(t, sum.Priced, total.Get("priced").Int())
	require.Equal(t, sum.Input.Sum, total.Get("usage.input").Int())
	require.Equal(t, sum.Reasoning.Sum, total.Get("usage.reasoning").Int())
	require.Equal(t, sum.Cost.String(), total.Get("cost_usd").Raw, "to the last digit")
	require.False(t, total.Get("usage.cache_write").Exists(), "nobody told of it: unknown, not zero")
	p95, _ := sum.Latency.Quantile(.95)
	require.Equal(t, p95, total.Get("latency_ms.p95").Int())
	require.Equal(t, int64(300), total.Get("latency_ms.requests").Int())
	require.Equal(t, sum.FirstByte.Count(), total.Get("first_byte_ms.requests").Int())
	require.Equal(t, int64(1), gjson.Get(got, "rows.#").Int())
	require.False(t, gjson.Get(got, "rows.0.start").Exists())
	require.Equal(t, "2026-11-22T13:00:00Z", gjson.Get(got, "to").Str)
	require.Equal(t, "2026-10-23T13:00:00Z", gjson.Get(got, "from").Str)

	got = a.want(t, http.StatusOK, "GET", "/manage/usage?group_by=model&bucket=hour", nil).body
	require.Equal(t, "2026-11-21T13:00:00Z", gjson.Get(got, "from").Str)
	models := map[string]int64{}
	for _, row := range gjson.Get(got, "rows").Array() {
		models[row.Get("model").Str] += row.Get("requests").Int()
		require.NotEmpty(t, row.Get("start").Str)
		require.False(t, row.Get("project_id").Exists())
	}
	require.Equal(t, byModel, models)

	for query, want := range map[string]func(*llmproxy.Event) bool{
		"project_id=" + events[0].ProjectID.String():                 func(e *llmproxy.Event) bool { return e.ProjectID == events[0].ProjectID },
		"token_id=" + events[0].TokenID.String() + "&model=gpt-4o":   func(e *llmproxy.Event) bool { return e.TokenID == events[0].TokenID && e.Model == "gpt-4o" },
		"from=2026-11-22T10:20:00Z&to=2026-11-22T11:00:00Z":          func(e *llmproxy.Event) bool { return e.Time.Hour() == 10 },
		"bucket=day&to=2026-11-22T10:00:01Z&group_by=token_id,model": func(e *llmproxy.Event) bool { return e.Time.Hour() <= 10 },
	} {
		n := int64(0)
		for _, e := range events {
			if want(e) {
				n++
			}
		}
		got := a.want(t, http.StatusOK, "GET", "/manage/usage?"+query, nil).body
		require.Equal(t, n, gjson.Get(got, "total.requests").Int(), query)
	}
	none := a.want(t, http.StatusOK, "GET", "/manage/usage?model=none", nil).body
	require.Equal(t, `{"requests":0,"errors":0,"metered":0,"estimated":0,"priced":0,"usage":{}}`, gjson.Get(none, "total").Raw)
	require.Equal(t, "[]", gjson.Get(none, "rows").Raw)
}

func TestUsageRefusesWhatItCannotTell(t *testing.T) {
	a, _ := newLedgerAPI(t, 1)
	for query, field := range map[string]string{
		"project_id=x": "project_id", "token_id=sk-llmp-x": "token_id", "bucket=week": "bucket", "group_by=path": "group_by[0]", "group_by=model,model": "group_by",
		"model=": "model", "from=yesterday": "from", "from=2026-11-22T10:00:00Z&to=2026-11-22T10:00:00Z": "from", "bucket=day&bucket=hour": "bucket", "nonsense=1": "nonsense",
	} {
		a.wantField(t, field, "GET", "/manage/usage?"+query, nil)
	}
	for query, field := range map[string]string{"status=600": "status", "status=5x": "status", "outcome=fine": "outcome", "token_id=x": "token_id", "limit=0": "limit", "cursor=x": "cursor"} {
		a.wantField(t, field, "GET", "/manage/requests?"+query, nil)
	}
	plain := newAPI(t)
	for _, path := range []string{"usage", "requests", "requests/" + llmproxy.NewEventID(noon).String()} {
		require.Contains(t, plain.want(t, http.StatusNotFound, "GET", "/manage/"+path, nil).body, "keeps no ledger")
	}
}

func TestAnAnswerOfUsageHasItsBounds(t *testing.T) {
	h := newHouse(t)
	a := serveAPI(t, h, func(cfg *manage.HandlerConfig) { cfg.Ledger = manyRows{h.store} })
	a.wantField(t, "bucket", "GET", "/manage/usage?bucket=hour&group_by=model", nil)
}

// manyRows is a ledger with more to tell than fits an answer.
type manyRows struct{ manage.Ledger }

func (manyRows) Usage(context.Context, llmproxy.UsageFilter) ([]llmproxy.UsageRow, error) {
	return make([]llmproxy.UsageRow, 10_001), nil
}

func TestRequestsAreListedWithoutBodies(t *testing.T) {
	a, events := newLedgerAPI(t, 120)
	e := storetest.LedgerEvent(2, noon.Truncate(time.Millisecond).Add(time.Second))
	input, cost := int64(9), 0.000001234567
	e.Model, e.Status, e.Code, e.Usage = "o3", 504, "upstream_timeout", &llmproxy.Usage{Input: &input, Source: llmproxy.SourceUpstream, CostUSD: &cost}
	e.Outcome = llmproxy.UpstreamError
	e.Request.Body = &llmproxy.Body{Head: []byte("a canary that must not sing"), Size: 27}
	e.Response = llmproxy.Message{Bytes: 3, ContentType: "application/json", Headers: []llmproxy.Header{{Name: "x-request-id", Value: "r1"}}}
	require.NoError(t, a.store.Record(t.Context(), []*llmproxy.Event{e}))

	one := a.want(t, http.StatusOK, "GET", "/manage/requests/"+e.ID.String(), nil).body
	require.NotContains(t, one, "canary")
	for path, want := range map[string]string{
		"id": `"` + e.ID.String() + `"`, "status": "504", "outcome": `"upstream_error"`, "code": `"upstream_timeout"`, "usage.input": "9", "usage.cost_usd": "0.000001234567",
		"usage.source": `"upstream"`, "response.headers.x-request-id": `"r1"`, "timing.total_ms": fmt.Sprint(e.Timing.Total.Milliseconds()),
	} {
		require.Equal(t, want, gjson.Get(one, path).Raw, path)
	}
	require.False(t, gjson.Get(one, "usage.output").Exists())
	a.want(t, http.StatusNotFound, "GET", "/manage/requests/"+llmproxy.NewEventID(noon).String(), nil)
	a.want(t, http.StatusNotFound, "GET", "/manage/requests/x", nil)

	require.Equal(t, int64(1), gjson.Get(a.want(t, http.StatusOK, "GET", "/manage/requests?status=504&model=o3&outcome=upstream_error", nil).body, "#").Int())
	path, pages, n := "/manage/requests?status=2xx&limit=10&to=2026-11-22T12:29:00Z&project_id="+events[0].ProjectID.String(), 0, 0
	want := 0
	for _, e := range events {
		if e.Status/100 == 2 && e.ProjectID == events[0].ProjectID && e.Time.Before(noon.Add(-time.Minute).Truncate(time.Millisecond)) {
			want++
		}
	}
	for ; path != ""; pages++ {
		got := a.want(t, http.StatusOK, "GET", path, nil)
		for _, r := range got.list(t) {
			require.InDelta(t, 200, r["status"], 0)
			n++
		}
		link, _, _ := strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
		path = link
	}
	require.Equal(t, want, n)
	require.Greater(t, pages, 2)
}

func TestTheLargestGroupsHaveRowsOfTheirOwn(t *testing.T) {
	a, events := newLedgerAPI(t, 300)
	var all llmproxy.Tally
	for _, e := range events {
		all.AddEvent(e)
	}
	for _, by := range []string{"requests", "errors", "input", "output", "total", "cost_usd"} {
		path := map[string]string{"requests": "requests", "errors": "errors", "cost_usd": "cost_usd"}[by]
		if path == "" {
			path = "usage." + by
		}
		groups := gjson.Get(a.want(t, http.StatusOK, "GET", "/manage/usage?group_by=token_id,model", nil).body, "rows").Array()
		slices.SortStableFunc(groups, func(a, b gjson.Result) int { return cmp.Compare(b.Get(path).Num, a.Get(path).Num) })
		got := a.want(t, http.StatusOK, "GET", "/manage/usage?group_by=token_id,model&top=2&top_by="+by, nil).body
		require.Equal(t, int64(3), gjson.Get(got, "rows.#").Int())
		for i := range 2 {
			require.Equal(t, groups[i].Raw, gjson.Get(got, fmt.Sprint("rows.", i)).Raw, by)
		}
		others := gjson.Get(got, "rows.2")
		require.True(t, others.Get("others").Bool())
		require.False(t, others.Get("token_id").Exists())
		require.Equal(t, all.Requests, gjson.Get(got, "total.requests").Int(), "nobody is left out of the total")
		require.Equal(t, all.Cost.String(), gjson.Get(got, "total.cost_usd").Raw)

		hours := a.want(t, http.StatusOK, "GET", "/manage/usage?bucket=hour&group_by=token_id,model&top=2&top_by="+by, nil).body
		sums := map[string]int64{}
		gjson.Get(hours, "rows").ForEach(func(_, row gjson.Result) bool {
			sums[row.Get("token_id").Str+row.Get("model").Str] += row.Get("requests").Int()
			return true
		})
		require.Equal(t, map[string]int64{
			groups[0].Get("token_id").Str + groups[0].Get("model").Str: groups[0].Get("requests").Int(),
			groups[1].Get("token_id").Str + groups[1].Get("model").Str: groups[1].Get("requests").Int(), "": others.Get("requests").Int(),
		}, sums, "the same ones in each hour")
	}
	require.Equal(t, "[]", gjson.Get(a.want(t, http.StatusOK, "GET", "/manage/usage?model=none&group_by=model&top=3", nil).body, "rows").Raw)
	a.wantField(t, "top", "GET", "/manage/usage?top=3", nil)
	a.wantField(t, "top_by", "GET", "/manage/usage?group_by=model&top_by=input", nil)
	a.wantField(t, "top_by", "GET", "/manage/usage?group_by=model&top=1&top_by=name", nil)
	a.wantField(t, "top", "GET", "/manage/usage?group_by=model&top=101", nil)
}

// writePages reads a listing page by page.
func writePages(t *testing.T, a *api, listing string, to manage.CSV) {
	t.Helper()
	for path := "/manage/" + listing; path != ""; {
		page := a.want(t, http.StatusOK, "GET", path, nil)
		var items []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(page.body), &items))
		require.NoError(t, to.Write(items))
		path, _, _ = strings.Cut(strings.TrimPrefix(page.header.Get("Link"), "<"), ">")
	}
}

func TestRequestsAreExportedWhole(t *testing.T) {
	a, events := newLedgerAPI(t, 250)
	e := storetest.LedgerEvent(2, noon.Truncate(time.Millisecond).Add(time.Second))
	input, cost := int64(9), 0.000001234567
	e.Model, e.Usage = `=HYPERLINK("https://evil.example","x")`, &llmproxy.Usage{Input: &input, Source: llmproxy.SourceEstimate, Partial: true, CostUSD: &cost}
	e.Timing = llmproxy.Timing{Total: 7 * time.Millisecond, Auth: time.Millisecond, Upstream: 2 * time.Millisecond, FirstByte: 3 * time.Millisecond}
	require.NoError(t, a.store.Record(t.Context(), []*llmproxy.Event{e}))

	got := a.want(t, http.StatusOK, "GET", "/manage/requests?format=csv", nil)
	require.Equal(t, "text/csv; charset=utf-8", got.header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="requests.csv"`, got.header.Get("Content-Disposition"))
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 252, "a head and all pages")
	cells := map[string]string{}
	for i, name := range rows[0] {
		cells[name] = rows[1][i]
	}
	require.Equal(t, map[string]string{
		"time": "2026-11-22T12:30:01Z", "id": e.ID.String(), "project_id": e.ProjectID.String(), "token_id": e.TokenID.String(), "provider": "openai", "method": "POST", "path": "/v1/chat/completions",
		"model": "'" + e.Model, "status": fmt.Sprint(e.Status), "outcome": string(e.Outcome), "code": "", "stream": "false", "total_ms": "7", "auth_ms": "1", "upstream_ms": "2", "first_byte_ms": "3",
		"request_bytes": "0", "response_bytes": "0", "response_events": "", "input": "9", "output": "", "total": "", "cached": "", "cache_write": "", "reasoning": "",
		"usage_source": "estimate", "usage_partial": "true", "cost_usd": "0.000001234567",
	}, cells, "a formula is a text, and what is unknown is empty")
	var pages strings.Builder
	writePages(t, a, "requests", manage.NewRequestsCSV(&pages, false))
	require.Equal(t, got.body, pages.String(), "whoever reads page by page writes the same")

	got = a.want(t, http.StatusOK, "GET", "/manage/requests?model=gpt-4o", nil, "Accept", "application/x-ndjson")
	require.Equal(t, `attachment; filename="requests.jsonl"`, got.header.Get("Content-Disposition"))
	want := 0
	for _, e := range events {
		if e.Model == "gpt-4o" {
			want++
		}
	}
	lines := strings.Split(strings.TrimSpace(got.body), "\n")
	require.Len(t, lines, want)
	require.Equal(t, a.want(t, http.StatusOK, "GET", "/manage/requests/"+gjson.Get(lines[0], "id").Str, nil).body, lines[0]+"\n")
	a.wantField(t, "limit", "GET", "/manage/requests?format=csv&limit=5", nil)
	a.wantField(t, "format", "GET", "/manage/requests?format=xml", nil)
	require.Len(t, strings.Split(strings.TrimSpace(a.want(t, http.StatusOK, "GET", "/manage/requests?format=csv&model=none", nil).body), "\n"), 1, "a head alone")
}
