package manage_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

func TestTheAuditTellsWhoDidWhat(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	got := a.want(t, http.StatusOK, "PATCH", "/manage/projects/"+project, m{"name": "new"}, "X-Forwarded-For", "198.51.100.9")
	entry := a.want(t, http.StatusOK, "GET", "/manage/audit?limit=1", nil).list(t)[0]
	for field, want := range map[string]any{
		"action": "project.update", "outcome": "done", "actor": "token", "client_addr": "127.0.0.1", "forwarded": "198.51.100.9",
		"request_id": got.header.Get("X-Llm-Proxy-Request-Id"), "project_id": project, "before": m{"name": "demo"}, "after": m{"name": "new"},
	} {
		require.Equal(t, want, entry[field], field)
	}
	require.NotContains(t, entry, "token_id")
}

func TestTheAuditIsFiltered(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	begin := a.clock.now()
	a.clock.move(time.Hour)
	token, _ := a.newToken(t, project, m{"name": "ci 100%"})
	a.want(t, http.StatusNoContent, "DELETE", "/manage/tokens/"+token, nil)
	a.want(t, http.StatusUnauthorized, "GET", "/manage/info", nil, "Authorization", "Bearer wrong")
	last := a.lastAudit(t)
	for query, want := range map[string]int{
		"":                                   4,
		"action=token.revoke":                1,
		"actor=token":                        3,
		"actor=unknown":                      1,
		"outcome=refused":                    1,
		"project_id=" + project:              3,
		"request_id=" + last.Actor.RequestID: 1,
		"q=WRONG":                            1,
		"q=" + url.QueryEscape("100%"):       1,
		"from=" + begin.Add(time.Minute).Format(time.RFC3339Nano): 3,
		"to=" + begin.Add(time.Minute).Format(time.RFC3339Nano):   1,
		"actor=token&outcome=refused":                             0,
	} {
		require.Len(t, a.want(t, http.StatusOK, "GET", "/manage/audit?"+query, nil).list(t), want, query)
	}
	var actions []string
	for path := "/manage/audit?limit=1&outcome=done"; path != ""; {
		got := a.want(t, http.StatusOK, "GET", path, nil)
		actions = append(actions, got.list(t)[0]["action"].(string))
		path = nextPage(t, got)
	}
	require.Equal(t, []string{"token.revoke", "token.create", "project.create"}, actions)
}

func TestAnExportIsWholeInEachForm(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t, m{"name": `=HYPERLINK("http://evil.example")`})
	for range 210 {
		require.NoError(t, a.service.Refuse(t.Context(), llmproxy.Actor{Name: "unknown", Forwarded: "@SUM(1)"}, "authenticate", "-2+3", 0))
	}
	for _, reason := range []string{"+1", "\tx", "\rx", "two\nlines, and \"quotes\"", "a=b"} {
		require.NoError(t, a.service.Refuse(t.Context(), operator, "authenticate", reason, 7))
	}
	got := a.want(t, http.StatusOK, "GET", "/manage/audit?format=csv", nil)
	require.Equal(t, "text/csv; charset=utf-8", got.header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="audit.csv"`, got.header.Get("Content-Disposition"))
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1+216)
	require.Equal(t, "time,id,action,outcome,reason,actor,client_addr,forwarded,request_id,project_id,token_id,suppressed,before,after", strings.Join(rows[0], ","))
	require.Equal(t, []string{"a=b", "two\nlines, and \"quotes\"", "'\rx", "'\tx", "'+1", "'-2+3"}, []string{rows[1][4], rows[2][4], rows[3][4], rows[4][4], rows[5][4], rows[6][4]})
	require.Equal(t, "'@SUM(1)", rows[6][7])
	require.Equal(t, "7", rows[1][11])
	require.Equal(t, project, rows[216][9])
	for _, row := range rows {
		for _, cell := range row {
			require.False(t, cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r"), "%q would be a formula", cell)
		}
	}

	var pages strings.Builder
	writePages(t, a, "audit", manage.NewAuditCSV(&pages, false))
	require.Equal(t, got.body, pages.String(), "whoever reads page by page writes the same")
	require.Error(t, manage.NewAuditCSV(&pages, true).Write([]json.RawMessage{[]byte(`{"time":1}`)}))

	got = a.want(t, http.StatusOK, "GET", "/manage/audit", nil, "Accept", "application/x-ndjson")
	require.Equal(t, "application/x-ndjson; charset=utf-8", got.header.Get("Content-Type"))
	lines := strings.Split(strings.TrimSpace(got.body), "\n")
	require.Len(t, lines, 216)
	var oldest map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[215]), &oldest))
	require.Equal(t, "project.create", oldest["action"])
	require.Contains(t, a.want(t, http.StatusOK, "GET", "/manage/audit?outcome=done", nil, "Accept", "text/csv").body, "project.create")
	require.Len(t, a.want(t, http.StatusOK, "GET", "/manage/audit?format=json", nil, "Accept", "text/csv").list(t), 100, "format wins")
	require.Len(t, a.want(t, http.StatusOK, "GET", "/manage/audit", nil, "Accept", "text/html").list(t), 100)
	require.Equal(t, "time,", a.want(t, http.StatusOK, "GET", "/manage/audit?format=csv&actor=nobody", nil).body[:5], "the head stands also where nothing is")
}

// breaksOff answers the first page of the audit alone.
type breaksOff struct {
	manage.Store
	pages atomic.Int64
}

func (b *breaksOff) Audit(ctx context.Context, f llmproxy.AuditFilter, page llmproxy.Page) ([]llmproxy.AuditEntry, bool, error) {
	if b.pages.Add(1) > 1 {
		return nil, false, llmproxy.ErrUnavailable
	}
	return b.Store.Audit(ctx, f, page)
}

func TestAnExportThatBreaksOffLooksBroken(t *testing.T) {
	h := newHouse(t)
	for range 150 {
		require.NoError(t, h.service.Refuse(t.Context(), operator, "authenticate", "x", 0))
	}
	broken := newHouse(t, func(cfg *manage.Config) { cfg.Store = &breaksOff{Store: h.store} })
	a := serveAPI(t, broken)
	req, err := http.NewRequestWithContext(t.Context(), "GET", a.server.URL+"/manage/audit?format=jsonl", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+managementToken)
	res, err := a.server.Client().Do(req)
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	require.Error(t, err)
	require.True(t, errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF), err)
}
