package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/dispatch/batch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// place is a destination that keeps what it is given and answers as a test tells it.
type place struct {
	bodies   bool
	starts   []error // of the first calls of Start
	answer   func(call int, events []*llmproxy.Event) []dispatch.Result
	calls    int
	got      []*llmproxy.Event
	received [][]llmproxy.EventID
}

func (p *place) WantsBodies() bool { return p.bodies }
func (p *place) Note() []byte      { return nil }
func (p *place) Close() error      { return nil }

func (p *place) Start(context.Context, []byte) error {
	if len(p.starts) == 0 {
		return nil
	}
	err := p.starts[0]
	p.starts = p.starts[1:]
	return err
}

func (p *place) Deliver(_ context.Context, events []*llmproxy.Event) []dispatch.Result {
	p.calls++
	var ids []llmproxy.EventID
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	p.received = append(p.received, ids)
	results := make([]dispatch.Result, len(events))
	if p.answer != nil {
		results = p.answer(p.calls, events)
	}
	for i, r := range results {
		if r.Err == nil && i < len(events) {
			p.got = append(p.got, events[i])
		}
	}
	return results
}

// drawer keeps letters, or fails.
type drawer struct {
	letters []batch.Letter
	err     error
}

func (d *drawer) Keep(_ context.Context, l batch.Letter) error {
	if d.err == nil {
		d.letters = append(d.letters, l)
	}
	return d.err
}

// shelf has records by key.
type shelf struct {
	records map[string]string
	err     error
}

func (s *shelf) Fetch(_ context.Context, key string) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	record, ok := s.records[key]
	if !ok {
		return nil, batch.ErrGone
	}
	return []byte(record), nil
}

func event(change ...func(*llmproxy.Event)) *llmproxy.Event {
	e := &llmproxy.Event{
		ID: llmproxy.NewEventID(noon), Time: noon, Method: "POST", Path: "/v1/chat/completions", Status: 200, Outcome: llmproxy.Complete,
		Request: llmproxy.Message{Bytes: 5, Body: &llmproxy.Body{Head: []byte("hello"), Size: 5}},
	}
	for _, c := range change {
		c(e)
	}
	return e
}

// message is an event as a rule of the bus brings it to a queue.
func message(id string, e *llmproxy.Event) batch.Message {
	return batch.Message{ID: id, Body: `{"version":"0","source":"llm-proxy","detail-type":"request","detail":` + string(e.AppendJSON(nil)) + `}`, Receives: 1}
}

func consumer(p *place, d *drawer, s *shelf) *batch.Consumer {
	return batch.New(batch.Config{Name: "place", Destination: p, Meter: usage.Read, Letters: d, Records: s})
}

// left is a message that came in vain for the first time.
func left(id string) []batch.Left { return []batch.Left{{ID: id, After: time.Minute}} }

// bare are messages that were left, without why, which each of them has.
func bare(t *testing.T, all []batch.Left) []batch.Left {
	t.Helper()
	for i := range all {
		require.Error(t, all[i].Err)
		all[i].Err = nil
	}
	return all
}

func TestWhatComesInVainIsLeftAloneLongerEachTime(t *testing.T) {
	p := &place{answer: func(int, []*llmproxy.Event) []dispatch.Result {
		return []dispatch.Result{dispatch.Poison(errors.New("400"))}
	}}
	c := consumer(p, &drawer{err: errors.New("the queue is down")}, &shelf{})
	for receives, want := range map[int]time.Duration{0: time.Minute, 1: time.Minute, 2: 4 * time.Minute, 4: 64 * time.Minute, 5: 256 * time.Minute, 6: 12 * time.Hour, 1000: 12 * time.Hour} {
		m := message("1", event())
		m.Receives = receives
		require.Equal(t, []batch.Left{{ID: "1", After: want}}, bare(t, c.Deliver(t.Context(), []batch.Message{m})), "received %d times", receives)
	}
	require.Zero(t, c.Dead(), "what could not be kept is no dead letter")
}

func TestABatchIsDelivered(t *testing.T) {
	p, d := &place{}, &drawer{}
	a, b := event(), event()
	require.Empty(t, consumer(p, d, &shelf{}).Deliver(t.Context(), []batch.Message{message("1", a), message("2", b)}))
	require.Equal(t, [][]llmproxy.EventID{{a.ID, b.ID}}, p.received)
	require.Nil(t, p.got[0].Request.Body, "a destination that wants no bodies sees none")
	require.Empty(t, d.letters)

	p.bodies = true
	require.Empty(t, consumer(p, d, &shelf{}).Deliver(t.Context(), []batch.Message{message("1", a)}))
	require.Equal(t, "hello", string(p.got[2].Request.Body.Head))
}

