package route

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestMain(m *testing.M) {
	pollEvery = time.Millisecond
	os.Exit(m.Run())
}

func start(t *testing.T) (*cloud.Way, Clients) {
	t.Helper()
	w := &cloud.Way{}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return w, NewClients(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Retryer: func() aws.Retryer { return aws.NopRetryer{} }, Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""),
	})
}

// found is the route of the rule.
func found(t *testing.T, c Clients) *Route {
	t.Helper()
	r, err := ByRule(t.Context(), c, cloud.WayBus, cloud.WayRule)
	require.NoError(t, err)
	return r
}

func TestARouteIsFoundByItsRuleOrItsQueue(t *testing.T) {
	w, c := start(t)
	r := found(t, c)
	require.Contains(t, r.Queue, "/"+cloud.WayQueue)
	require.Contains(t, r.Dead, "/"+cloud.WayDead)
	byQueue, err := ByQueue(t.Context(), c, r.Queue)
	require.NoError(t, err)
	require.Equal(t, r.Dead, byQueue.Dead)

	_, err = ByRule(t.Context(), c, cloud.WayBus, "other")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, `a rule "other" on the bus events`)
	w.NoLetters = true
	_, err = ByRule(t.Context(), c, cloud.WayBus, cloud.WayRule)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "give the queue a redrive policy")
	w.NoLetters = false
	for _, action := range []string{"DescribeRule", "ListTargetsByRule", "GetQueueUrl", "GetQueueAttributes"} {
		w.Refuse(action)
		_, err := ByRule(t.Context(), c, cloud.WayBus, cloud.WayRule)
		require.ErrorContains(t, err, "AccessDenied", action)
		require.NotErrorIs(t, err, ErrNotFound, action)
	}
}

func TestTheBusOfARuleIsInItsARN(t *testing.T) {
	for rule, want := range map[string]string{
		"arn:aws:events:eu-central-1:123456789012:rule/bus/name":             "arn:aws:events:eu-central-1:123456789012:event-bus/bus",
		"arn:aws:events:eu-central-1:123456789012:rule/aws.partner/x/y/name": "arn:aws:events:eu-central-1:123456789012:event-bus/aws.partner/x/y",
		"arn:aws:events:eu-central-1:123456789012:rule/name":                 "arn:aws:events:eu-central-1:123456789012:event-bus/default",
	} {
		got, err := busOf(rule)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := busOf("name")
	require.Error(t, err)
}

func TestWhatWaitsAndWhatIsDeadIsCounted(t *testing.T) {
	w, c := start(t)
	r := found(t, c)
	w.Put(cloud.WayQueue, "a", "b")
	w.Put(cloud.WayDead, "c")
	e := llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Outcome: llmproxy.Complete}
	require.NoError(t, r.Send(t.Context(), &e))
	require.Equal(t, e.ID.String(), gjson.Get(w.In(cloud.WayQueue)[2].Body, "detail.id").Str)
	n, err := r.Count(t.Context())
	require.NoError(t, err)
	require.Equal(t, Count{Waiting: 3, Dead: 1}, n)
	w.Answer(nil, []string{"RUNNING"})
	n, err = r.Count(t.Context())
	require.NoError(t, err)
	require.True(t, n.Redriving)
	w.NoMoves = true
	_, err = r.Count(t.Context())
	require.NoError(t, err, "what has no such tasks has none that runs")
	for _, action := range []string{"GetQueueAttributes", "SendMessage"} {
		w.Refuse(action)
		_, err := r.Count(t.Context())
		require.Equal(t, action == "GetQueueAttributes", err != nil)
		require.Equal(t, action == "SendMessage", r.Send(t.Context(), &e) != nil)
	}
}

func TestDeadLettersAreShownAndStay(t *testing.T) {
	w, c := start(t)
	r := found(t, c)
	for i := range 23 {
		e := llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Status: 200 + i, Outcome: llmproxy.Complete}
		w.Put(cloud.WayDead, `{"detail":`+string(e.AppendJSON(nil))+`}`)
	}
	w.Put(cloud.WayDead, "junk")
	var letters []Letter
	for l, err := range r.Letters(t.Context()) {
		require.NoError(t, err)
		letters = append(letters, l)
	}
	require.Len(t, letters, 24)
	require.EqualValues(t, 222, gjson.Get(letters[22].Event, "status").Int())
	require.Equal(t, gjson.Get(letters[22].Event, "id").Str, letters[22].EventID)
	require.Equal(t, "2026-11-22T12:35:14.298Z", letters[0].Time.Format(llmproxy.TimeFormat))
	require.Equal(t, Letter{Time: letters[23].Time, Event: "junk", handle: letters[23].handle, body: "junk"}, letters[23])
	for range r.Letters(t.Context()) {
		break // enough
	}
	n := 0
	for range r.Letters(t.Context()) {
		n++
	}
	require.Equal(t, 24, n, "whoever has looked shows them to others again")

	w.Refuse("ReceiveMessage")
	for _, err := range r.Letters(t.Context()) {
		require.ErrorContains(t, err, "look at dead letters")
	}
}

