package manage_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

// someDestinations are destinations by hand; audits says how many audit entries there were when they were asked to act.
type someDestinations struct {
	all    []llmproxy.Destination
	err    error // of acting, or of all if there are none
	audits func() int
	acted  []string
}

func (s *someDestinations) Destinations(context.Context) ([]llmproxy.Destination, error) {
	if s.all == nil {
		return nil, s.err
	}
	return s.all, nil
}

func (s *someDestinations) TestDestination(_ context.Context, name string) (llmproxy.DestinationTest, error) {
	s.acted = append(s.acted, fmt.Sprintf("test %s after %d entries", name, s.audits()))
	return llmproxy.DestinationTest{ID: llmproxy.NewEventID(noon), Result: llmproxy.TestFailed, Error: "503 from there", Took: 12 * time.Millisecond}, s.err
}

func (s *someDestinations) RedriveDestination(_ context.Context, name string) (int64, error) {
	s.acted = append(s.acted, fmt.Sprintf("redrive %s after %d entries", name, s.audits()))
	return 7, s.err
}

func newDestinationsAPI(t *testing.T, all ...llmproxy.Destination) (*api, *someDestinations) {
	t.Helper()
	h := newHouse(t)
	s := &someDestinations{all: all, audits: func() int { return h.audits(t) }}
	return serveAPI(t, h, func(cfg *manage.HandlerConfig) { cfg.Destinations = s }), s
}

func TestDestinationsAreListedAndWhatIsUnknownIsAbsent(t *testing.T) {
	a, _ := newDestinationsAPI(t,
		llmproxy.Destination{Name: "audit-copy", State: llmproxy.DestinationStopped, NoTest: "no process delivers", NoRedrive: "no process delivers"},
		llmproxy.Destination{
			Name: "webhook", Kind: "webhook", State: llmproxy.DestinationFailing, Backlog: ptr(int64(3)), BacklogBytes: ptr(int64(900)), OldestAge: 90 * time.Second,
			DeadLetters: ptr(int64(0)), Redriving: true, Since: noon, Delivered: ptr(int64(5)), Retried: ptr(int64(6)), Dead: ptr(int64(0)),
			LastDelivery: noon, LastError: "503 from there", LastErrorAt: noon,
		})
	got := a.want(t, http.StatusOK, "GET", "/manage/destinations", nil).body
	require.JSONEq(t, `[
		{"name":"audit-copy","state":"stopped","redriving":false,"no_test":"no process delivers","no_redrive":"no process delivers"},
		{"name":"webhook","kind":"webhook","state":"failing","backlog":3,"backlog_bytes":900,"oldest_age_ms":90000,"dead_letters":0,"redriving":true,
		 "since":"2026-11-22T12:30:00Z","delivered":5,"retried":6,"dead":0,"last_delivery":"2026-11-22T12:30:00Z","last_error":"503 from there","last_error_at":"2026-11-22T12:30:00Z"}]`, got)
}

func TestWhatIsDoneToADestinationIsInTheAuditBefore(t *testing.T) {
	a, s := newDestinationsAPI(t, llmproxy.Destination{Name: "webhook", State: llmproxy.DestinationOK})
	got := a.want(t, http.StatusOK, "POST", "/manage/destinations/webhook/test", nil).body
	require.Equal(t, "failed", gjson.Get(got, "result").Str)
	require.Equal(t, "503 from there", gjson.Get(got, "error").Str)
	require.Equal(t, int64(12), gjson.Get(got, "duration_ms").Int())
	require.Equal(t, "destination.test", a.lastAudit(t).Action)
	require.Equal(t, int64(7), gjson.Get(a.want(t, http.StatusAccepted, "POST", "/manage/destinations/webhook/redrive", nil).body, "dead_letters").Int())
	last := a.lastAudit(t)
	require.Equal(t, "destination.redrive", last.Action)
	require.Equal(t, llmproxy.AuditDone, last.Outcome)
	require.Equal(t, map[string]string{"destination": "webhook"}, last.After)
	require.Equal(t, []string{"test webhook after 1 entries", "redrive webhook after 2 entries"}, s.acted)
}

func TestWhatCannotBeAuditedIsNotDoneToADestination(t *testing.T) {
	s := &someDestinations{all: []llmproxy.Destination{{Name: "webhook"}}, audits: func() int { return 0 }}
	h := newHouse(t)
	h.service = manage.New(manage.Config{Store: noAudit{h.store}, Default: "openai"})
	a := serveAPI(t, h, func(cfg *manage.HandlerConfig) { cfg.Destinations = s })
	for _, act := range []string{"test", "redrive"} {
		a.want(t, http.StatusServiceUnavailable, "POST", "/manage/destinations/webhook/"+act, nil)
	}
	require.Empty(t, s.acted)
}

// noAudit is a store that takes no audit entries.
type noAudit struct{ manage.Store }

func (noAudit) AppendAudit(context.Context, llmproxy.AuditEntry) error {
	return fmt.Errorf("append audit: %w", llmproxy.ErrUnavailable)
}

func TestADestinationThatCannotBeActedUponSaysWhy(t *testing.T) {
	a, s := newDestinationsAPI(t, llmproxy.Destination{Name: "lunary", NoTest: "Another process delivers.", NoRedrive: "Use the command."}, llmproxy.Destination{Name: "webhook"})
	require.Contains(t, a.want(t, http.StatusConflict, "POST", "/manage/destinations/lunary/test", nil).body, "Another process delivers.")
	require.Contains(t, a.want(t, http.StatusConflict, "POST", "/manage/destinations/lunary/redrive", nil).body, "Use the command.")
	require.Equal(t, llmproxy.AuditRefused, a.lastAudit(t).Outcome)
	a.want(t, http.StatusNotFound, "POST", "/manage/destinations/none/test", nil)
	require.Empty(t, s.acted)

	s.err = fmt.Errorf("redrive: %w", llmproxy.ErrElsewhere) // it was taken in hand since
	require.Contains(t, a.want(t, http.StatusConflict, "POST", "/manage/destinations/webhook/redrive", nil).body, "being done already")
	a.want(t, http.StatusConflict, "POST", "/manage/destinations/webhook/test", nil)
	s.all, s.err = nil, fmt.Errorf("list: %w", llmproxy.ErrUnavailable)
	for _, path := range []string{"GET /manage/destinations", "POST /manage/destinations/webhook/test"} {
		method, path, _ := strings.Cut(path, " ")
		a.want(t, http.StatusServiceUnavailable, method, path, nil)
	}
	require.Contains(t, newAPI(t).want(t, http.StatusNotFound, "GET", "/manage/destinations", nil).body, "does not tell")
}
