package dispatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memorySource is a log of events in memory. Events, cursor and note outlive a process, which restart begins anew.
type memorySource struct {
	mu      sync.Mutex
	more    chan struct{} // closed and replaced when events are added
	events  []llmproxy.Event
	cursor  int
	note    []byte
	read    int
	commits int

	failNextRead    error
	failNextCommits int
	onCommit        func()
}

func newSource(events ...*llmproxy.Event) *memorySource {
	s := &memorySource{more: make(chan struct{})}
	s.add(events...)
	return s
}

func (s *memorySource) add(events ...*llmproxy.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		s.events = append(s.events, *e)
	}
	close(s.more)
	s.more = make(chan struct{})
}

// restart is what a new process sees.
func (s *memorySource) restart() *memorySource {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &memorySource{more: make(chan struct{}), events: s.events, cursor: s.cursor, read: s.cursor, note: s.note}
}

func (s *memorySource) Read(ctx context.Context, n int) ([]*llmproxy.Event, error) {
	for {
		s.mu.Lock()
		if err := s.failNextRead; err != nil {
			s.failNextRead = nil
			s.mu.Unlock()
			return nil, err
		}
		if s.read < len(s.events) {
			var batch []*llmproxy.Event
			for ; s.read < len(s.events) && len(batch) < n; s.read++ {
				e := s.events[s.read]
				batch = append(batch, &e)
			}
			s.mu.Unlock()
			return batch, nil
		}
		more := s.more
		s.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *memorySource) Commit(note []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failNextCommits > 0 {
		s.failNextCommits--
		return errors.New("the cursor cannot be written")
	}
	s.cursor, s.note = s.read, note
	s.commits++
	if s.onCommit != nil {
		s.onCommit()
	}
	return nil
}

func (s *memorySource) Keep(note []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failNextCommits > 0 {
		s.failNextCommits--
		return errors.New("the cursor cannot be written")
	}
	s.note = note
	return nil
}

func (s *memorySource) Note() []byte { return s.note }

func (s *memorySource) committed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor
}

// scripted is a destination that answers as told, then takes everything.
type scripted struct {
	bodies    bool
	failStart int
	answers   []answer // one per call of Deliver

	mu     sync.Mutex
	took   []llmproxy.Event
	calls  [][]llmproxy.EventID
	times  []time.Time
	closed bool
}

// answer is what a backend says to a batch.
type answer func(ctx context.Context, events []*llmproxy.Event) []Result

func (d *scripted) WantsBodies() bool { return d.bodies }

func (d *scripted) Start(context.Context, []byte) error {
	if d.failStart > 0 {
		d.failStart--
		return errors.New("no such host")
	}
	return nil
}

func (d *scripted) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []llmproxy.EventID
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	d.calls, d.times = append(d.calls, ids), append(d.times, time.Now())
	results := make([]Result, len(events))
	if len(d.answers) > 0 {
		a := d.answers[0]
		d.answers = d.answers[1:]
		results = a(ctx, events)
	}
	for i := range min(len(results), len(events)) {
		if results[i].Err == nil {
			d.took = append(d.took, *events[i])
		}
	}
	return results
}

func (d *scripted) Note() []byte { return nil }
func (d *scripted) Close() error { d.closed = true; return nil }

func (d *scripted) ids() []llmproxy.EventID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []llmproxy.EventID
	for i := range d.took {
		ids = append(ids, d.took[i].ID)
	}
	return ids
}

func (d *scripted) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

func answers500(_ context.Context, events []*llmproxy.Event) []Result {
	return all(len(events), Retry(errors.New(http.StatusText(500)), 0))
}

func answers429After(after time.Duration) answer {
	return func(_ context.Context, events []*llmproxy.Event) []Result {
		return all(len(events), Retry(errors.New(http.StatusText(429)), after))
	}
}

func hangs(ctx context.Context, events []*llmproxy.Event) []Result {
	<-ctx.Done()
	return all(len(events), Retry(ctx.Err(), 0))
}

func panics(context.Context, []*llmproxy.Event) []Result { panic("index out of range") }

func takesNone(context.Context, []*llmproxy.Event) []Result { return nil }

// refuses answers 400 to the events of these places, each time it is asked.
func refuses(ids ...llmproxy.EventID) answer {
	return func(_ context.Context, events []*llmproxy.Event) []Result {
		results := make([]Result, len(events))
		for i, e := range events {
			for _, id := range ids {
				if e.ID == id {
					results[i] = Poison(fmt.Errorf("400: %q is not welcome", e.Path))
				}
			}
		}
		return results
	}
}

func takesFirst(n int) answer {
	return func(_ context.Context, events []*llmproxy.Event) []Result {
		results := all(len(events), Retry(errors.New("busy"), 0))
		for i := range min(n, len(events)) {
			results[i] = Result{}
		}
		return results
	}
}

var born = time.Date(2026, 11, 22, 10, 20, 30, 456e6, time.UTC)

// request is an ordinary event, the i-th.
func request(i int) *llmproxy.Event {
	e := &llmproxy.Event{
		Time: born.Add(time.Duration(i) * time.Second), Provider: "openai", Method: http.MethodPost, Path: "/v1/chat/completions",
		Status: 200, Outcome: llmproxy.Complete, Timing: llmproxy.Timing{Total: 1234 * time.Millisecond}, UsageKind: "openai-chat",
		Request:  llmproxy.Message{Bytes: 15, ContentType: "application/json", Body: &llmproxy.Body{Head: []byte(`{"model":"ask"}`), Size: 15}},
		Response: llmproxy.Message{ContentType: "application/json"},
	}
	body := `{"model":"gpt-4o","created":1700000000,"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}`
	e.Response.Bytes, e.Response.Body = int64(len(body)), &llmproxy.Body{Head: []byte(body), Size: int64(len(body))}
	e.ID = llmproxy.EventID{UUID: numbered(1, i)}
	e.TokenID, e.ProjectID = llmproxy.TokenID{UUID: numbered(2, 0)}, llmproxy.ProjectID{UUID: numbered(3, 0)}
	return e
}

func numbered(kind byte, i int) llmproxy.UUID {
	return llmproxy.UUID{0: kind, 6: 0x70, 8: 0x80, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
}

func requests(n int) []*llmproxy.Event {
	events := make([]*llmproxy.Event, n)
	for i := range events {
		events[i] = request(i)
	}
	return events
}

func idsOf(events []*llmproxy.Event) []llmproxy.EventID {
	ids := make([]llmproxy.EventID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

// pass lets time pass in a bubble, and what is then to be done be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
