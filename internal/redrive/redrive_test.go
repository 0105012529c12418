package redrive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/redrive"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bus keeps what it takes; it refuses an entry whose detail contains refuses, and every call while it is down.
type bus struct {
	down    bool
	refuses string
	calls   []*eventbridge.PutEventsInput
	ids     []string
}

func (b *bus) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	b.calls = append(b.calls, in)
	if b.down {
		return nil, errors.New("the bus is down")
	}
	out := &eventbridge.PutEventsOutput{}
	for _, e := range in.Entries {
		if b.refuses != "" && strings.Contains(*e.Detail, b.refuses) {
			out.Entries = append(out.Entries, types.PutEventsResultEntry{ErrorCode: aws.String("ThrottlingException")})
			continue
		}
		b.ids = append(b.ids, gjson.Get(*e.Detail, "id").Str)
		out.Entries = append(out.Entries, types.PutEventsResultEntry{EventId: aws.String("1")})
	}
	return out, nil
}

// logs has lines by group, two to a page.
type logs struct {
	lines map[string][]string
	asked []*cloudwatchlogs.FilterLogEventsInput
	err   error
}

func (l *logs) FilterLogEvents(_ context.Context, in *cloudwatchlogs.FilterLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	l.asked = append(l.asked, in)
	if l.err != nil {
		return nil, l.err
	}
	at := 0
	if in.NextToken != nil {
		_, _ = fmt.Sscan(*in.NextToken, &at)
	}
	out := &cloudwatchlogs.FilterLogEventsOutput{}
	lines := l.lines[*in.LogGroupName]
	for ; at < len(lines) && len(out.Events) < 2; at++ {
		out.Events = append(out.Events, logtypes.FilteredLogEvent{Message: &lines[at]})
	}
	if at < len(lines) {
		out.NextToken = aws.String(fmt.Sprint(at))
	}
	return out, nil
}

func event() *llmproxy.Event {
	return &llmproxy.Event{ID: llmproxy.NewEventID(noon), Time: noon, Method: "POST", Path: "/v1/chat/completions", Outcome: llmproxy.Complete}
}

func spilled(e *llmproxy.Event) string {
	return `{"source":"llm-proxy","detail-type":"request","detail":` + string(e.AppendJSON(nil)) + `}`
}

func TestSpilledEventsReachTheBusUnderTheirIDs(t *testing.T) {
	b := &bus{}
	r := redrive.New(redrive.Config{Bus: b, BusName: "events"})
	var messages []redrive.Message
	var ids []string
	for i := range 23 {
		e := event()
		ids = append(ids, e.ID.String())
		messages = append(messages, redrive.Message{ID: fmt.Sprint(i), Body: spilled(e)})
	}
	require.Empty(t, r.Spilled(t.Context(), messages))
	require.Equal(t, ids, b.ids)
	require.Len(t, b.calls, 3, "ten to a call")
	entry := b.calls[0].Entries[0]
	require.Equal(t, []string{"events", "llm-proxy", "request"}, []string{*entry.EventBusName, *entry.Source, *entry.DetailType})
	require.Equal(t, noon, *entry.Time, "an event keeps its time")
}

func TestLargeEventsAreSentInCallsThatTheBusTakes(t *testing.T) {
	b := &bus{}
	var messages []redrive.Message
	for range 3 {
		e := event()
		e.Request.Body = &llmproxy.Body{Head: bytes.Repeat([]byte("x"), 150<<10), Size: 150 << 10}
		messages = append(messages, redrive.Message{ID: "1", Body: spilled(e)})
	}
	require.Empty(t, redrive.New(redrive.Config{Bus: b}).Spilled(t.Context(), messages))
	require.Len(t, b.calls, 3)
}

