package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Ledger is all that the features ask of a ledger together.
type Ledger interface {
	Record(ctx context.Context, events []*llmproxy.Event) error
	Request(ctx context.Context, id llmproxy.EventID) (llmproxy.Event, error)
	Requests(ctx context.Context, f llmproxy.RequestFilter, page llmproxy.Page) ([]llmproxy.Event, bool, error)
	Usage(ctx context.Context, f llmproxy.UsageFilter) ([]llmproxy.UsageRow, error)
	Largest(ctx context.Context, f llmproxy.UsageFilter, by llmproxy.Size, most int) ([]llmproxy.UsageGroup, error)
}

// LedgerEngine is what the suite of ledgers runs on.
type LedgerEngine struct {
	// Open opens a new, empty ledger and closes it when the test ends.
	Open func(t *testing.T) Ledger
	// Again opens a further handle on the ledger that Open returned, as another process would.
	Again func(t *testing.T, l Ledger) Ledger
	// Rounds of what is made up anew each time; 0 is as many as rapid makes.
	Rounds int
}

// RunLedger runs the suite.
func RunLedger(t *testing.T, engine LedgerEngine) {
	for name, test := range map[string]func(*testing.T, LedgerEngine){
		"usage is the sum of the events, whatever comes again": testUsageIsTheSum,
		"two processes that tell the same count it once":       testTwoRecord,
		"what was lost gives way to what really was":           testLostGivesWay,
		"what is unknown stays unknown":                        testUnknownUsage,
		"usage is grouped and narrowed":                        testUsageGroups,
		"requests are listed by page and filter":               testRequestList,
		"a request comes back as it went in, without bodies":   testRequest,
	} {
		t.Run(name, func(t *testing.T) { test(t, engine) })
	}
}

// whole is all the time that most of these tests are about.
var whole = llmproxy.UsageFilter{From: Noon.Add(-30 * time.Minute), To: Noon.Add(72 * time.Hour)}

// whole is the time that the ledger was told of, in whole hours.
func (m Told) whole() (f llmproxy.UsageFilter) {
	for id := range m {
		hour := id.Time().Truncate(time.Hour)
		if f.From.IsZero() || hour.Before(f.From) {
			f.From = hour
		}
		if !hour.Before(f.To) {
			f.To = hour.Add(time.Hour)
		}
	}
	return f
}

// LedgerEvent is an event of that moment, with numbers that follow from n.
func LedgerEvent(n int, at time.Time) *llmproxy.Event {
	random := rand.New(rand.NewPCG(uint64(n), 7)) //nolint:gosec // the same each time is what is wanted
	id := func(kind, n int) llmproxy.UUID { return llmproxy.UUID{1: byte(kind), 15: byte(n) + 1} }
	e := &llmproxy.Event{
		ID: llmproxy.NewEventID(at), Time: at, ProjectID: llmproxy.ProjectID{UUID: id(1, random.IntN(2))}, TokenID: llmproxy.TokenID{UUID: id(2, random.IntN(3))},
		Provider: "openai", Method: "POST", Path: "/v1/chat/completions", Status: 200, Outcome: llmproxy.Complete,
		Timing: llmproxy.Timing{Total: time.Duration(1+random.IntN(100_000)) * time.Millisecond, FirstByte: time.Duration(random.IntN(1000)) * time.Millisecond},
	}
	if random.IntN(4) > 0 {
		e.Model = []string{"gpt-4o", "gpt-4o-mini"}[random.IntN(2)]
	}
	if random.IntN(5) == 0 {
		e.Status, e.Outcome = []int{0, 429, 502, 200}[random.IntN(4)], llmproxy.Cut
	}
	count := func() *int64 {
		if random.IntN(4) == 0 {
			return nil
		}
		n := random.Int64N(1_000_000)
		return &n
	}
	if random.IntN(4) > 0 {
		e.Usage = &llmproxy.Usage{Input: count(), Output: count(), Total: count(), Cached: count(), Reasoning: count(), Source: []string{llmproxy.SourceUpstream, llmproxy.SourceEstimate}[random.IntN(2)]}
		if random.IntN(3) > 0 {
			cost := float64(random.Int64N(1_000_000_000_000)) / 1e12
			e.Usage.CostUSD = &cost
		}
	}
	return e
}

