package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/testlog"
)

// dataWith makes a data folder whose spool has so many events of an ended server, and returns their ids.
func dataWith(t *testing.T, n int) (dir string, ids []string) {
	t.Helper()
	dir = t.TempDir()
	for _, set := range os.Environ() { // what the machine has set is not to be delivered to
		if name, _, _ := strings.Cut(set, "="); strings.HasPrefix(name, "LLM_PROXY_") {
			t.Setenv(name, "")
		}
	}
	publish(t, dir, n, &ids)
	return dir, ids
}

func publish(t *testing.T, dir string, n int, ids *[]string) {
	t.Helper()
	s, err := spool.Open(spool.Config{Dir: filepath.Join(dir, "spool")})
	require.NoError(t, err)
	for range n {
		e := &llmproxy.Event{
			ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Provider: "openai", Method: http.MethodPost, Path: "/v1/chat/completions", Status: 200,
			Outcome: llmproxy.Complete, UsageKind: "openai-chat",
			Request:  eventMessage(`{"model":"gpt-4o","messages":[{"role":"user","content":"Hello!"}]}`),
			Response: eventMessage(`{"model":"gpt-4o","choices":[{"message":{"role":"assistant","content":"Hi"}}]}`), // without usage
		}
		*ids = append(*ids, e.ID.String())
		s.Publish(e)
	}
	require.NoError(t, s.Close())
}

func eventMessage(body string) llmproxy.Message {
	return llmproxy.Message{Bytes: int64(len(body)), ContentType: "application/json", Body: &llmproxy.Body{Head: []byte(body), Size: int64(len(body))}}
}

// runLine runs a command line and returns what it printed.
func runLine(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, talk bytes.Buffer
	root := newRoot() //nolint:contextcheck // commands get their context from ExecuteContext
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&talk)
	err = root.ExecuteContext(ctx)
	return out.String(), talk.String(), err
}

// hook is a receiver of webhooks.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	refuse int // status, 0 takes
	got    []string
	bodies []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if err != nil || h.refuse != 0 {
			http.Error(w, "not like this: "+r.URL.Path, h.refuse)
			return
		}
		h.got, h.bodies = append(h.got, gjson.GetBytes(body, "id").Str), append(h.bodies, string(body))
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) set(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse = status
}

func (h *hook) ids() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := slices.Clone(h.got)
	slices.Sort(ids)
	return ids
}

func TestADispatcherDeliversWhatIsThereOnceAndEnds(t *testing.T) {
	dir, ids := dataWith(t, 30)
	h := newHook(t)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	for range 2 {
		_, talk, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--once", "--data-dir", dir)
		require.NoError(t, err, talk)
		require.ElementsMatch(t, ids, h.ids(), "the second finds nothing left")
	}
	usage := gjson.Get(h.bodies[0], "usage").Raw
	require.JSONEq(t, `{"input":9,"output":1,"total":10,"source":"estimate","cost_usd":0.0000325}`, usage)
	require.NotContains(t, h.bodies[0], `"body"`)

	_, _, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--name", "second", "--bodies", "--once", "--data-dir", dir)
	require.NoError(t, err)
	require.Len(t, h.ids(), 60, "another name has a cursor of its own")
	require.Contains(t, h.bodies[59], `"body"`)
}

func TestADispatcherFollowsUntilItIsStopped(t *testing.T) {
	dir, ids := dataWith(t, 3)
	h := newHook(t)
	t.Setenv("LOGGING_URL", h.URL) // the older name
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := runLine(ctx, "dispatcher", "--service", "webhook", "--data-dir", dir)
		ended <- err
	}()
	require.Eventually(t, func() bool { return len(h.ids()) == 3 }, 30*time.Second, 5*time.Millisecond)
	_, _, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--data-dir", dir)
	require.ErrorContains(t, err, `another process delivers as "webhook"`)
	require.Equal(t, exitRefused, exitCode(err))
	publish(t, dir, 4, &ids)
	require.Eventually(t, func() bool { return len(h.ids()) == 7 }, 30*time.Second, 5*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	require.ElementsMatch(t, ids, h.ids())
}

