package manage_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// What the screens are measured with. LLM_PROXY_SIZE_DB names a file that keeps it for the next run.
const (
	sizeProjects = 100
	sizeTokens   = 100_000
	sizeRequests = 1_000_000
	sizeAudits   = 200_000
	sizeDays     = 29 // that the requests lie in: a server that starts over the file a day later sweeps none of them
)

// sizeFilling is what fill makes: another number has a file from before made anew.
const sizeFilling = 1

// sizeLasts is for how long a file is good enough: its last requests are of the hour that it was filled in.
const sizeLasts = 12 * time.Hour

// sized is what calls are made of.
type sized struct {
	now            time.Time          // when it was filled
	project, quiet llmproxy.ProjectID // a usual one, and one that hardly anybody uses
	token, rare    llmproxy.TokenID   // one that is used much, and one that was used once
	last           llmproxy.EventID
}

// openSized opens the database that is measured, which an earlier run may have filled.
func openSized(b *testing.B) (*sqlite.Store, sized) {
	path := os.Getenv("LLM_PROXY_SIZE_DB")
	if path == "" {
		path = filepath.Join(b.TempDir(), "size.db")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) && !stillGood(b, path) {
		for _, part := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(path + part); !errors.Is(err, fs.ErrNotExist) {
				require.NoError(b, err)
			}
		}
	}
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}) // makes its tables
	require.NoError(b, err)
	require.NoError(b, store.Close())
	if !stillGood(b, path) {
		fill(b, path)
	}
	began := time.Now()
	store, err = sqlite.Open(context.Background(), sqlite.Config{Path: path})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	_, err = store.Sweep(b.Context(), time.Now()) // as a server does a minute after its start
	require.NoError(b, err)
	say("opened and swept in %s", time.Since(began).Round(time.Millisecond))
	return store, sizedOf(b, path)
}

// say tells how far it is: what takes minutes is not to look like a hang.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// stillGood reports whether a file has been filled, as fill does it and not long ago.
func stillGood(b *testing.B, path string) bool {
	db, err := sql.Open("sqlite", path)
	require.NoError(b, err)
	defer db.Close()
	var how, at int64
	err = db.QueryRowContext(b.Context(), `SELECT how, at FROM filled`).Scan(&how, &at)
	return err == nil && how == sizeFilling && time.Since(time.UnixMilli(at)) < sizeLasts
}

// sizedOf reads what calls are made of.
func sizedOf(b *testing.B, path string) (size sized) {
	db, err := sql.Open("sqlite", path)
	require.NoError(b, err)
	defer db.Close()
	var at int64
	require.NoError(b, db.QueryRowContext(b.Context(), `SELECT at FROM filled`).Scan(&at))
	size.now = time.UnixMilli(at).UTC()
	for id, query := range map[*llmproxy.UUID]string{
		&size.project.UUID: `SELECT id FROM projects WHERE name = 'project-0'`,
		&size.quiet.UUID:   fmt.Sprintf(`SELECT id FROM projects WHERE name = 'project-%d'`, sizeProjects-1),
		&size.token.UUID:   `SELECT id FROM tokens WHERE name = 'token-0'`,
		&size.rare.UUID:    fmt.Sprintf(`SELECT id FROM tokens WHERE name = 'token-%d'`, sizeTokens-1),
		&size.last.UUID:    `SELECT max(id) FROM ledger_requests`,
	} {
		var found []byte
		require.NoError(b, db.QueryRowContext(b.Context(), query).Scan(&found), query)
		copy(id[:], found)
	}
	return size
}

// filler puts rows into a new database, as the store would have. One by one each would wait for the disk.
type filler struct {
	b      *testing.B
	db     *sql.DB
	random *rand.Rand
	now    time.Time

	projects []llmproxy.ProjectID
	tokens   []llmproxy.TokenID
	owner    []int // index of a token's project
}

