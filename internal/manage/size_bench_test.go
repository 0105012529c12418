package manage_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// What the screens are measured with.
const (
	sizeProjects = 100
	sizeTokens   = 100_000
	sizeRequests = 1_000_000
	sizeAudits   = 200_000
)

// sized is what calls are made of.
type sized struct {
	project, quiet llmproxy.ProjectID // a usual one, and one that hardly anybody uses
	token, rare    llmproxy.TokenID   // one that is used much, and one that was used once
	last           llmproxy.EventID
}

// BenchmarkScreens asks what the site's screens ask, over HTTP, of a database with 100 projects, 100,000 tokens, a million requests in 30
// days and 200,000 audit entries. None may take a second. LLM_PROXY_SIZE_DB names a file that keeps the database for the next run.
//
//	go test -run '^$' -bench Screens -benchtime 5x -timeout 30m ./internal/manage
func BenchmarkScreens(b *testing.B) {
	h := newHouse(b, func(cfg *manage.Config) { cfg.Now = func() time.Time { return noon } })
	path := os.Getenv("LLM_PROXY_SIZE_DB")
	if path == "" {
		path = filepath.Join(b.TempDir(), "size.db")
	}
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}) // makes its tables
	require.NoError(b, err)
	require.NoError(b, store.Close())
	size := fill(b, path)
	began := time.Now()
	store, err = sqlite.Open(context.Background(), sqlite.Config{Path: path}) // adds up what was filled in
	require.NoError(b, err)
	b.Logf("opened in %s", time.Since(began).Round(time.Millisecond))
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	h.service = manage.New(manage.Config{Store: store, Providers: []string{"openai"}, Default: "openai", Now: func() time.Time { return noon }})
	a := serveAPI(b, h, func(cfg *manage.HandlerConfig) { cfg.Ledger = store })

	const month = "from=2026-10-23T13:00:00Z&to=2026-11-22T13:00:00Z"
	for _, c := range []struct{ screen, path string }{
		{"overview: month", "usage?" + month},
		{"overview: month before", "usage?from=2026-09-23T13:00:00Z&to=2026-10-23T13:00:00Z"},
		{"overview: hours of a day", "usage?bucket=hour"},
		{"overview: hours of the month by model", "usage?bucket=hour&group_by=model&" + month},
		{"overview: days of the month by project", "usage?bucket=day&group_by=project_id&" + month},
		{"overview: hours of the month, top projects", "usage?bucket=hour&group_by=project_id&top=5&" + month},
		{"overview: hours of the month, top tokens", "usage?bucket=hour&group_by=token_id&top=5&" + month},
		{"overview: top projects", "usage?group_by=project_id&top=10&top_by=cost_usd&" + month},
		{"overview: top tokens", "usage?group_by=token_id&top=10&top_by=cost_usd&" + month},
		{"overview: top models", "usage?group_by=model&top=10&top_by=total&" + month},
		{"overview: first request", "requests?limit=1"},
		{"project: hours of the month by model", "usage?bucket=hour&group_by=model&" + month + "&project_id=" + size.project.String()},
		{"project: top tokens", "usage?group_by=token_id&top=10&" + month + "&project_id=" + size.project.String()},
		{"token: hours of the month", "usage?bucket=hour&" + month + "&token_id=" + size.token.String()},
		{"token: one used once", "usage?bucket=hour&" + month + "&token_id=" + size.rare.String()},
		{"model: hours of the month", "usage?bucket=hour&" + month + "&model=rare-model"},
		{"projects", "projects?"},
		{"projects: search", "projects?q=project-77"},
		{"tokens", "tokens?"},
		{"tokens: search, many", "tokens?q=token"},
		{"tokens: search, one", "tokens?q=needle"},
		{"tokens: search, none", "tokens?q=no-such-name"},
		{"tokens: search by id", "tokens?q=" + size.rare.String()},
		{"tokens: search in a project", "tokens?q=no-such-name&project_id=" + size.project.String()},
		{"tokens: active", "tokens?status=active"},
		{"tokens: revoked", "tokens?status=revoked"},
		{"tokens: expired, few", "tokens?status=expired"},
		{"tokens: exhausted, few", "tokens?status=exhausted"},
		{"tokens: expiring within a day, none", "tokens?expiring_within=24h"},
		{"tokens: exhausted in a project", "tokens?status=exhausted&project_id=" + size.project.String()},
		{"requests", "requests?"},
		{"requests: a project", "requests?project_id=" + size.project.String()},
		{"requests: a quiet project", "requests?project_id=" + size.quiet.String()},
		{"requests: a token", "requests?token_id=" + size.token.String()},
		{"requests: a token used once", "requests?token_id=" + size.rare.String()},
		{"requests: a model", "requests?model=gpt-4o"},
		{"requests: a rare model", "requests?model=rare-model"},
		{"requests: no such model", "requests?model=none"},
		{"requests: 200", "requests?status=200"},
		{"requests: 2xx", "requests?status=2xx"},
		{"requests: 204, none", "requests?status=204"},
		{"requests: 3xx, none", "requests?status=3xx"},
		{"requests: 429", "requests?status=429"},
		{"requests: 418, none", "requests?status=418"},
		{"requests: 5xx", "requests?status=5xx"},
		{"requests: complete", "requests?outcome=complete"},
		{"requests: cut", "requests?outcome=cut"},
		{"requests: deadline, none", "requests?outcome=deadline"},
		{"requests: complete and 503, none", "requests?outcome=complete&status=503"},
		{"requests: cut in a quiet project", "requests?outcome=cut&project_id=" + size.quiet.String()},
		{"requests: 204 in a project, none", "requests?status=204&project_id=" + size.project.String()},
		{"requests: rare model in a project", "requests?model=rare-model&project_id=" + size.project.String()},
		{"requests: an hour of three weeks ago", "requests?from=2026-11-01T10:00:00Z&to=2026-11-01T11:00:00Z"},
		{"requests: one", "requests/" + size.last.String()},
		{"audit", "audit?"},
		{"audit: a project", "audit?project_id=" + size.project.String()},
		{"audit: a token", "audit?token_id=" + size.rare.String()},
		{"audit: refused", "audit?outcome=refused"},
		{"audit: an action that is rare", "audit?action=project.delete"},
		{"audit: an action that never was", "audit?action=nothing"},
		{"audit: an actor that never was", "audit?actor=admin:nobody"},
		{"audit: a request", "audit?request_id=request-5"},
		{"audit: words that never were", "audit?q=no-such-words"},
		{"audit: a day long ago", "audit?from=2026-01-20T00:00:00Z&to=2026-01-21T00:00:00Z"},
		{"audit: refused on a day long ago", "audit?outcome=refused&from=2026-01-20T00:00:00Z&to=2026-01-21T00:00:00Z"},
	} {
		b.Run(strings.ReplaceAll(c.screen, " ", "_"), func(b *testing.B) {
			var longest time.Duration
			rows := 0
			for b.Loop() {
				began := time.Now()
				got := a.do(b, "GET", "/manage/"+c.path, nil)
				longest = max(longest, time.Since(began))
				require.Equal(b, http.StatusOK, got.status, got.body)
				rows = strings.Count(got.body, `"created_at"`) + strings.Count(got.body, `"outcome"`) + strings.Count(got.body, `"metered"`)
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
			b.ReportMetric(float64(rows), "rows")
		})
	}
}