// auditor is a place that takes audit events.
type auditor struct{ place }

func (a *auditor) TakesAudit() bool { return true }

func TestAuditEventsArePassedOverWhereNobodyWantsThem(t *testing.T) {
	entry := llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(noon)}, Time: noon, Action: "project.create", Outcome: llmproxy.AuditDone, Actor: llmproxy.Actor{Name: "token"}}
	e := event()
	messages := []batch.Message{message("1", entry.Event()), message("2", e)}
	p, d := &place{}, &drawer{}
	require.Empty(t, consumer(p, d, &shelf{}).Deliver(t.Context(), messages))
	require.Equal(t, [][]llmproxy.EventID{{e.ID}}, p.received)
	require.Empty(t, d.letters)

	a := &auditor{}
	require.Empty(t, batch.New(batch.Config{Name: "place", Destination: a, Meter: usage.Read, Letters: d, Records: &shelf{}}).Deliver(t.Context(), messages))
	require.Len(t, a.got, 2)
	require.Equal(t, entry.Event(), a.got[0])
}

func TestWhatIsNoEventIsADeadLetterAtOnce(t *testing.T) {
	for _, body := range []string{"", "junk", `{}`, `{"detail":{"version":9}}`, `{"detail":[]}`} {
		p, d := &place{}, &drawer{}
		good := event()
		require.Empty(t, consumer(p, d, &shelf{}).Deliver(t.Context(), []batch.Message{{ID: "1", Body: body, Receives: 1}, message("2", good)}), body)
		require.Len(t, d.letters, 1, body)
		require.Equal(t, body, d.letters[0].Message.Body)
		require.Contains(t, d.letters[0].Reason, "the message is no event: ")
		require.Len(t, p.got, 1, "the others are delivered")
	}
}

func TestPoisonGoesToTheDeadLettersWithItsReason(t *testing.T) {
	bad := event()
	p, d := &place{answer: func(_ int, events []*llmproxy.Event) []dispatch.Result {
		results := make([]dispatch.Result, len(events))
		for i, e := range events {
			if e.ID == bad.ID {
				results[i] = dispatch.Poison(errors.New("422 it has no model"))
			}
		}
		return results
	}}, &drawer{}
	require.Empty(t, consumer(p, d, &shelf{}).Deliver(t.Context(), []batch.Message{message("1", event()), message("2", bad), message("3", event())}))
	require.Len(t, p.got, 2)
	require.Equal(t, 1, p.calls, "poison is not tried again")
	require.Equal(t, []batch.Letter{{Message: message("2", bad), Destination: "place", EventID: bad.ID.String(), Reason: "422 it has no model"}}, d.letters)
}

func TestWhatFailsIsTriedAgainAndThenLeftToTheQueue(t *testing.T) {
	late, never := event(), event()
	p, d := &place{answer: func(call int, events []*llmproxy.Event) []dispatch.Result {
		results := make([]dispatch.Result, len(events))
		for i, e := range events {
			if e.ID == never.ID || e.ID == late.ID && call == 1 {
				results[i] = dispatch.Retry(errors.New("503"), 0)
			}
		}
		return results
	}}, &drawer{}
	again := consumer(p, d, &shelf{}).Deliver(t.Context(), []batch.Message{message("1", event()), message("2", late), message("3", never)})
	require.Equal(t, left("3"), bare(t, again))
	require.Len(t, p.got, 2)
	require.Equal(t, []llmproxy.EventID{late.ID, never.ID}, p.received[1], "what is done is not delivered again")
	require.Len(t, p.received, 3)
	require.Empty(t, d.letters)
}

