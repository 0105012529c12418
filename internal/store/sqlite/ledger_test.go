package sqlite_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

func TestLedger(t *testing.T) {
	paths := map[storetest.Ledger]string{}
	storetest.RunLedger(t, storetest.LedgerEngine{
		Open: func(t *testing.T) storetest.Ledger {
			path := filepath.Join(t.TempDir(), "llm proxy?#%.db")
			s := open(t, path)
			paths[s] = path
			return s
		},
		Again: func(t *testing.T, l storetest.Ledger) storetest.Ledger { return open(t, paths[l]) },
	})
}

// ledgerEvents are the same in each process.
func ledgerEvents(n int) []*llmproxy.Event {
	events := make([]*llmproxy.Event, n)
	for i := range events {
		e := storetest.LedgerEvent(i, storetest.Noon.Add(time.Duration(i)*time.Second))
		e.ID.UUID[14], e.ID.UUID[15] = byte(i>>8), byte(i)
		for b := 6; b < 14; b++ {
			e.ID.UUID[b] = 0x70
		}
		events[i] = e
	}
	return events
}

const killEnv = "LLM_PROXY_TEST_LEDGER"

// TestALedgerIsRightAfterKills: of a process that records and is killed at any moment, each event counts in full or not at all, and
// counts once when it comes again.
func TestALedgerIsRightAfterKills(t *testing.T) {
	events := ledgerEvents(1500)
	if path := os.Getenv(killEnv); path != "" {
		s := open(t, path)
		for {
			for i := 0; i < len(events); i += 100 {
				require.NoError(t, s.Record(context.Background(), events[i:i+100]))
				fmt.Println("recorded", i)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "kill.db")
	require.NoError(t, open(t, path).Ping(t.Context()))
	for round := range 4 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestALedgerIsRightAfterKills$")
		child.Env = append(os.Environ(), killEnv+"="+path)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		for range 1 + round { // then it is in the middle of something
			_, err = out.Read(make([]byte, 64))
			require.NoError(t, err)
		}
		time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
		require.NoError(t, child.Process.Kill())
		_ = child.Wait() // it was killed
		told := storetest.Told{}
		s := open(t, path)
		for _, e := range events {
			if _, err := s.Request(t.Context(), e.ID); err == nil {
				told.Tell(e)
			}
		}
		require.NotEmpty(t, told)
		storetest.RequireTold(t, s, told)
	}
	s := open(t, path)
	require.NoError(t, s.Record(t.Context(), events))
	told := storetest.Told{}
	told.Tell(events...)
	storetest.RequireTold(t, s, told)
}

func TestWhatTheLedgerKeepsNoLongerIsSwept(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "sweep.db"))
	events := ledgerEvents(500)
	told := storetest.Told{}
	told.Tell(events...)
	require.NoError(t, s.Record(t.Context(), events))
	removed, err := s.Sweep(t.Context(), storetest.Noon.Add(llmproxy.LedgerKeeps+300*time.Second))
	require.NoError(t, err)
	require.Equal(t, int64(300), removed)
	left, _, err := s.Requests(t.Context(), llmproxy.RequestFilter{}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, left, 100)
	usage := func() int64 {
		rows, err := s.Usage(t.Context(), llmproxy.UsageFilter{From: storetest.Noon.Add(-30 * time.Minute), To: storetest.Noon.Add(24 * time.Hour)})
		require.NoError(t, err)
		n := int64(0)
		for _, r := range rows {
			n += r.Tally.Requests
		}
		return n
	}
	require.Equal(t, int64(500), usage(), "hours are kept for longer")
	_, err = s.Sweep(t.Context(), storetest.Noon.Add(llmproxy.LedgerKeepsHours+48*time.Hour))
	require.NoError(t, err)
	require.Zero(t, usage())
}

func TestALedgerThatCannotBeWrittenSaysSo(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "gone.db"))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	held := make(chan struct{})
	release := make(chan struct{})
	project := storetest.AddProject(t, s)
	go func() {
		_, _ = s.UpdateProject(context.Background(), project.ID, func(*llmproxy.Project) (llmproxy.AuditEntry, error) {
			close(held)
			<-release
			return storetest.Entry("project.update", storetest.Noon), nil
		})
	}()
	<-held
	require.ErrorIs(t, s.Record(ended, ledgerEvents(1)), llmproxy.ErrUnavailable, "others write, and its time is over")
	close(release)
}

