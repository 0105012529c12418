package manage_test

import (
	"database/sql"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// manyTokens is how many tokens the listed project has.
const manyTokens = 100_000

// BenchmarkAPageOf100000Tokens reads page after page of 100 tokens over HTTP, through the filters in turn. It reports the slowest
// hundredth beside the mean, and what the heap has grown by meanwhile.
//
//	go test -run ^$ -bench APageOf -benchtime 2000x ./internal/manage
func BenchmarkAPageOf100000Tokens(b *testing.B) {
	a := newAPI(b)
	project := a.newProject(b)
	addTokens(b, a.path, mustProject(b, project), manyTokens)
	for name, filter := range map[string]string{"project": "project_id=" + project, "active": "active=true", "project, active, expiring": "active=true&expiring_within=24h&project_id=" + project} {
		b.Run(name, func(b *testing.B) {
			first := "/manage/tokens?" + filter
			path, times := first, make([]time.Duration, 0, b.N)
			before := heap()
			for b.Loop() {
				began := time.Now()
				got := a.do(b, "GET", path, nil)
				times = append(times, time.Since(began))
				require.Equal(b, http.StatusOK, got.status)
				if path = nextPage(b, got); path == "" {
					path = first
				}
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(heap()-before)/1e6, "heap-MB")
		})
	}
}

// addTokens puts many tokens into a database in one statement: one by one each would wait for the disk.
func addTokens(tb testing.TB, path string, project llmproxy.ProjectID, n int) {
	tb.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(tb, err)
	defer db.Close()
	_, err = db.ExecContext(tb.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO tokens (id, project_id, hash, previous_hash, previous_until, name, created_at, expires_at, active, revoked_at, max_requests, requests_per_hour, request_count, last_used_at, window_hour, window_count, request_headers_drop, epoch, revision)
SELECT CAST(substr(printf('%016d', i), -16) AS BLOB), ?, randomblob(32), zeroblob(32), 0, 'token ' || i, ?, ?, i % 10 > 0, iif(i % 10 > 0, 0, 1), 0, 1000, i, 0, 0, 0, '[]', 0, 1 FROM n`,
		n, project.UUID[:], noon.UnixMilli(), noon.Add(time.Hour).UnixMilli())
	require.NoError(tb, err)
}

// heap is how much of it is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