// lostOf is what the event would be told as, had its process ended.
func lostOf(e *llmproxy.Event) *llmproxy.Event {
	b := llmproxy.Begin{ID: e.ID, Time: e.Time, TokenID: e.TokenID, ProjectID: e.ProjectID, Method: e.Method, Path: e.Path}
	return b.Lost()
}

// Told is what a ledger was told, by id: a real event counts, not a lost one.
type Told map[llmproxy.EventID]*llmproxy.Event

// Tell notes events.
func (m Told) Tell(events ...*llmproxy.Event) {
	for _, e := range events {
		if before := m[e.ID]; before == nil || before.Outcome == llmproxy.Lost {
			m[e.ID] = e
		}
	}
}

// usage is what the ledger has to say for these filters.
func (m Told) usage(f llmproxy.UsageFilter) []llmproxy.UsageRow {
	groups := map[string]*llmproxy.UsageRow{}
	for _, e := range m {
		at := e.ID.Time()
		if at.Before(f.From) || !at.Before(f.To) || !f.ProjectID.IsZero() && e.ProjectID != f.ProjectID || !f.TokenID.IsZero() && e.TokenID != f.TokenID || f.Model != "" && e.Model != f.Model {
			continue
		}
		row := llmproxy.UsageRow{Start: f.From}
		if f.Bucket > 0 {
			row.Start = at.Truncate(f.Bucket)
		}
		if slices.Contains(f.By, llmproxy.ByProject) {
			row.ProjectID = e.ProjectID
		}
		if slices.Contains(f.By, llmproxy.ByToken) {
			row.TokenID = e.TokenID
		}
		if slices.Contains(f.By, llmproxy.ByModel) {
			row.Model = e.Model
		}
		key := fmt.Sprint(row.Start.Unix(), row.ProjectID, row.TokenID, row.Model)
		if groups[key] == nil {
			groups[key] = &row
		}
		tally := llmproxy.TallyOf(e)
		groups[key].Tally.Add(&tally)
	}
	var rows []llmproxy.UsageRow
	for _, row := range groups {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b llmproxy.UsageRow) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ProjectID.String(), b.ProjectID.String()), cmp.Compare(a.TokenID.String(), b.TokenID.String()), cmp.Compare(a.Model, b.Model))
	})
	return rows
}

// groupings are all that usage of a time can be asked by.
func groupings(whole llmproxy.UsageFilter) (all []llmproxy.UsageFilter) {
	for _, bucket := range []time.Duration{0, time.Hour, 24 * time.Hour} {
		for _, by := range [][]llmproxy.Dimension{nil, {llmproxy.ByProject}, {llmproxy.ByModel}, {llmproxy.ByProject, llmproxy.ByToken, llmproxy.ByModel}} {
			f := whole
			f.Bucket, f.By = bucket, by
			all = append(all, f)
		}
	}
	return all
}

// RequireTold requires that the ledger says what it was told of that time, in each grouping, and lists each event once.
func RequireTold(t require.TestingT, l Ledger, told Told) {
	whole := told.whole()
	for _, f := range groupings(whole) {
		requireUsage(t, l, told, f)
	}
	days := whole
	days.From, days.To = whole.From.Truncate(24*time.Hour), whole.To.Truncate(24*time.Hour).AddDate(0, 0, 1)
	for _, f := range []llmproxy.UsageFilter{whole, days} {
		requireLargest(t, l, told, f)
	}
	var events []llmproxy.Event
	for page, more := (llmproxy.Page{}), true; more; {
		part, further, err := l.Requests(context.Background(), llmproxy.RequestFilter{From: whole.From, To: whole.To}, page)
		require.NoError(t, err)
		events = append(events, part...)
		if more = further; more {
			page.After = part[len(part)-1].ID.UUID
		}
	}
	require.Len(t, events, len(told))
	for i, e := range events {
		require.Equal(t, string(told[e.ID].AppendMeta(nil)), string(e.AppendMeta(nil)))
		require.True(t, i == 0 || slices.Compare(events[i-1].ID.UUID[:], e.ID.UUID[:]) > 0, "newest first")
	}
}