func BenchmarkLedgerRecord(b *testing.B) {
	for _, size := range []int{1, 32, 256} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "bench.db"))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				b.StopTimer()
				events := make([]*llmproxy.Event, size)
				for i := range events {
					n++
					events[i] = storetest.LedgerEvent(n%1000, storetest.Noon.Add(time.Duration(n)*10*time.Millisecond))
				}
				b.StartTimer()
				if err := s.Record(context.Background(), events); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkSpendBesideLedger is a spend while the ledger writes all the time.
func BenchmarkSpendBesideLedger(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "bench.db"))
	p := storetest.AddProject(b, s)
	id, hash := storetest.AddToken(b, s, p.ID)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		for n := 0; ctx.Err() == nil; {
			events := make([]*llmproxy.Event, 256)
			for i := range events {
				n++
				events[i] = storetest.LedgerEvent(n%1000, storetest.Noon.Add(time.Duration(n)*10*time.Millisecond))
			}
			if err := s.Record(context.WithoutCancel(ctx), events); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	worst := time.Duration(0)
	for b.Loop() {
		start := time.Now()
		if _, _, err := s.Spend(context.Background(), id, hash, storetest.Noon); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(start))
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
}

// BenchmarkUsageOfAMonth asks a ledger of 1,000,000 events of 30 days: 5 projects, 20 tokens, 4 models.
func BenchmarkUsageOfAMonth(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "bench.db"))
	all, err := strconv.Atoi(cmp.Or(os.Getenv("LLM_PROXY_BENCH_EVENTS"), "1000000"))
	require.NoError(b, err)
	from := storetest.Noon.Truncate(24 * time.Hour)
	models := []string{"gpt-4o", "gpt-4o-mini", "o3", "text-embedding-3-small"}
	began := time.Now()
	events := make([]*llmproxy.Event, 1000)
	for n := 0; n < all; n += len(events) {
		for i := range events {
			e := storetest.LedgerEvent((n+i)%5000, from.Add(time.Duration(n+i)*(30*24*time.Hour/time.Duration(all))))
			token := rand.IntN(20)
			e.ProjectID.UUID[15], e.TokenID.UUID[15], e.Model = byte(token/4), byte(token), models[rand.IntN(4)]
			events[i] = e
		}
		if err := s.Record(context.Background(), events); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("recorded %d events in %s", all, time.Since(began))
	usage := llmproxy.UsageFilter{From: from, To: from.Add(30 * 24 * time.Hour)}
	day, hour, one := usage, usage, usage
	day.Bucket, day.By = 24*time.Hour, []llmproxy.Dimension{llmproxy.ByProject, llmproxy.ByModel}
	hour.Bucket, hour.By = time.Hour, []llmproxy.Dimension{llmproxy.ByProject}
	one.ProjectID, one.Bucket = llmproxy.ProjectID{UUID: events[0].ProjectID.UUID}, time.Hour
	for name, f := range map[string]llmproxy.UsageFilter{"whole": usage, "day by project and model": day, "hour by project": hour, "hour of one project": one} {
		b.Run("usage/"+name, func(b *testing.B) {
			for b.Loop() {
				rows, err := s.Usage(context.Background(), f)
				sum := llmproxy.Tally{}
				for i := range rows {
					sum.Add(&rows[i].Tally)
				}
				if err != nil || sum.Requests == 0 || f.ProjectID.IsZero() && sum.Requests != int64(all) {
					b.Fatal(len(rows), sum.Requests, err)
				}
			}
		})
	}
	for name, f := range map[string]llmproxy.RequestFilter{
		"newest": {}, "a project": {ProjectID: events[0].ProjectID}, "cut of a token": {TokenID: events[0].TokenID, Outcome: llmproxy.Cut},
		"429 on a day": {StatusFrom: 429, StatusTo: 430, From: from.Add(48 * time.Hour), To: from.Add(72 * time.Hour)}, "no such model": {Model: "none"},
	} {
		b.Run("requests/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.Requests(context.Background(), f, llmproxy.Page{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var _ storetest.Ledger = (*sqlite.Store)(nil)
