package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	standin "github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// startWay starts what stands in for the way of events on AWS, and names it in the environment.
func startWay(t *testing.T) (w *standin.Way, dir, url string) {
	t.Helper()
	dir, _ = dataWith(t, 0)
	w = &standin.Way{NoMoves: true}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return w, dir, server.URL + "/000000000000/" + standin.WayQueue
}

// putEvents puts events into the queue.
func putEvents(w *standin.Way, n int) (ids []string) {
	for range n {
		e := &llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Method: "GET", Path: "/v1/models", Outcome: llmproxy.Complete}
		ids = append(ids, e.ID.String())
		w.Put(standin.WayQueue, `{"detail":`+string(e.AppendJSON(nil))+`}`)
	}
	return ids
}

func TestADispatcherEmptiesAQueue(t *testing.T) {
	w, dir, url := startWay(t)
	h := newHook(t)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	putEvents(w, 12)
	h.set(503)
	_, _, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--queue", url, "--once", "--pause", "3h", "--data-dir", dir)
	require.ErrorContains(t, err, "webhook did not take 12 events, they stay in the queue")
	require.Equal(t, exitUnreachable, exitCode(err))
	for _, m := range w.In(standin.WayQueue) {
		require.WithinDuration(t, time.Now().Add(3*time.Hour), m.Visible, 10*time.Minute)
	}
	h.set(0)

	w, dir, url = startWay(t)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	ids := putEvents(w, 12)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := runLine(ctx, "dispatcher", "--service", "webhook", "--queue", url, "--linger", "10ms", "--data-dir", dir)
		ended <- err
	}()
	require.Eventually(t, func() bool { return len(h.ids()) == 12 && len(w.In(standin.WayQueue)) == 0 }, time.Minute, 5*time.Millisecond)
	ids = append(ids, putEvents(w, 3)...)
	require.Eventually(t, func() bool { return len(h.ids()) == 15 && len(w.In(standin.WayQueue)) == 0 }, time.Minute, 5*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	require.ElementsMatch(t, ids, h.ids())
	require.Empty(t, w.In(standin.WayDead))
}

// TestADispatcherOfAQueueTellsHowItIs: under the names of one of the spool.
func TestADispatcherOfAQueueTellsHowItIs(t *testing.T) {
	before := lookEvery
	lookEvery = 0
	t.Cleanup(func() { lookEvery = before })
	w, dir, url := startWay(t)
	h := newHook(t)
	h.set(http.StatusServiceUnavailable)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	putEvents(w, 5)
	addr := freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := runLine(ctx, "dispatcher", "--service", "webhook", "--name", "hook", "--queue", url, "--pause", "1s", "--linger", "10ms", "--data-dir", dir, "--metrics-addr", addr)
		ended <- err
	}()
	has := func(metrics map[string]string) func() bool {
		return func() bool {
			text := insideOf(t, addr, "/metrics")
			for metric, want := range metrics {
				if !regexp.MustCompile(`(?m)^llmproxy_destination_` + metric + `\{destination="hook"\} ` + want + `$`).MatchString(text) {
					return false
				}
			}
			return true
		}
	}
	require.Eventually(t, func() bool { return gjson.Get(insideOf(t, addr, "/health"), "status").Str == "degraded" }, patience, 10*time.Millisecond)
	require.Contains(t, gjson.Get(insideOf(t, addr, "/health"), "reasons.0").Str, "hook: status 503")
	require.Eventually(t, has(map[string]string{
		"failing": "1", "backlog_events": "5", "delivered_total": "0", "dead_total": "0", "dead_letters": "0", "retried_total": "[1-9].*", "oldest_event_seconds": "[1-9].*",
	}), patience, 10*time.Millisecond)
	require.NotContains(t, insideOf(t, addr, "/metrics"), "backlog_bytes", "a queue does not tell")
	require.Contains(t, insideOf(t, addr, "/metrics"), "process_resident_memory_bytes")

	h.set(http.StatusBadRequest)
	require.Eventually(t, has(map[string]string{"failing": "0", "backlog_events": "0", "dead_total": "5", "dead_letters": "5", "oldest_event_seconds": "0"}), patience, 10*time.Millisecond)
	require.Equal(t, "ok", gjson.Get(insideOf(t, addr, "/health"), "status").Str)
	h.set(0)
	putEvents(w, 2)
	require.Eventually(t, has(map[string]string{"delivered_total": "2", "dead_total": "5"}), patience, 10*time.Millisecond)
	w.Refuse("GetQueueAttributes")
	text := insideOf(t, addr, "/metrics")
	require.Contains(t, text, "delivered_total", "what the queue does not tell is left out, and nothing else")
	require.NotContains(t, text, "backlog_events")
	stop()
	require.NoError(t, <-ended)
}