// TestDispatchersRunBesideEachOther: three over one spool that is written meanwhile, of which one stops, one cannot deliver, and one goes on;
// each has a cursor of its own and in the end has brought everything.
func TestDispatchersRunBesideEachOther(t *testing.T) {
	dir, ids := dataWith(t, 10)
	steady, stopped, failing := newHook(t), newHook(t), newHook(t)
	failing.set(http.StatusServiceUnavailable)
	run := func(name string, to *hook) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		cmd := newRoot()
		t.Setenv("LLM_PROXY_WEBHOOK_URL", to.URL)
		cmd.SetArgs([]string{"dispatcher", "--service", "webhook", "--name", name, "--data-dir", dir, "--metrics-addr", freeAddr(t)})
		var talk testlog.Buffer
		cmd.SetErr(&talk)
		go func() { ended <- cmd.ExecuteContext(ctx) }()
		require.Eventually(t, func() bool { return strings.Contains(talk.String(), "delivers events") || len(ended) > 0 }, patience, time.Millisecond) // it has read its settings
		require.Empty(t, ended, talk.String())
		return func() {
			cancel()
			require.NoError(t, <-ended, talk.String())
		}
	}
	distinct := func(h *hook) []string { return slices.Compact(h.ids()) } // one that is stopped right behind a call sends it again
	all := func(h *hook, n int) {
		t.Helper()
		require.Eventually(t, func() bool { return len(distinct(h)) == n }, patience, 5*time.Millisecond)
	}
	stopSteady, stopStopped, stopFailing := run("steady", steady), run("stopped", stopped), run("failing", failing)
	all(steady, 10)
	all(stopped, 10)
	stopStopped()
	publish(t, dir, 20, &ids)
	all(steady, 30)
	require.Len(t, distinct(stopped), 10)
	require.Empty(t, failing.ids())
	failing.set(0)
	stopAgain := run("stopped", stopped)
	all(stopped, 30)
	all(failing, 30)
	stopSteady()
	stopFailing()
	stopAgain()
	for _, h := range []*hook{steady, stopped, failing} {
		require.ElementsMatch(t, ids, distinct(h))
	}
	require.Len(t, steady.ids(), 30, "what the others do sends it nothing again")
}

func TestDeadLettersAreListedShownAndSentAgain(t *testing.T) {
	dir, ids := dataWith(t, 2)
	h := newHook(t)
	h.set(http.StatusBadRequest)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL+"/secret-path")
	_, _, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--once", "--data-dir", dir)
	require.NoError(t, err, "what is not taken is done with")

	list, _, err := runLine(t.Context(), "dispatcher", "dead-letters", "list", "--service", "webhook", "--data-dir", dir)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(list), "\n")
	require.Len(t, lines, 2)
	fields := strings.Split(lines[0], "\t")
	require.Len(t, fields, 4)
	require.Contains(t, ids, fields[1])
	require.Equal(t, "1", fields[2])
	require.Contains(t, fields[3], "status 400: not like this")

	shown, _, err := runLine(t.Context(), "dispatcher", "dead-letters", "show", "--service", "webhook", "--data-dir", dir, ids[1])
	require.NoError(t, err)
	require.Equal(t, ids[1], gjson.Get(shown, "event.id").Str)
	require.Equal(t, "webhook", gjson.Get(shown, "destination").Str)
	_, _, err = runLine(t.Context(), "dispatcher", "dead-letters", "show", "--service", "webhook", "--data-dir", dir, "none")
	require.Equal(t, exitRefused, exitCode(err))

	said, _, err := runLine(t.Context(), "dispatcher", "redrive", "--service", "webhook", "--data-dir", dir)
	require.NoError(t, err)
	require.Equal(t, "delivered 0, dead again 2\n", said)
	h.set(0)
	said, _, err = runLine(t.Context(), "dispatcher", "redrive", "--service", "webhook", "--data-dir", dir)
	require.NoError(t, err)
	require.Equal(t, "delivered 2, dead again 0\n", said)
	require.ElementsMatch(t, ids, h.ids())
	list, _, err = runLine(t.Context(), "dispatcher", "dead-letters", "list", "--service", "webhook", "--data-dir", dir)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestAServiceThatDoesNotAnswerEndsADispatcherThatIsToEnd(t *testing.T) {
	dir, ids := dataWith(t, 2)
	h := newHook(t)
	h.set(http.StatusServiceUnavailable)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	_, _, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--once", "--give-up", "50ms", "--data-dir", dir)
	require.Equal(t, exitUnreachable, exitCode(err), "%v", err)
	require.ErrorContains(t, err, "they stay in the spool: status 503")
	h.set(0)
	_, _, err = runLine(t.Context(), "dispatcher", "--service", "webhook", "--once", "--data-dir", dir)
	require.NoError(t, err)
	require.ElementsMatch(t, ids, h.ids())
}