func TestADestinationThatAsksForMoreTimeThanThereIsIsLeftAlone(t *testing.T) {
	p := &place{answer: func(int, []*llmproxy.Event) []dispatch.Result {
		return []dispatch.Result{dispatch.Retry(errors.New("429"), time.Hour)}
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := consumer(p, &drawer{}, &shelf{}).Deliver(ctx, []batch.Message{message("1", event())})
	require.Equal(t, []batch.Left{{ID: "1", After: time.Hour}}, bare(t, again), "the queue is to leave it alone for as long as was asked for")
	require.Equal(t, 1, p.calls)
	require.NoError(t, ctx.Err(), "the hour is not waited for")
}

func TestADestinationThatDoesNotStartIsStartedAgain(t *testing.T) {
	p := &place{starts: []error{errors.New("no credentials yet")}}
	require.Empty(t, consumer(p, &drawer{}, &shelf{}).Deliver(t.Context(), []batch.Message{message("1", event())}))
	require.Len(t, p.got, 1)
}

func TestAnEventAtWhichTheDestinationPanicsIsAlone(t *testing.T) {
	bad := event()
	p, d := &place{answer: func(_ int, events []*llmproxy.Event) []dispatch.Result {
		for _, e := range events {
			if e.ID == bad.ID {
				panic("index out of range")
			}
		}
		return make([]dispatch.Result, len(events))
	}}, &drawer{}
	require.Empty(t, consumer(p, d, &shelf{}).Deliver(t.Context(), []batch.Message{message("1", event()), message("2", bad), message("3", event())}))
	require.Len(t, p.got, 2)
	require.Len(t, d.letters, 1)
	require.Equal(t, "panic: index out of range", d.letters[0].Reason)
}

func TestADestinationThatLosesCountIsTriedAgain(t *testing.T) {
	p := &place{answer: func(int, []*llmproxy.Event) []dispatch.Result { return nil }}
	require.Equal(t, left("1"), bare(t, consumer(p, &drawer{}, &shelf{}).Deliver(t.Context(), []batch.Message{message("1", event())})))
	require.Equal(t, 3, p.calls)
}

func TestADeadLetterThatCannotBeKeptComesAgain(t *testing.T) {
	d := &drawer{err: errors.New("the queue is down")}
	require.Equal(t, left("1"), bare(t, consumer(&place{}, d, &shelf{}).Deliver(t.Context(), []batch.Message{{ID: "1", Body: "junk"}})))
}

func TestBodiesThatWereTooLargeAreFetched(t *testing.T) {
	whole := event(func(e *llmproxy.Event) {
		e.Response.Body = &llmproxy.Body{Head: []byte(`{"model":"gpt-4o"}`), Size: 18}
	})
	sent := event(func(e *llmproxy.Event) {
		e.ID = whole.ID
		e.Request.Body = &llmproxy.Body{S3: "events/a.json", Size: 5}
		e.Response.Body = &llmproxy.Body{S3: "events/a.json", Size: 18}
	})
	p, d := &place{bodies: true}, &drawer{}
	s := &shelf{records: map[string]string{"events/a.json": string(whole.AppendJSON(nil))}}
	require.Empty(t, consumer(p, d, s).Deliver(t.Context(), []batch.Message{message("1", sent)}))
	require.Equal(t, `{"model":"gpt-4o"}`, string(p.got[0].Response.Body.Head))

	s.records["events/a.json"] = string(event().AppendJSON(nil))
	require.Empty(t, consumer(p, d, s).Deliver(t.Context(), []batch.Message{message("1", sent)}))
	require.Len(t, d.letters, 1, "another event's record is not delivered in its place")

	s.records["events/a.json"] = "junk"
	require.Equal(t, left("1"), bare(t, consumer(p, d, s).Deliver(t.Context(), []batch.Message{message("1", sent)})))

	s.err = errors.New("the bucket is down")
	require.Equal(t, left("1"), bare(t, consumer(p, d, s).Deliver(t.Context(), []batch.Message{message("1", sent)})))
	require.Len(t, d.letters, 1, "and it is no dead letter")

	s.err, s.records = nil, nil
	require.Empty(t, consumer(p, d, s).Deliver(t.Context(), []batch.Message{message("1", sent)}))
	require.Equal(t, whole.ID, p.got[1].ID, "where the record is gone, the event itself is still delivered")
	require.Nil(t, p.got[1].Request.Body)
}

func TestALetterTellsNoMoreThanTheMessage(t *testing.T) {
	d := &drawer{}
	consumer(&place{}, d, &shelf{}).Deliver(t.Context(), []batch.Message{{ID: "1", Body: `{"detail":"x"}`, Receives: 4}})
	letter, err := json.Marshal(d.letters[0])
	require.NoError(t, err)
	require.Contains(t, string(letter), `"Receives":4`, fmt.Sprint(d.letters))
	require.Empty(t, d.letters[0].EventID)
}