func requireUsage(t require.TestingT, l Ledger, told Told, f llmproxy.UsageFilter) {
	got, err := l.Usage(context.Background(), f)
	require.NoError(t, err)
	want := told.usage(f)
	require.Len(t, got, len(want), "%+v", f)
	for i := range want {
		w, g := &want[i], &got[i]
		require.Equal(t, []any{w.Start, w.ProjectID, w.TokenID, w.Model}, []any{g.Start, g.ProjectID, g.TokenID, g.Model})
		require.Equal(t, w.Tally.Cost.String(), g.Tally.Cost.String())
		for c, n := range w.Tally.Counters() {
			require.Equal(t, *n, *g.Tally.Counters()[c], "counter %d of %+v", c, f)
		}
		require.Equal(t, w.Tally.Latency.AppendBinary(nil), g.Tally.Latency.AppendBinary(nil))
		require.Equal(t, w.Tally.FirstByte.AppendBinary(nil), g.Tally.FirstByte.AppendBinary(nil))
	}
}

// requireLargest requires that the largest groups are those that rows say.
func requireLargest(t require.TestingT, l Ledger, told Told, f llmproxy.UsageFilter) {
	var project llmproxy.ProjectID
	for _, e := range told {
		if project.IsZero() || e.ProjectID.String() < project.String() {
			project = e.ProjectID
		}
	}
	for size, by := range map[llmproxy.Size][]llmproxy.Dimension{
		llmproxy.SizeRequests: {llmproxy.ByToken}, llmproxy.SizeErrors: {llmproxy.ByToken}, llmproxy.SizeInput: {llmproxy.ByModel},
		llmproxy.SizeOutput: {llmproxy.ByProject}, llmproxy.SizeTotal: {llmproxy.ByProject, llmproxy.ByToken, llmproxy.ByModel}, llmproxy.SizeCost: {llmproxy.ByToken},
	} {
		for i := range 3 {
			of := f
			of.By = by
			if i == 1 {
				of.ProjectID = project
			} else if i == 2 {
				of.Model = "gpt-4o"
			}
			got, err := l.Largest(context.Background(), of, size, 2)
			require.NoError(t, err)
			want := told.usage(of)
			slices.SortStableFunc(want, func(a, b llmproxy.UsageRow) int { return size.Amount(&b.Tally).Compare(size.Amount(&a.Tally)) })
			groups := []llmproxy.UsageGroup{}
			for _, row := range want[:min(2, len(want))] {
				groups = append(groups, row.UsageGroup)
			}
			require.Equal(t, groups, got, "%s of %+v", size, of)
		}
	}
}

// interrupted is a context that ends after it was asked so often.
type interrupted struct {
	context.Context
	mu   sync.Mutex
	left int
	done chan struct{}
}

func interruptAfter(n int) *interrupted {
	return &interrupted{Context: context.Background(), left: n, done: make(chan struct{})}
}

func (c *interrupted) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		close(c.done)
	}
	return c.done
}

func (c *interrupted) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

func testUsageIsTheSum(t *testing.T, engine LedgerEngine) {
	l := engine.Open(t)
	days := 0 // each run has a time of its own
	rapid.Check(t, func(r *rapid.T) {
		if days++; engine.Rounds > 0 && days > engine.Rounds {
			return
		}
		begin := Noon.AddDate(0, 0, days)
		told := Told{}
		var known []*llmproxy.Event
		for range rapid.IntRange(1, 3).Draw(r, "batches") {
			var batch []*llmproxy.Event
			for range rapid.IntRange(1, 40).Draw(r, "events") {
				again := len(known) > 0 && rapid.IntRange(0, 3).Draw(r, "again") == 0
				var e *llmproxy.Event
				if again {
					e = known[rapid.IntRange(0, len(known)-1).Draw(r, "which")]
				} else {
					e = LedgerEvent(rapid.IntRange(0, 10_000).Draw(r, "n"), begin.Add(time.Duration(rapid.IntRange(0, 300).Draw(r, "minutes"))*time.Minute))
					known = append(known, e)
				}
				if rapid.IntRange(0, 4).Draw(r, "lost") == 0 {
					e = lostOf(e)
				}
				batch = append(batch, e)
			}
			if rapid.Bool().Draw(r, "interrupted") { // any number of them is stored
				_ = l.Record(interruptAfter(rapid.IntRange(1, 4).Draw(r, "after")), batch)
			}
			require.NoError(r, l.Record(context.Background(), batch))
			told.Tell(batch...)
		}
		require.NoError(r, l.Record(context.Background(), known), "all of it, replayed")
		told.Tell(known...)
		RequireTold(r, l, told)
	})
}