func TestDeadLettersOfAQueueAreListedShownAndSentAgain(t *testing.T) {
	w, dir, url := startWay(t)
	h := newHook(t)
	h.set(400)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	ids := putEvents(w, 2)
	w.Put(standin.WayQueue, "ju\x1bnk")
	byRule := []string{"--service", "webhook", "--bus", "eventbridge", "--event-bus", standin.WayBus, "--data-dir", dir}
	_, _, err := runLine(t.Context(), append([]string{"dispatcher", "--once"}, byRule...)...)
	require.NoError(t, err, "what is not taken is done with")
	list, _, err := runLine(t.Context(), append([]string{"dispatcher", "dead-letters", "list"}, byRule...)...)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(list), "\n")
	require.Len(t, lines, 3)
	require.Contains(t, list, ids[0]+"\t1\t\"status 400: not like this")
	require.NotContains(t, list, "\x1b")
	again, _, err := runLine(t.Context(), append([]string{"dispatcher", "dead-letters", "list"}, byRule...)...)
	require.NoError(t, err)
	require.Equal(t, list, again, "whoever looks hides nothing from the next")
	shown, _, err := runLine(t.Context(), "dispatcher", "dead-letters", "show", "--service", "webhook", "--queue", url, "--data-dir", dir, ids[1])
	require.NoError(t, err)
	require.Equal(t, ids[1], gjson.Get(shown, "event.id").Str)

	for _, moves := range []bool{false, true} { // by hand, and by SQS itself
		w.NoMoves = !moves
		w.Answer(nil, []string{"RUNNING", "COMPLETED"})
		said, _, err := runLine(t.Context(), append([]string{"dispatcher", "redrive"}, byRule...)...)
		require.NoError(t, err)
		require.Equal(t, "moved 3 dead letters back to "+url+"\n", said)
		_, _, err = runLine(t.Context(), append([]string{"dispatcher", "--once"}, byRule...)...)
		require.NoError(t, err)
		require.Len(t, w.In(standin.WayDead), 3, "they are refused again")
	}
}

func TestAListOfLettersThatNobodyReadsToItsEndHidesNone(t *testing.T) {
	w, dir, url := startWay(t)
	for i := range 30 {
		w.Put(standin.WayDead, fmt.Sprint("letter ", i))
	}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, read.Close(), "as head does when it has enough")
	cmd := program(t, "dispatcher", "dead-letters", "list", "--service", "webhook", "--queue", url, "--data-dir", dir)
	cmd.Stdout = write
	require.NoError(t, cmd.Run())
	require.NoError(t, write.Close())
	require.Contains(t, w.Asked(), "ReceiveMessage")
	for _, m := range w.In(standin.WayDead) {
		require.False(t, m.Visible.After(time.Now()), "%s is hidden", m.Body)
	}
}