func TestOnlyWhatTheBusRefusesComesAgain(t *testing.T) {
	good, bad := event(), event()
	b := &bus{refuses: bad.ID.String()}
	r := redrive.New(redrive.Config{Bus: b})
	messages := []redrive.Message{{"1", spilled(good)}, {"2", spilled(bad)}, {"3", "junk"}, {"4", `{"detail":{"version":8}}`}, {"5", "{}"}}
	require.ElementsMatch(t, []string{"2", "3", "4", "5"}, r.Spilled(t.Context(), messages))
	require.Equal(t, []string{good.ID.String()}, b.ids)

	b.down = true
	require.ElementsMatch(t, []string{"1", "2"}, r.Spilled(t.Context(), messages[:2]))
}

func TestEventsThatStayedInTheLogReachTheBus(t *testing.T) {
	b, out, e := &bus{}, &bytes.Buffer{}, event()
	r := redrive.New(redrive.Config{Bus: b, Lines: out})
	line := `{"event":` + string(e.AppendMeta(nil)) + `}`
	require.NoError(t, r.Logged(t.Context(), []string{"START", line + "\n", `{"end":"x"}`, `{"event":{"version":7}}`}))
	require.Equal(t, []string{e.ID.String()}, b.ids)
	require.Equal(t, `{"end":"`+e.ID.String()+"\"}\n", out.String())

	b.down = true
	require.ErrorContains(t, r.Logged(t.Context(), []string{line}), "1 of 1")
}

func TestARequestThatBeganAndNeverEndedIsLost(t *testing.T) {
	now := noon.Add(time.Hour)
	begin := func(ago time.Duration) llmproxy.Begin {
		return llmproxy.Begin{ID: llmproxy.NewEventID(now.Add(-ago)), Time: now.Add(-ago), Method: "POST", Path: "/v1/responses"}
	}
	line := func(b llmproxy.Begin) string { return string(b.AppendJSON(nil)) }
	end := func(b llmproxy.Begin) string { return `{"end":"` + b.ID.String() + `"}` }
	lost, young, ended, inLog, old, told := begin(time.Hour), begin(10*time.Minute), begin(2*time.Hour), begin(time.Hour), begin(5*time.Hour), begin(time.Hour)
	logged := event()
	logged.ID = inLog.ID
	l := &logs{lines: map[string][]string{
		"proxy": {line(lost), end(ended), line(ended), "START RequestId: x", line(young), line(inLog), `{"event":` + string(logged.AppendMeta(nil)) + `}`, line(old), line(told), `{"begin":"junk"}`},
		"own":   {end(told)},
	}}
	b, out := &bus{}, &bytes.Buffer{}
	r := redrive.New(redrive.Config{Bus: b, Logs: l, Groups: []string{"proxy", "own"}, Lines: out, Now: func() time.Time { return now }})
	n, err := r.Lost(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{lost.ID.String()}, b.ids)
	detail := *b.calls[0].Entries[0].Detail
	require.Equal(t, "lost", gjson.Get(detail, "outcome").Str)
	require.Equal(t, "/v1/responses", gjson.Get(detail, "path").Str)
	require.Equal(t, end(lost)+"\n", out.String(), "so that the next run does not find it")
	require.Len(t, l.asked, 6, "all pages of both groups are read")
	require.Equal(t, now.UnixMilli(), *l.asked[0].EndTime)

	l.lines["own"] = append(l.lines["own"], strings.TrimSpace(out.String()))
	n, err = r.Lost(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestALostEventThatTheBusDoesNotTakeIsFoundByTheNextRun(t *testing.T) {
	begin := llmproxy.Begin{ID: llmproxy.NewEventID(noon), Time: noon, Method: "GET", Path: "/v1/models"}
	b, out := &bus{down: true}, &bytes.Buffer{}
	l := &logs{lines: map[string][]string{"proxy": {string(begin.AppendJSON(nil))}}}
	now := func() time.Time { return noon.Add(redrive.Settled + time.Second) }
	r := redrive.New(redrive.Config{Bus: b, Logs: l, Groups: []string{"proxy"}, Lines: out, Now: now})
	_, err := r.Lost(t.Context())
	require.ErrorContains(t, err, "1 of 1")
	require.Empty(t, out.String())

	l.err = errors.New("throttled")
	_, err = r.Lost(t.Context())
	require.ErrorContains(t, err, "read the log proxy")
}