func TestAListOfLettersLeavesNoneHidden(t *testing.T) {
	w, c := start(t)
	r := found(t, c)
	for i := range 35 {
		w.Put(cloud.WayDead, fmt.Sprint("letter ", i))
	}
	n := 0
	for _, err := range r.Letters(t.Context()) {
		require.NoError(t, err)
		if n++; n == 15 {
			w.Expire(cloud.WayDead, 3) // reading takes so long that the first come again
		}
	}
	require.Equal(t, 35, n, "each once")
	for _, m := range w.In(cloud.WayDead) {
		require.False(t, m.Visible.After(time.Now()), "%s is hidden", m.Body)
	}
	calls := 0
	for _, action := range w.Asked() {
		if strings.HasPrefix(action, "ChangeMessageVisibility") {
			calls++
		}
	}
	require.Equal(t, 4, calls, "ten are shown again in a call")
}

func TestDeadLettersGoBackIntoTheQueue(t *testing.T) {
	for name, byHand := range map[string]bool{"by a task": false, "by hand": true} {
		t.Run(name, func(t *testing.T) {
			w, c := start(t)
			w.NoMoves = byHand
			r := found(t, c)
			n, err := r.StartRedrive(t.Context())
			require.NoError(t, err)
			require.Zero(t, n, "nothing is dead")
			var bodies []string
			for i := range 12 {
				bodies = append(bodies, string(rune('a'+i)))
			}
			w.Put(cloud.WayDead, bodies...)
			w.Answer(nil, []string{"RUNNING", "COMPLETED"})
			n, err = r.StartRedrive(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 12, n)
			var told []int64
			require.NoError(t, r.AwaitRedrive(t.Context(), func(moved int64) { told = append(told, moved) }))
			require.Equal(t, byHand, told == nil)
			var got []string
			for _, m := range w.In(cloud.WayQueue) {
				got = append(got, m.Body)
			}
			require.Equal(t, bodies, got)
			require.Empty(t, w.In(cloud.WayDead))
		})
	}
}

func TestARedriveThatFailsSaysWhy(t *testing.T) {
	w, c := start(t)
	r := found(t, c)
	w.Put(cloud.WayDead, "a")
	w.Answer(nil, []string{"FAILED"})
	require.ErrorContains(t, r.AwaitRedrive(t.Context(), func(int64) {}), "FAILED: because")
	w.Answer(nil, []string{"RUNNING"})
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, r.AwaitRedrive(ctx, func(int64) { cancel() }), context.Canceled)
	w.Answer(nil, nil)
	require.NoError(t, r.AwaitRedrive(t.Context(), func(int64) {}), "there never was one")
	for action, byHand := range map[string]bool{"GetQueueAttributes": false, "StartMessageMoveTask": false, "ReceiveMessage": true, "SendMessage": true, "DeleteMessage": true} {
		w.NoMoves = byHand
		w.Refuse(action)
		_, err := r.StartRedrive(t.Context())
		require.ErrorContains(t, err, "AccessDenied", action)
		require.NotEmpty(t, w.In(cloud.WayDead), "nothing is lost")
	}
	w.NoMoves = false
	w.Refuse("ListMessageMoveTasks")
	require.ErrorContains(t, r.AwaitRedrive(t.Context(), func(int64) {}), "AccessDenied")
}

func TestTheArchiveIsReplayedToOneRule(t *testing.T) {
	w, c := start(t)
	r := found(t, c)
	from, to := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	w.Answer([]string{"STARTING", "RUNNING", "COMPLETED"}, nil)
	var states []string
	require.NoError(t, r.Replay(t.Context(), from, to, func(p Progress) { states = append(states, p.State) }))
	require.Equal(t, []string{"STARTING", "RUNNING", "COMPLETED"}, states)
	asked := gjson.ParseBytes(w.Replayed()[0])
	require.Equal(t, "arn:aws:events:us-east-1:000000000000:archive/archive", asked.Get("EventSourceArn").Str)
	require.Equal(t, "arn:aws:events:us-east-1:000000000000:event-bus/events", asked.Get("Destination.Arn").Str)
	require.Equal(t, `["arn:aws:events:us-east-1:000000000000:rule/events/webhook"]`, asked.Get("Destination.FilterArns").Raw, "no other destination gets them")
	require.Equal(t, from.Unix(), asked.Get("EventStartTime").Int())
	require.Equal(t, to.Unix(), asked.Get("EventEndTime").Int())
	require.Regexp(t, `^[.\-_A-Za-z0-9]{1,64}$`, asked.Get("ReplayName").Str)

	w.Answer([]string{"FAILED"}, nil)
	require.ErrorContains(t, r.Replay(t.Context(), from, to, func(Progress) {}), "FAILED: because")
	w.Answer([]string{"RUNNING"}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorContains(t, r.Replay(ctx, from, to, func(Progress) { cancel() }), "goes on on AWS")
	for _, action := range []string{"ListArchives", "DescribeArchive", "StartReplay", "DescribeReplay"} {
		w.Refuse(action)
		require.ErrorContains(t, r.Replay(t.Context(), from, to, func(Progress) {}), "AccessDenied", action)
	}
	w.Refuse("")
	w.NoArchive = true
	require.ErrorIs(t, r.Replay(t.Context(), from, to, func(Progress) {}), ErrNotFound)
	byQueue, err := ByQueue(t.Context(), c, r.Queue)
	require.NoError(t, err)
	require.ErrorContains(t, byQueue.Replay(t.Context(), from, to, func(Progress) {}), "name the bus")
}