func TestTheArchiveOfABusIsReplayed(t *testing.T) {
	w, dir, url := startWay(t)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", "https://hook.example.com")
	replay := func(args ...string) (string, string, error) {
		return runLine(t.Context(), append([]string{"dispatcher", "replay", "--service", "webhook", "--bus", "eventbridge", "--from", "2026-11-22", "--to", "2026-11-22T09:00:00Z", "--data-dir", dir}, args...)...)
	}
	said, talk, err := replay("--event-bus", standin.WayBus)
	require.NoError(t, err)
	require.Contains(t, talk, " completed until ")
	require.Contains(t, said, "the events are in the queue of webhook")
	require.Equal(t, time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).Unix(), gjson.GetBytes(w.Replayed()[0], "EventEndTime").Int())
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"by a queue":   {[]string{"--event-bus", standin.WayBus, "--queue", url}, exitUsage, "a replay goes by the rule"},
		"no bus":       {nil, exitUsage, "name the bus"},
		"another rule": {[]string{"--event-bus", standin.WayBus, "--name", "other"}, exitRefused, `a rule "other"`},
	} {
		_, _, err := replay(c.args...)
		require.ErrorContains(t, err, c.want, name)
		require.Equal(t, c.code, exitCode(err), name)
	}
	w.NoArchive = true
	_, _, err = replay("--event-bus", standin.WayBus)
	require.ErrorContains(t, err, "an archive of the bus")
	require.Equal(t, exitRefused, exitCode(err))

	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	_, _, err = replay("--event-bus", standin.WayBus)
	require.ErrorContains(t, err, "there is no region")
	_, _, err = runLine(t.Context(), "dispatcher", "redrive", "--service", "eventbridge", "--bus", "eventbridge", "--event-bus", "x", "--data-dir", dir)
	require.ErrorContains(t, err, "--event-bus is where this service brings events")
}

func TestTheEventsOfATimeAreDeliveredOnceMore(t *testing.T) {
	dir, ids := dataWith(t, 30)
	h := newHook(t)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	log := filepath.Join(dir, "events.jsonl")
	for _, args := range [][]string{{"--service", "webhook"}, {"--service", "file", "--file", log, "--name", "copy"}} {
		_, _, err := runLine(t.Context(), append(append([]string{"dispatcher"}, args...), "--once", "--data-dir", dir)...)
		require.NoError(t, err)
	}
	hour := []string{"--from", time.Now().Add(-time.Hour).Format(time.RFC3339), "--to", time.Now().Add(time.Hour).Format(time.RFC3339)}
	replay := func(args ...string) (string, error) {
		said, _, err := runLine(t.Context(), append(append([]string{"dispatcher", "replay", "--service", "webhook", "--data-dir", dir}, args...), hour...)...)
		return said, err
	}
	said, err := replay("--bodies", "--file-event-log", log)
	require.NoError(t, err)
	require.Equal(t, "delivered 30, dead 0\n", said, "what spool and log have is delivered once")
	require.ElementsMatch(t, append(ids, ids...), h.ids())
	require.Contains(t, h.bodies[59], `"body"`, "the spool has the bodies")

	whole := hour
	for _, of := range [][2]time.Duration{{-2 * time.Hour, -time.Hour}, {time.Hour, 2 * time.Hour}} {
		hour = []string{"--from", time.Now().Add(of[0]).Format(time.RFC3339), "--to", time.Now().Add(of[1]).Format(time.RFC3339)}
		said, err = replay("--file-event-log", log)
		require.NoError(t, err)
		require.Equal(t, "delivered 0, dead 0\n", said, "no event is of that time")
	}
	hour = whole

	require.NoError(t, os.RemoveAll(filepath.Join(dir, "spool")))
	said, err = replay()
	require.NoError(t, err)
	require.Equal(t, "delivered 0, dead 0\n", said)
	said, err = replay("--file-event-log", log)
	require.NoError(t, err)
	require.Equal(t, "delivered 30, dead 0\n", said)
	require.JSONEq(t, gjson.Get(h.bodies[0], "usage").Raw, gjson.Get(h.bodies[89], "usage").Raw)

	h.set(500)
	hour[1] = time.Now().Add(-2 * time.Hour).Format(time.DateOnly)
	said, err = replay("--file-event-log", log, "--max-attempts", "1")
	require.NoError(t, err)
	require.Equal(t, "delivered 0, dead 30\n", said, "they are among the dead letters, whence they can be sent again")

	for _, c := range []struct{ from, to, want string }{
		{"", "2026-11-22", "--from: name the first time"},
		{"yesterday", "", "--from: \"yesterday\" is neither"},
		{"2026-11-22", "now", "--to: \"now\" is neither"},
		{"2026-11-22", "2026-11-22", "must be before"},
	} {
		hour = []string{"--from", c.from, "--to", c.to}
		_, err := replay()
		require.ErrorContains(t, err, c.want)
		require.Equal(t, exitUsage, exitCode(err))
	}
}