func testTwoRecord(t *testing.T, engine LedgerEngine) {
	l := engine.Open(t)
	other := engine.Again(t, l)
	told := Told{}
	var events []*llmproxy.Event
	for n := range 200 {
		e := LedgerEvent(n, Noon.Add(time.Duration(n)*time.Second))
		events = append(events, e)
		if n%3 == 0 {
			events = append(events, lostOf(e))
		}
	}
	told.Tell(events...)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, handle := range []Ledger{l, other} {
		mine := slices.Clone(events)
		if i == 1 {
			slices.Reverse(mine)
		}
		wg.Go(func() {
			for part := range slices.Chunk(mine, 50) {
				errs[i] = cmp.Or(errs[i], handle.Record(context.Background(), part))
			}
		})
	}
	wg.Wait()
	require.NoError(t, cmp.Or(errs[0], errs[1]))
	RequireTold(t, l, told)
}

func testLostGivesWay(t *testing.T, engine LedgerEngine) {
	l := engine.Open(t)
	told := Told{}
	for n := range 20 {
		e := LedgerEvent(n, Noon)
		lost := lostOf(e)
		orders := [][]*llmproxy.Event{{lost, e}, {e, lost}, {lost, lost, e, lost}, {lost}}
		for _, one := range orders[n%4] {
			require.NoError(t, l.Record(context.Background(), []*llmproxy.Event{one}))
			told.Tell(one)
			if n == 0 {
				RequireTold(t, l, told)
			}
		}
	}
	RequireTold(t, l, told)
	lost, _, err := l.Requests(context.Background(), llmproxy.RequestFilter{Outcome: llmproxy.Lost}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, lost, 5)
}

func testUnknownUsage(t *testing.T, engine LedgerEngine) {
	l := engine.Open(t)
	zero := int64(0)
	unknown, known := LedgerEvent(1, Noon), LedgerEvent(1, Noon.Add(time.Hour))
	unknown.Usage, unknown.Timing = nil, llmproxy.Timing{}
	known.Usage = &llmproxy.Usage{Input: &zero, Source: llmproxy.SourceUpstream}
	require.NoError(t, l.Record(context.Background(), []*llmproxy.Event{unknown, known}))
	f := whole
	f.Bucket = time.Hour
	rows, err := l.Usage(context.Background(), f)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, llmproxy.Units{}, rows[0].Tally.Input)
	require.Equal(t, llmproxy.Units{Events: 1}, rows[1].Tally.Input, "a known zero is not unknown")
	require.Equal(t, []int64{0, 0}, []int64{rows[0].Tally.Metered, rows[1].Tally.Priced})
	_, ok := rows[0].Tally.Latency.Quantile(.5)
	require.False(t, ok)
}

func testUsageGroups(t *testing.T, engine LedgerEngine) {
	l := engine.Open(t)
	told := Told{}
	var events []*llmproxy.Event
	for n := range 300 {
		events = append(events, LedgerEvent(n, Noon.Add(time.Duration(n)*11*time.Minute)))
	}
	odd := LedgerEvent(1, Noon)
	odd.Model = "o'dd \"model\" 世界\x00;--"
	events = append(events, odd)
	told.Tell(events...)
	require.NoError(t, l.Record(context.Background(), events))
	RequireTold(t, l, told)
	for _, base := range groupings(whole) {
		for _, narrow := range []func(*llmproxy.UsageFilter){
			func(f *llmproxy.UsageFilter) { f.ProjectID = events[0].ProjectID },
			func(f *llmproxy.UsageFilter) { f.TokenID = events[0].TokenID },
			func(f *llmproxy.UsageFilter) { f.ProjectID, f.Model = events[1].ProjectID, "gpt-4o" },
			func(f *llmproxy.UsageFilter) { f.Model = odd.Model },
			func(f *llmproxy.UsageFilter) { f.Model = "none" },
			func(f *llmproxy.UsageFilter) {
				f.From, f.To = f.From.Add(3*time.Hour), f.From.Add(5*time.Hour)
			},
		} {
			f := base
			narrow(&f)
			requireUsage(t, l, told, f)
		}
	}
}