func TestADispatcherWritesAFile(t *testing.T) {
	dir, ids := dataWith(t, 3)
	prices := filepath.Join(dir, "prices.yaml")
	require.NoError(t, os.WriteFile(prices, []byte("gpt-4o: {input_cost_per_token: 1, output_cost_per_token: 2}"), 0o600))
	path := filepath.Join(dir, "log.jsonl")
	_, _, err := runLine(t.Context(), "dispatcher", "--service", "file", "--name", "copy", "--file", path, "--prices", prices, "--once", "--data-dir", dir)
	require.NoError(t, err)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	var got []string
	for line := range strings.Lines(string(written)) {
		got = append(got, gjson.Get(line, "id").Str)
		require.InDelta(t, 11, gjson.Get(line, "usage.cost_usd").Num, 0, "by the prices of the file")
	}
	require.Equal(t, ids, got)
}

func TestSettingsOfADispatcherThatCannotBeTakenAreNamed(t *testing.T) {
	dir, _ := dataWith(t, 0)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no service":      {nil, `--service (LLM_PROXY_SERVICE): "" is none of file, webhook`},
		"no such service": {[]string{"--service", "pigeon"}, `"pigeon" is none of`},
		"no address":      {[]string{"--service", "webhook"}, "the webhook destination's URL is missing"},
		"no key":          {[]string{"--service", "lunary"}, "needs a key"},
		"negative":        {[]string{"--service", "file", "--max-attempts", "-1", "--linger", "-1s"}, "--linger (LLM_PROXY_DISPATCHER_LINGER): must not be negative\n--max-attempts"},
		"no number":       {[]string{"--service", "file", "--batch-size", "x"}, "--batch-size (LLM_PROXY_DISPATCHER_BATCH_SIZE):"},
		"metrics for all": {[]string{"--service", "file", "--file", "x", "--metrics-addr", "0.0.0.0:9091"}, "--metrics-addr (LLM_PROXY_DISPATCHER_METRICS_ADDR): \"0.0.0.0:9091\" is not a loopback"},
		"no prices":       {[]string{"--service", "file", "--file", "x", "--prices", filepath.Join(dir, "none")}, "prices:"},
	} {
		_, _, err := runLine(t.Context(), append([]string{"dispatcher", "--data-dir", dir}, c.args...)...)
		require.ErrorContains(t, err, c.want, name)
		require.Equal(t, exitUsage, exitCode(err), name)
	}
	_, _, err := runLine(t.Context(), "dispatcher", "dead-letters", "list", "--data-dir", dir)
	require.Equal(t, exitUsage, exitCode(err))
	_, _, err = runLine(t.Context(), "dispatcher", "dead-letters", "show", "--data-dir", dir)
	require.Equal(t, exitUsage, exitCode(err))
}

// insideOf is what a dispatcher tells on loopback; nothing if it does not yet.
func insideOf(t *testing.T, addr, path string) string {
	t.Helper()
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}

