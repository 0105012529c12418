package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/demo/cloud"
)

const testPublicKey = "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"

// destinationsOf asks a function that has two destinations: s3, behind a queue that SQS does not tell of, and webhook.
func destinationsOf(t *testing.T, a *account, namespace string) gjson.Result {
	t.Helper()
	h, _, err := join([]string{
		"LLM_PROXY_TOKENS_TABLE=t", "LLM_PROXY_CONTROL_TABLE=c", "LLM_PROXY_EVENT_BUS=events", "LLM_PROXY_KEYS_PREFIX=k/", "LLM_PROXY_SEALING_PUBLIC_KEY=" + testPublicKey,
		"MANAGEMENT_TOKEN=" + fakeToken, "LLM_PROXY_DELIVERY_NAMESPACE=" + namespace, "LLM_PROXY_DESTINATIONS=webhook=" + a.url + "/1/" + cloud.WayQueue + ",s3=" + a.url + "/1/unseen",
	})
	require.NoError(t, err)
	t.Cleanup(h.Close)
	r := httptest.NewRequest(http.MethodGet, "/manage/destinations", nil)
	r.Header.Set("Authorization", "Bearer "+fakeToken)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	return gjson.ParseBytes(w.Body.Bytes())
}

func TestDestinationsTellWhatTheirDispatchersToldCloudWatch(t *testing.T) {
	a := openAccount(t)
	now := time.Now().UTC()
	hour := now.Truncate(time.Hour)
	ago := func(hours time.Duration, value float64) point { return point{hour.Add(-hours * time.Hour), value} }
	a.has("delivered", cloud.WayQueue, ago(15*24, 1000), ago(200, 7), ago(3, 5), ago(0, 1))
	a.has("retried", cloud.WayQueue, ago(200, 0), ago(3, 2), ago(0, 0))
	a.has("dead", cloud.WayQueue, ago(200, 0), ago(3, 0), ago(0, 0))
	minute := now.Truncate(time.Minute)
	a.has("ApproximateAgeOfOldestMessage", cloud.WayQueue, point{minute.Add(-time.Hour), 4000}, point{minute.Add(-5 * time.Minute), 30}, point{minute.Add(-2 * time.Minute), 210})
	a.has("ApproximateAgeOfOldestMessage", "unseen", point{minute.Add(-2 * time.Minute), 60})
	a.Put(cloud.WayQueue, "waits")

	all := destinationsOf(t, a, "LlmProxy/Test")
	hook, unseen := all.Get("1"), all.Get("0")
	require.Equal(t, "webhook", hook.Get("name").Str)
	for member, want := range map[string]string{"delivered": "13", "retried": "2", "dead": "0", "oldest_age_ms": "210000", "backlog": "1", "state": `"ok"`} {
		require.Equal(t, want, hook.Get(member).Raw, member)
	}
	require.Equal(t, hour.Add(-200*time.Hour), hook.Get("since").Time().UTC(), "the first hour of which anything is known")
	require.Equal(t, `"failing"`, unseen.Get("state").Raw)
	require.Equal(t, "60000", unseen.Get("oldest_age_ms").Raw)
	for _, member := range []string{"delivered", "retried", "dead", "since"} {
		require.False(t, unseen.Get(member).Exists(), "%s: nobody has told of that queue, which is not the same as zero", member)
	}

	asked := a.questions()
	require.Len(t, asked, 2*4)
	age, delivered := asked[0], asked[4]
	require.Equal(t, question{"AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", cloud.WayQueue, "Maximum", age.from, age.to, time.Minute}, age)
	require.Equal(t, question{"LlmProxy/Test", "delivered", "queue", cloud.WayQueue, "Sum", delivered.from, delivered.to, time.Hour}, delivered)
	require.Equal(t, 14*24*time.Hour+time.Hour, delivered.to.Sub(delivered.from), "as long as queues keep what is dead, and the hour that has begun")
	require.Equal(t, delivered.from, delivered.from.Truncate(time.Hour))
}

func TestWhereNoDispatcherTellsCloudWatchItIsAskedForAgesAlone(t *testing.T) {
	a := openAccount(t)
	a.has("delivered", cloud.WayQueue, point{time.Now().Truncate(time.Hour), 5})
	a.has("ApproximateAgeOfOldestMessage", cloud.WayQueue, point{time.Now().Truncate(time.Minute).Add(-time.Minute), 60})
	a.Put(cloud.WayQueue, "waits")
	hook := destinationsOf(t, a, "").Get("1")
	require.Equal(t, "60000", hook.Get("oldest_age_ms").Raw)
	require.False(t, hook.Get("delivered").Exists())
	require.Len(t, a.questions(), 2)
}

func TestWhereNothingWaitsAnyMoreThereIsNoOldest(t *testing.T) {
	a := openAccount(t)
	a.has("ApproximateAgeOfOldestMessage", cloud.WayQueue, point{time.Now().Truncate(time.Minute).Add(-2 * time.Minute), 60})
	hook := destinationsOf(t, a, "").Get("1")
	require.Equal(t, "0", hook.Get("backlog").Raw)
	require.False(t, hook.Get("oldest_age_ms").Exists())
}