// fill puts everything into a new database, as the store would have. One by one each would wait for the disk.
func fill(b *testing.B, path string) (size sized) {
	db, err := sql.Open("sqlite", path+"?_pragma=synchronous(off)&_pragma=cache_size(-200000)")
	require.NoError(b, err)
	defer db.Close()
	random := rand.New(rand.NewPCG(7, 7))
	id := func(at time.Time) llmproxy.UUID {
		u := llmproxy.NewUUID(at)
		for i := range 8 {
			u[8+i] = byte(random.Uint32())
		}
		return u
	}
	projects := make([]llmproxy.ProjectID, sizeProjects)
	for i := range projects {
		projects[i].UUID = id(noon.AddDate(0, -11, i))
		projects[i].UUID[6], projects[i].UUID[7] = 0x70, 0
	}
	tokens := make([]llmproxy.TokenID, sizeTokens)
	owner := make([]int, sizeTokens)
	for i := range tokens {
		tokens[i].UUID = id(noon.Add(-time.Duration(sizeTokens-i) * time.Minute))
		tokens[i].UUID[6], tokens[i].UUID[7] = 0x70, 0
		owner[i] = min(random.IntN(sizeProjects), random.IntN(sizeProjects)) // the first ones have more
	}
	size.project, size.quiet, size.token, size.rare = projects[0], projects[sizeProjects-1], tokens[0], tokens[sizeTokens-1]
	defer func() {
		var last []byte
		require.NoError(b, db.QueryRow(`SELECT max(id) FROM ledger_requests`).Scan(&last))
		copy(size.last.UUID[:], last)
	}()
	there := 0
	require.NoError(b, db.QueryRow(`SELECT count(*) FROM ledger_hours`).Scan(&there))
	if there > 0 {
		return size
	}
	began := time.Now()
	insert := func(query string, each func(add func(args ...any))) {
		tx, err := db.Begin()
		require.NoError(b, err)
		stmt, err := tx.Prepare(query)
		require.NoError(b, err)
		each(func(args ...any) {
			if _, err := stmt.Exec(args...); err != nil {
				require.NoError(b, err)
			}
		})
		require.NoError(b, tx.Commit())
	}
	marks := func(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }
	insert(`INSERT INTO projects (id, name, description, metadata, provider, active, created_at, updated_at, deleted_at, sealed_key, key_hint, key_ref, capture, endpoints, epoch, epoch_at, revision) VALUES (`+marks(17)+`)`, func(add func(...any)) {
		for i, p := range projects {
			add(p.UUID[:], fmt.Sprint("project-", i), "", "{}", "openai", 1, p.Time().UnixMilli(), p.Time().UnixMilli(), 0, "v1.fake", "wxyz", "", "full", "inference", 0, 0, 1)
		}
	})
	insert(`INSERT INTO tokens (id, project_id, hash, previous_hash, previous_until, name, created_at, expires_at, active, revoked_at, max_requests, requests_per_hour, request_count, last_used_at, window_hour, window_count, request_headers_drop, epoch, revision) VALUES (`+marks(19)+`)`, func(add func(...any)) {
		for i, t := range tokens {
			name, expires, revoked, count := fmt.Sprint("token-", i), noon.AddDate(0, 0, 30), 0, 5
			switch {
			case i == 777:
				name = "a needle"
			case i%20_000 == 1:
				expires = noon.Add(-time.Minute)
			case i%20_000 == 2:
				count = 1000
			case i%10 == 3:
				revoked = 1
			}
			add(t.UUID[:], projects[owner[i]].UUID[:], make([]byte, 32), make([]byte, 32), 0, name, t.Time().UnixMilli(), expires.UnixMilli(), 1-revoked, revoked, 1000, 1000, count, 0, 0, 0, "[]", 0, 1)
		}
	})
	insert(`INSERT INTO audit (id, time, action, outcome, reason, actor, client_addr, forwarded, request_id, project_id, token_id, before, after, suppressed) VALUES (`+marks(14)+`)`, func(add func(...any)) {
		for i := range sizeAudits {
			at := noon.Add(-time.Duration(sizeAudits-i) * (400 * 24 * time.Hour / sizeAudits))
			action, outcome, token := "token.create", "done", random.IntN(sizeTokens)
			if i%1000 == 0 {
				action = "project.delete"
			}
			if i%100 == 0 {
				outcome = "refused"
			}
			u := id(at)
			add(u[:], at.UnixMilli(), action, outcome, "", "token", "192.0.2.7", "", fmt.Sprint("request-", i), projects[owner[token]].UUID[:], tokens[token].UUID[:], "{}", `{"name":"token of somebody","max_requests":"1000"}`, 0)
		}
	})
	type hourKey struct {
		hour           int64
		project, token llmproxy.UUID
		model          string
	}
	hours := map[hourKey]*llmproxy.Tally{}
	insert(`INSERT INTO ledger_requests (id, project_id, token_id, model, status, outcome, record) VALUES (`+marks(7)+`)`, func(add func(...any)) {
		for i := range sizeRequests {
			at := noon.Add(-time.Duration(sizeRequests-i) * (30 * 24 * time.Hour / sizeRequests)).Truncate(time.Millisecond)
			token := int(float64(sizeTokens-1) * random.Float64() * random.Float64() * random.Float64()) // the first ones are used more
			input, output, cost := random.Int64N(20_000), random.Int64N(2_000), float64(random.Int64N(1_000_000_000))/1e12
			total := input + output
			e := &llmproxy.Event{
				ID: llmproxy.EventID{UUID: id(at)}, Time: at, ProjectID: projects[owner[token]], TokenID: tokens[token], Provider: "openai", Method: "POST", Path: "/v1/chat/completions", Status: 200,
				Outcome: llmproxy.Complete, Stream: i%2 == 0, Model: []string{"gpt-4o", "gpt-4o-mini", "gpt-4.1", "text-embedding-3-small"}[random.IntN(4)],
				Timing:   llmproxy.Timing{Total: time.Duration(200+random.IntN(20_000)) * time.Millisecond, Auth: time.Millisecond, FirstByte: time.Duration(100+random.IntN(1000)) * time.Millisecond},
				Request:  llmproxy.Message{Bytes: 900, ContentType: "application/json"},
				Response: llmproxy.Message{Bytes: 2400, ContentType: "text/event-stream", Events: 80, Headers: []llmproxy.Header{{Name: "x-request-id", Value: "req_0123456789abcdef"}}},
				Usage:    &llmproxy.Usage{Input: &input, Output: &output, Total: &total, Source: llmproxy.SourceUpstream, CostUSD: &cost},
			}
			switch {
			case i%100_000 == 17:
				e.Model = "rare-model"
			case i%5_000 == 18:
				e.Outcome = llmproxy.Cut
			case i%200 == 19:
				e.Status = 429
			case i%1_000 == 20:
				e.Status, e.Outcome = 502, llmproxy.UpstreamError
			}
			add(e.ID.UUID[:], e.ProjectID.UUID[:], e.TokenID.UUID[:], e.Model, e.Status, string(e.Outcome), string(e.AppendMeta(nil)))
			key := hourKey{llmproxy.HourOf(at), e.ProjectID.UUID, e.TokenID.UUID, e.Model}
			if hours[key] == nil {
				hours[key] = &llmproxy.Tally{}
			}
			hours[key].AddEvent(e)
		}
	})
	insert(`INSERT INTO ledger_hours VALUES (`+marks(25)+`)`, func(add func(...any)) {
		for _, key := range slices.SortedFunc(maps.Keys(hours), func(a, b hourKey) int {
			return cmp.Or(cmp.Compare(a.hour, b.hour), bytes.Compare(a.project[:], b.project[:]), bytes.Compare(a.token[:], b.token[:]), cmp.Compare(a.model, b.model))
		}) {
			args := []any{key.hour, key.project[:], key.token[:], key.model}
			for _, n := range hours[key].Counters() {
				args = append(args, *n)
			}
			add(append(args, hours[key].Latency.AppendBinary([]byte{}), hours[key].FirstByte.AppendBinary([]byte{}))...)
		}
	})
	b.Logf("filled in %s: %d projects, %d tokens, %d requests in %d sums, %d audit entries", time.Since(began).Round(time.Second), sizeProjects, sizeTokens, sizeRequests, len(hours), sizeAudits)
	return size
}