// TestADispatcherTellsHowItIs: its metrics and health on loopback, where that is asked for, as the server tells of its destinations.
func TestADispatcherTellsHowItIs(t *testing.T) {
	dir, _ := dataWith(t, 5)
	h := newHook(t)
	h.set(http.StatusServiceUnavailable)
	t.Setenv("LLM_PROXY_WEBHOOK_URL", h.URL)
	addr := freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := runLine(ctx, "dispatcher", "--service", "webhook", "--name", "hook", "--data-dir", dir, "--metrics-addr", addr)
		ended <- err
	}()
	ask := func(path string) string { return insideOf(t, addr, path) }
	require.Eventually(t, func() bool { return gjson.Get(ask("/health"), "status").Str == "degraded" }, patience, 10*time.Millisecond)
	require.Contains(t, gjson.Get(ask("/health"), "reasons.0").Str, "hook: status 503")
	text := ask("/metrics")
	for metric, want := range map[string]string{"failing": "1", "backlog_events": "5", "delivered_total": "0", "dead_total": "0", "dead_letters": "0"} {
		require.Contains(t, text, "llmproxy_destination_"+metric+`{destination="hook"} `+want+"\n")
	}
	require.Regexp(t, `llmproxy_destination_oldest_event_seconds\{destination="hook"\} [0-9.e-]*[1-9]`, text)
	require.Regexp(t, `llmproxy_destination_retried_total\{destination="hook"\} [1-9]`, text)
	require.Regexp(t, `llmproxy_destination_backlog_bytes\{destination="hook"\} [1-9]`, text)
	require.Contains(t, text, "process_resident_memory_bytes")

	_, _, err := runLine(t.Context(), "dispatcher", "--service", "webhook", "--name", "second", "--data-dir", dir, "--metrics-addr", addr)
	require.ErrorContains(t, err, "choose another address with --metrics-addr")
	h.set(http.StatusBadRequest)
	require.Eventually(t, func() bool { // each is told when it is so, in no order
		text := ask("/metrics")
		for metric, want := range map[string]string{"dead_letters": "5", "dead_total": "5", "failing": "0", "backlog_events": "0", "oldest_event_seconds": "0"} {
			if !strings.Contains(text, "llmproxy_destination_"+metric+`{destination="hook"} `+want+"\n") {
				return false
			}
		}
		return gjson.Get(ask("/health"), "status").Str == "ok"
	}, patience, 10*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}

// TestEachSettingOfADestinationReachesIt: a setting changes what the destination is told, or the loop.
func TestEachSettingOfADestinationReachesIt(t *testing.T) {
	before, err := json.Marshal(fmt.Sprintf("%+v", plainSettings((&dispatcherSettings{}).destination())))
	require.NoError(t, err)
	elsewhere := []string{"Service", "Name", "MaxAttempts", "BatchSize", "Linger", "GiveUp", "MetricsAddr", "Prices", "LoggingURL", "From", "Queue", "Pause"} // the tests above
	for field := range reflect.TypeFor[dispatcherSettings]().Fields() {
		if field.Tag.Get("env") == "" || slices.Contains(elsewhere, field.Name) {
			continue
		}
		var s dispatcherSettings
		value := reflect.ValueOf(&s).Elem().FieldByIndex(field.Index)
		switch value.Kind() {
		case reflect.String:
			value.SetString("set")
		case reflect.Bool:
			value.SetBool(true)
		default:
			value.SetInt(7)
		}
		after, err := json.Marshal(fmt.Sprintf("%+v", plainSettings(s.destination())))
		require.NoError(t, err)
		require.NotEqual(t, string(before), string(after), field.Name)
	}
}

// plainSettings shows secrets, which are set or not.
func plainSettings(s dispatch.Settings) []any {
	return []any{
		s.File, s.Webhook.URL.Reveal(), s.Webhook.Secret.Reveal(), s.Webhook.Authorization.Reveal(), s.Webhook.Batch, s.Webhook.Bodies, s.Webhook.Audit, s.Helicone.Key.Reveal(), s.Helicone.BaseURL,
		s.Lunary.Key.Reveal(), s.Lunary.BaseURL, s.S3.Bucket, s.S3.Prefix, s.S3.PathStyle, s.S3.Bodies, s.CloudWatch.Group, s.CloudWatch.Stream, s.CloudWatch.Namespace, s.CloudWatch.Bodies, s.EventBridge.Bus, s.EventBridge.Bucket,
	}
}