func fill(b *testing.B, path string) {
	began := time.Now()
	db, err := sql.Open("sqlite", path+"?_pragma=synchronous(off)&_pragma=cache_size(-100000)")
	require.NoError(b, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	f := &filler{b: b, db: db, random: rand.New(rand.NewPCG(7, 7)), now: began.UTC().Truncate(time.Millisecond)}
	indexes := f.takeIndexes()
	f.fillProjects()
	f.fillTokens()
	f.fillAudit()
	rows := f.fillLedger()
	for name, query := range indexes {
		say("%s: index %s", time.Since(began).Round(time.Second), name)
		f.exec(query)
	}
	f.exec(`CREATE TABLE filled (how INTEGER, at INTEGER)`)
	f.exec(`INSERT INTO filled VALUES (?, ?)`, sizeFilling, f.now.UnixMilli())
	say("filled in %s: %d projects, %d tokens, %d requests in %d hours of tokens, %d audit entries", time.Since(began).Round(time.Second), sizeProjects, sizeTokens, sizeRequests, rows, sizeAudits)
}

func (f *filler) exec(query string, args ...any) {
	_, err := f.db.ExecContext(f.b.Context(), query, args...)
	require.NoError(f.b, err, query)
}

// takeIndexes drops the indexes and returns how they are made: at the end that is much faster than row by row.
func (f *filler) takeIndexes() map[string]string {
	rows, err := f.db.QueryContext(f.b.Context(), `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`)
	require.NoError(f.b, err)
	indexes := map[string]string{}
	for rows.Next() {
		var name, query string
		require.NoError(f.b, rows.Scan(&name, &query))
		indexes[name] = query
	}
	require.NoError(f.b, errors.Join(rows.Err(), rows.Close()))
	for name := range indexes {
		f.exec(`DROP INDEX ` + name)
	}
	return indexes
}

// insert adds rows to a table in one transaction.
func (f *filler) insert(table, columns string, each func(add func(args ...any))) {
	tx, err := f.db.BeginTx(f.b.Context(), nil)
	require.NoError(f.b, err)
	each(f.into(tx, table, columns))
	require.NoError(f.b, tx.Commit())
}

// into prepares to add rows to a table.
func (f *filler) into(tx *sql.Tx, table, columns string) func(args ...any) {
	marks := strings.Repeat(",?", strings.Count(columns, ",")+1)[1:]
	stmt, err := tx.PrepareContext(f.b.Context(), `INSERT INTO `+table+` (`+columns+`) VALUES (`+marks+`)`)
	require.NoError(f.b, err)
	return func(args ...any) {
		if _, err := stmt.ExecContext(f.b.Context(), args...); err != nil {
			require.NoError(f.b, err)
		}
	}
}

func (f *filler) id(at time.Time) llmproxy.UUID {
	u := llmproxy.NewUUID(at)
	for i := range 8 {
		u[8+i] = byte(f.random.Uint32())
	}
	return u
}

func (f *filler) fillProjects() {
	const columns = `id, name, description, metadata, provider, active, created_at, updated_at, deleted_at, sealed_key, key_hint, key_ref, capture, endpoints, epoch, epoch_at, revision`
	f.insert("projects", columns, func(add func(...any)) {
		for i := range sizeProjects {
			at := f.now.AddDate(0, -11, 0).Add(time.Duration(i) * time.Hour)
			p := llmproxy.ProjectID{UUID: f.id(at)}
			f.projects = append(f.projects, p)
			add(p.UUID[:], fmt.Sprint("project-", i), "", "{}", "openai", 1, at.UnixMilli(), at.UnixMilli(), 0, "v1.fake", "wxyz", "", "full", "inference", 0, 0, 1)
		}
	})
}

func (f *filler) fillTokens() {
	const columns = `id, project_id, hash, previous_hash, previous_until, name, created_at, expires_at, active, revoked_at, max_requests, requests_per_hour, request_count, last_used_at, window_hour, window_count, request_headers_drop, epoch, revision`
	f.insert("tokens", columns, func(add func(...any)) {
		for i := range sizeTokens {
			at := f.now.Add(-time.Duration(sizeTokens-i) * time.Minute)
			t := llmproxy.TokenID{UUID: f.id(at)}
			owner := min(f.random.IntN(sizeProjects), f.random.IntN(sizeProjects)) // the first ones have more
			f.tokens, f.owner = append(f.tokens, t), append(f.owner, owner)
			name, expires, revoked, count := fmt.Sprint("token-", i), f.now.Add(time.Duration(1+f.random.IntN(30*24*60))*time.Minute+24*time.Hour), 0, f.random.IntN(1000)
			switch {
			case i == 777:
				name = "a needle"
			case i%20_000 == 1:
				expires = f.now.Add(-time.Minute)
			case i%20_000 == 2:
				count = 1000
			case i%10 == 3:
				revoked = 1
			}
			used := int64(0)
			if count > 0 {
				used = f.now.Add(-time.Duration(f.random.IntN(sizeDays*24*3600)) * time.Second).UnixMilli()
			}
			add(t.UUID[:], f.projects[owner].UUID[:], make([]byte, 32), make([]byte, 32), 0, name, at.UnixMilli(), expires.UnixMilli(), 1-revoked, revoked, 1000, 1000, count, used, 0, 0, "[]", 0, 1)
		}
	})
}

func (f *filler) fillAudit() {
	const columns = `id, time, action, outcome, reason, actor, client_addr, forwarded, request_id, project_id, token_id, before, after, suppressed`
	f.insert("audit", columns, func(add func(...any)) {
		for i := range sizeAudits {
			at := f.now.Add(-time.Duration(sizeAudits-i) * (390 * 24 * time.Hour / sizeAudits))
			action, outcome, token := "token.create", "done", f.random.IntN(sizeTokens)
			if i%1000 == 0 {
				action = "project.delete"
			}
			if i%100 == 0 {
				outcome = "refused"
			}
			u := f.id(at)
			add(u[:], at.UnixMilli(), action, outcome, "", "token", "192.0.2.7", "", fmt.Sprint("request-", i), f.projects[f.owner[token]].UUID[:], f.tokens[token].UUID[:], "{}", `{"name":"token of somebody","max_requests":"1000"}`, 0)
		}
	})
}

// A tally's columns, which both tables of sums have.
const fillTally = `requests, errors, metered, estimated, priced, input, input_events, output, output_events, total, total_events,
  cached, cached_events, cache_write, cache_write_events, reasoning, reasoning_events, cost_micro, cost_pico, latency, first_byte`

// fillSums are what the requests of some time add up to, by project, token and model. Without tokens the zero one stands for all.
type fillSums map[fillGroup]*llmproxy.Tally

type fillGroup struct {
	project, token llmproxy.UUID
	model          string
}

func (s fillSums) add(e *llmproxy.Event, of fillGroup) {
	if s[of] == nil {
		s[of] = &llmproxy.Tally{}
	}
	s[of].AddEvent(e)
}

// end hands over the rows in order, and begins anew.
func (s fillSums) end(row func(of fillGroup, tally []any)) {
	for _, of := range slices.SortedFunc(maps.Keys(s), func(a, b fillGroup) int {
		return cmp.Or(bytes.Compare(a.project[:], b.project[:]), bytes.Compare(a.token[:], b.token[:]), cmp.Compare(a.model, b.model))
	}) {
		var tally []any
		for _, n := range s[of].Counters() {
			tally = append(tally, *n)
		}
		row(of, append(tally, s[of].Latency.AppendBinary([]byte{}), s[of].FirstByte.AppendBinary([]byte{})))
	}
	clear(s)
}

// fillLedger adds the requests, and what those of each hour and day add up to. It returns how many rows those of tokens are.
func (f *filler) fillLedger() (rows int) {
	began := time.Now()
	tx, err := f.db.BeginTx(f.b.Context(), nil)
	require.NoError(f.b, err)
	add := f.into(tx, "ledger_requests", `id, project_id, token_id, model, status, outcome, record`)
	addTokens, addSum := f.into(tx, "ledger_hours", `hour, project_id, token_id, model, `+fillTally), f.into(tx, "ledger_sums", `project_id, hours, start, model, `+fillTally)
	everybody := llmproxy.UUID(bytes.Repeat([]byte{0xff}, 16))
	tokens, hours, days := fillSums{}, fillSums{}, fillSums{}
	sums := func(of fillSums, length, hour int64) {
		of.end(func(of fillGroup, tally []any) {
			addSum(append([]any{of.project[:], length, hour / length * length, of.model}, tally...)...)
		})
	}
	hour := int64(0)
	end := func(next int64) {
		rows += len(tokens)
		tokens.end(func(of fillGroup, tally []any) {
			addTokens(append([]any{hour, of.project[:], of.token[:], of.model}, tally...)...)
		})
		sums(hours, 1, hour)
		if next/24 != hour/24 {
			sums(days, 24, hour)
		}
		hour = next
	}
	for i := range sizeRequests {
		e := f.request(i)
		if of := llmproxy.HourOf(e.Time); of != hour {
			end(of)
		}
		add(e.ID.UUID[:], e.ProjectID.UUID[:], e.TokenID.UUID[:], e.Model, e.Status, string(e.Outcome), string(e.AppendMeta(nil)))
		tokens.add(e, fillGroup{e.ProjectID.UUID, e.TokenID.UUID, e.Model})
		for _, project := range []llmproxy.UUID{e.ProjectID.UUID, everybody} {
			hours.add(e, fillGroup{project: project, model: e.Model})
			days.add(e, fillGroup{project: project, model: e.Model})
		}
		if (i+1)%(sizeRequests/5) == 0 {
			say("%s: %d requests of %d", time.Since(began).Round(time.Second), i+1, sizeRequests)
		}
	}
	end(0)
	require.NoError(f.b, tx.Commit())
	return rows
}

// request is the i-th request; the last is of now.
func (f *filler) request(i int) *llmproxy.Event {
	at := f.now.Add(-time.Duration(sizeRequests-1-i) * (sizeDays * 24 * time.Hour / sizeRequests)).Truncate(time.Millisecond)
	token := int(float64(sizeTokens-1) * f.random.Float64() * f.random.Float64() * f.random.Float64()) // the first ones are used more
	if i == sizeRequests/2 {
		token = sizeTokens - 1 // once
	}
	input, output, cost := f.random.Int64N(20_000), f.random.Int64N(2_000), float64(f.random.Int64N(1_000_000_000))/1e12
	total := input + output
	e := &llmproxy.Event{
		ID: llmproxy.EventID{UUID: f.id(at)}, Time: at, ProjectID: f.projects[f.owner[token]], TokenID: f.tokens[token], Provider: "openai", Method: "POST", Path: "/v1/chat/completions", Status: 200,
		Outcome: llmproxy.Complete, Stream: i%2 == 0, Model: []string{"gpt-4o", "gpt-4o-mini", "gpt-4.1", "text-embedding-3-small"}[f.random.IntN(4)],
		Timing:   llmproxy.Timing{Total: time.Duration(200+f.random.IntN(20_000)) * time.Millisecond, Auth: time.Millisecond, FirstByte: time.Duration(100+f.random.IntN(1000)) * time.Millisecond},
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
	return e
}