func TestCloudWatchThatRefusesOrHangsCostsTheFiguresAlone(t *testing.T) {
	for name, fail := range map[string]func(*account){
		"refuses": func(a *account) { a.answers(true, nil) },
		"hangs":   func(a *account) { a.answers(false, make(chan struct{})) },
	} {
		t.Run(name, func(t *testing.T) {
			a := openAccount(t)
			a.has("delivered", cloud.WayQueue, point{time.Now().Truncate(time.Hour), 5})
			a.Put(cloud.WayQueue, "waits")
			fail(a)
			hook := destinationsOf(t, a, "LlmProxy/Test").Get("1")
			require.Equal(t, "1", hook.Get("backlog").Raw)
			require.Equal(t, `"ok"`, hook.Get("state").Raw)
			for _, member := range []string{"delivered", "retried", "dead", "since", "oldest_age_ms"} {
				require.False(t, hook.Get(member).Exists(), member)
			}
		})
	}
}

// readerOf reads of the account by a clock that the test moves.
func readerOf(t *testing.T, now *time.Time) (*metrics, *observer.ObservedLogs) {
	t.Helper()
	cfg, err := base.AWS()
	require.NoError(t, err)
	core, logged := observer.New(zap.InfoLevel)
	return &metrics{
		client: cloudwatch.NewFromConfig(cfg), namespace: "LlmProxy/Test", queues: map[string]string{"webhook": "queue"}, log: zap.New(core), now: func() time.Time { return *now },
	}, logged
}

func TestCloudWatchIsAskedOnceAMinute(t *testing.T) {
	a := openAccount(t)
	now := time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)
	m, logged := readerOf(t, &now)
	a.has("delivered", "queue", point{now.Truncate(time.Hour), 5})
	require.EqualValues(t, 5, *m.current(t.Context())["webhook"].delivered)
	require.Len(t, a.questions(), 4)
	a.has("delivered", "queue", point{now.Truncate(time.Hour), 6})
	now = now.Add(59 * time.Second)
	require.EqualValues(t, 5, *m.current(t.Context())["webhook"].delivered)
	require.Empty(t, a.questions())
	now = now.Add(time.Second)
	require.EqualValues(t, 6, *m.current(t.Context())["webhook"].delivered)
	require.Len(t, a.questions(), 4)
	require.Empty(t, logged.All())

	a.answers(true, nil)
	now = now.Add(time.Minute)
	require.Empty(t, m.current(t.Context()), "what was known a while ago is not known any more")
	require.Empty(t, m.current(t.Context()))
	require.Len(t, logged.All(), 1, "a failure is logged when it is met, and not each time that somebody looks")
	require.Contains(t, logged.All()[0].ContextMap()["error"], "AccessDenied")
	now = now.Add(time.Minute)
	require.Empty(t, m.current(t.Context()))
	require.Len(t, logged.All(), 2)
	a.answers(false, nil)
	now = now.Add(time.Minute)
	require.EqualValues(t, 6, *m.current(t.Context())["webhook"].delivered)
}

func TestAMetricOfWhichNotAllIsToldIsUnknown(t *testing.T) {
	a := openAccount(t)
	now := time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)
	m, logged := readerOf(t, &now)
	a.has("delivered", "queue", point{now.Truncate(time.Hour), 5})
	a.has("dead", "queue", point{now.Truncate(time.Hour), 1})
	a.status["delivered queue"] = "InternalError"
	hook := m.current(t.Context())["webhook"]
	require.Nil(t, hook.delivered)
	require.EqualValues(t, 1, *hook.dead)
	require.Len(t, logged.All(), 1)
	require.Contains(t, logged.All()[0].ContextMap()["error"], "delivered of queue: InternalError")
}

func TestWithoutDestinationsCloudWatchIsNotAsked(t *testing.T) {
	a := openAccount(t)
	now := time.Now()
	m, logged := readerOf(t, &now)
	m.queues = nil
	require.Empty(t, m.current(t.Context()))
	require.Empty(t, a.questions())
	require.Empty(t, logged.All())
}

func TestANamespaceThatCloudWatchDoesNotTakeIsRefused(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1")
	_, _, err := join([]string{
		"LLM_PROXY_TOKENS_TABLE=t", "LLM_PROXY_CONTROL_TABLE=c", "LLM_PROXY_EVENT_BUS=events", "LLM_PROXY_KEYS_PREFIX=k/", "LLM_PROXY_SEALING_PUBLIC_KEY=" + testPublicKey,
		"MANAGEMENT_TOKEN=" + fakeToken, "LLM_PROXY_DELIVERY_NAMESPACE=a b",
	})
	require.ErrorContains(t, err, "LLM_PROXY_DELIVERY_NAMESPACE")
}