func testRequestList(t *testing.T, engine LedgerEngine) {
	l := engine.Open(t)
	var events []*llmproxy.Event
	for n := range 250 {
		events = append(events, LedgerEvent(n, Noon.Add(time.Duration(n)*time.Second)))
	}
	require.NoError(t, l.Record(context.Background(), events))
	for name, c := range map[string]struct {
		f    llmproxy.RequestFilter
		want func(*llmproxy.Event) bool
	}{
		"all":        {llmproxy.RequestFilter{}, func(*llmproxy.Event) bool { return true }},
		"a project":  {llmproxy.RequestFilter{ProjectID: events[0].ProjectID}, func(e *llmproxy.Event) bool { return e.ProjectID == events[0].ProjectID }},
		"a token":    {llmproxy.RequestFilter{TokenID: events[0].TokenID}, func(e *llmproxy.Event) bool { return e.TokenID == events[0].TokenID }},
		"a model":    {llmproxy.RequestFilter{Model: "gpt-4o"}, func(e *llmproxy.Event) bool { return e.Model == "gpt-4o" }},
		"a status":   {llmproxy.RequestFilter{StatusFrom: 429, StatusTo: 430}, func(e *llmproxy.Event) bool { return e.Status == 429 }},
		"a class":    {llmproxy.RequestFilter{StatusFrom: 200, StatusTo: 300}, func(e *llmproxy.Event) bool { return e.Status == 200 }},
		"classes":    {llmproxy.RequestFilter{StatusFrom: 400, StatusTo: 600}, func(e *llmproxy.Event) bool { return e.Status >= 400 }},
		"an outcome": {llmproxy.RequestFilter{Outcome: llmproxy.Cut}, func(e *llmproxy.Event) bool { return e.Outcome == llmproxy.Cut }},
		"complete":   {llmproxy.RequestFilter{Outcome: llmproxy.Complete}, func(e *llmproxy.Event) bool { return e.Outcome == llmproxy.Complete }},
		"a time": {llmproxy.RequestFilter{From: events[50].Time, To: events[200].Time}, func(e *llmproxy.Event) bool {
			return !e.Time.Before(events[50].Time) && e.Time.Before(events[200].Time)
		}},
		"several": {llmproxy.RequestFilter{ProjectID: events[0].ProjectID, Model: "gpt-4o", To: events[200].Time}, func(e *llmproxy.Event) bool {
			return e.ProjectID == events[0].ProjectID && e.Model == "gpt-4o" && e.Time.Before(events[200].Time)
		}},
	} {
		var want, got []string
		for _, e := range slices.Backward(events) {
			if c.want(e) {
				want = append(want, e.ID.String())
			}
		}
		for page, more := (llmproxy.Page{Limit: 7}), true; more; {
			part, further, err := l.Requests(context.Background(), c.f, page)
			require.NoError(t, err)
			for _, e := range part {
				got = append(got, e.ID.String())
				page.After = e.ID.UUID
			}
			more = further
		}
		require.NotEmpty(t, want, name)
		require.Equal(t, want, got, name)
	}
}

func testRequest(t *testing.T, engine LedgerEngine) {
	l := engine.Open(t)
	e := LedgerEvent(3, Noon)
	e.Code, e.Stream, e.Created = "upstream_timeout", true, 1_700_000_000
	e.Response = llmproxy.Message{Bytes: 5, ContentType: "text/event-stream", Events: 3, Headers: []llmproxy.Header{{Name: "x-request-id", Value: "r"}}, Body: &llmproxy.Body{Head: []byte("canary"), Size: 6}}
	require.NoError(t, l.Record(context.Background(), []*llmproxy.Event{e}))
	got, err := l.Request(context.Background(), e.ID)
	require.NoError(t, err)
	require.Nil(t, got.Response.Body)
	require.Equal(t, string(e.AppendMeta(nil)), string(got.AppendJSON(nil)))
	_, err = l.Request(context.Background(), llmproxy.NewEventID(Noon))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}
