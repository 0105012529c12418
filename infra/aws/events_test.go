//go:build linux

package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrictypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bustypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// backends are the services behind destinations, on one address: /hook, Helicone and Lunary. They keep the ids of events in the order
// in which they came, and refuse as they are told.
type backends struct {
	*httptest.Server
	mu     sync.Mutex
	took   map[string][]string // by service
	calls  map[string]int      // likewise, those that were refused included
	refuse map[string]int      // status by service
}

func startBackends(t *testing.T) *backends {
	b := &backends{took: map[string][]string{}, calls: map[string]int{}, refuse: map[string]int{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *backends) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	service, ids, reply := "webhook", []string{gjson.GetBytes(body, "id").Str}, ""
	switch {
	case strings.HasSuffix(r.URL.Path, "/v1/log"):
		service, ids, reply = "helicone", []string{gjson.GetBytes(body, "providerRequest.meta.Helicone-Property-Event").Str}, "ok"
	case strings.HasSuffix(r.URL.Path, "/v1/runs/ingest"):
		service, ids = "lunary", nil
		var results []string
		for _, e := range gjson.GetBytes(body, "events").Array() {
			if e.Get("event").Str == "start" {
				ids = append(ids, e.Get("runId").Str)
			}
			results = append(results, fmt.Sprintf(`{"id":%q,"success":true}`, e.Get("runId").Str))
		}
		reply = `{"results":[` + strings.Join(results, ",") + `]}`
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[service]++
	if status := b.refuse[service]; status != 0 {
		http.Error(w, "not like this", status)
		return
	}
	b.took[service] = append(b.took[service], ids...)
	_, _ = io.WriteString(w, reply)
}

func (b *backends) set(service string, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse[service] = status
}

// times is how often a service took an event.
func (b *backends) times(service, id string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, took := range b.took[service] {
		if took == id {
			n++
		}
	}
	return n
}

func (b *backends) called(service string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[service]
}

// arrives waits until a service has taken an event as often.
func (s *stack) arrives(b *backends, service, id string, times int) {
	s.t.Helper()
	s.await(fmt.Sprintf("%s at %s, %d times", id, service, times), patience, func() error {
		if n := b.times(service, id); n < times {
			return fmt.Errorf("it was there %d times", n)
		}
		return nil
	})
}

// depth is how many messages are in a queue.
func (s *stack) depth(url string) int {
	s.t.Helper()
	out, err := sqs.NewFromConfig(s.config()).GetQueueAttributes(s.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{"All"}})
	require.NoError(s.t, err)
	n := 0
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
		var part int
		_, err := fmt.Sscan(out.Attributes[name], &part)
		require.NoError(s.t, err)
		n += part
	}
	return n
}

// deepens waits until a queue has so many messages.
func (s *stack) deepens(url string, n int) {
	s.t.Helper()
	s.await(fmt.Sprintf("%d messages in %s", n, url), patience, func() error {
		if got := s.depth(url); got != n {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}

// lambda calls the API of functions, which is plain HTTP.
func (s *stack) lambda(method, path, body string, header ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/2015-03-31/functions/"+path, strings.NewReader(body))
	require.NoError(s.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=fake")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	a := answer{resp.StatusCode, readAll(resp), resp.Header}
	require.Less(s.t, a.status, 300, "%s %s: %s", method, path, a.body)
	return a
}

// program is llm-proxy, built for this test with the flags of make build, which has compiled it then.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "llm-proxy")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./local/llm-proxy")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// llmproxy runs a command line against the emulator and returns what it printed.
func (s *stack) llmproxy(program string, environ []string, args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, "--data-dir", s.t.TempDir())...)
	cmd.Env = append(slices.Clone(s.env), environ...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("llm-proxy %q: %w\n%s", args, err, out)
	}
	return string(out), err
}

// keep stores a secret and returns its ARN.
func (e *emulator) keep(name, value string) string {
	e.t.Helper()
	out, err := secretsmanager.NewFromConfig(e.config()).CreateSecret(e.t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	require.NoError(e.t, err)
	return *out.ARN
}

// otherQueue is behind the bus of [emulator.otherBus].
const otherQueue = "other-queue"

// otherBus makes a bus that is not the stack's, with a queue that takes all of it, and returns its ARN.
func (e *emulator) otherBus() string {
	e.t.Helper()
	ctx, buses := e.t.Context(), eventbridge.NewFromConfig(e.config())
	bus, err := buses.CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: sdk.String("other-bus")})
	require.NoError(e.t, err)
	_, err = sqs.NewFromConfig(e.config()).CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: sdk.String(otherQueue)})
	require.NoError(e.t, err)
	_, err = buses.PutRule(ctx, &eventbridge.PutRuleInput{Name: sdk.String("all"), EventBusName: sdk.String("other-bus"), EventPattern: sdk.String(`{"source":["llm-proxy"]}`)})
	require.NoError(e.t, err)
	_, err = buses.PutTargets(ctx, &eventbridge.PutTargetsInput{
		Rule: sdk.String("all"), EventBusName: sdk.String("other-bus"), Targets: []bustypes.Target{{Id: sdk.String("queue"), Arn: sdk.String("arn:aws:sqs:us-east-1:000000000000:" + otherQueue)}},
	})
	require.NoError(e.t, err)
	return *bus.EventBusArn
}

// reachesOther waits until the other bus has brought an event that is such a one, and returns it.
func (s *stack) reachesOther(what string, is func(gjson.Result) bool) (found gjson.Result) {
	s.t.Helper()
	queues := sqs.NewFromConfig(s.config())
	url, err := queues.GetQueueUrl(s.t.Context(), &sqs.GetQueueUrlInput{QueueName: sdk.String(otherQueue)})
	require.NoError(s.t, err)
	seen := 0
	s.await(what+" on the other bus", patience, func() error {
		out, err := queues.ReceiveMessage(s.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url.QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 1})
		if err != nil {
			return err
		}
		for _, m := range out.Messages {
			seen++
			if e := gjson.Parse(*m.Body); is(e) {
				found = e
				return nil
			}
		}
		return fmt.Errorf("it is not among the %d that came", seen)
	})
	return found
}

// startEvents deploys a stack with all destinations and with times that a test can wait for.
func startEvents(t *testing.T) (*stack, *backends) {
	upstream, b, e := demo.Serve(t), startBackends(t), startEmulator(t)
	secrets := map[string]string{
		"WebhookSecret":  `{"LLM_PROXY_WEBHOOK_URL":"` + b.URL + `/hook"}`,
		"HeliconeSecret": `{"HELICONE_API_KEY":"sk-fake-helicone","LLM_PROXY_HELICONE_URL":"` + b.URL + `"}`,
		"LunarySecret":   `{"LUNARY_PUBLIC_KEY":"00000000-fake-0000-0000-000000000000","LLM_PROXY_LUNARY_URL":"` + b.URL + `"}`,
	}
	parameters := []string{"CloudWatchEvents=true", "MetricsNamespace=LlmProxy/Test", "TargetBus=" + e.otherBus()}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		parameters = append(parameters, name+"="+e.keep(name, secrets[name]))
	}
	out := e.deployer(upstream.URL)(parameters...)
	s := &stack{emulator: e, out: out, token: e.secret(out["ManagementTokenSecret"], "management_token")}
	// Five tries of an event take hours otherwise.
	for _, name := range []string{"WebhookDispatcher", "HeliconeDispatcher"} {
		function := s.physical(name)
		environment := gjson.Get(s.lambda(http.MethodGet, function+"/configuration", "").body, "Environment.Variables")
		require.True(t, environment.IsObject())
		variables := strings.TrimSuffix(strings.TrimSpace(environment.Raw), "}") + `,"LLM_PROXY_DISPATCHER_PAUSE":"10ms"}`
		s.lambda(http.MethodPut, function+"/configuration", `{"Environment":{"Variables":`+variables+`}}`)
	}
	return s, b
}

// makeMetrics does with a function's log what CloudWatch does, and the emulator does not: it makes metrics of the lines that are in the
// embedded metric format. It returns of how many.
func (s *stack) makeMetrics(group string) (lines int) {
	s.t.Helper()
	out, err := cloudwatchlogs.NewFromConfig(s.config()).FilterLogEvents(s.t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group})
	require.NoError(s.t, err)
	for _, e := range out.Events {
		line := gjson.Parse(*e.Message)
		for _, directive := range line.Get("_aws.CloudWatchMetrics").Array() {
			lines++
			in := &cloudwatch.PutMetricDataInput{Namespace: sdk.String(directive.Get("Namespace").Str)}
			for _, m := range directive.Get("Metrics").Array() {
				datum := metrictypes.MetricDatum{
					MetricName: sdk.String(m.Get("Name").Str), Value: sdk.Float64(line.Get(m.Get("Name").Str).Num), Timestamp: sdk.Time(time.UnixMilli(line.Get("_aws.Timestamp").Int())),
				}
				for _, name := range directive.Get("Dimensions.0").Array() {
					datum.Dimensions = append(datum.Dimensions, metrictypes.Dimension{Name: sdk.String(name.Str), Value: sdk.String(line.Get(name.Str).Str)})
				}
				in.MetricData = append(in.MetricData, datum)
			}
			_, err := cloudwatch.NewFromConfig(s.config()).PutMetricData(s.t.Context(), in)
			require.NoError(s.t, err)
		}
	}
	return lines
}

// TestEventsReachEachDestination follows events of the deployed stack from the bus, by rule, queue and function, to each destination.
func TestEventsReachEachDestination(t *testing.T) {
	t.Parallel()
	s, b := startEvents(t)
	token, tokenID := s.mint()
	logs := cloudwatchlogs.NewFromConfig(s.config())
	queues := sqs.NewFromConfig(s.config())

	id := s.chatID(token)
	for _, service := range []string{"webhook", "helicone", "lunary"} {
		s.arrives(b, service, id, 1)
	}
	require.Equal(t, "complete", s.record(id).Get("outcome").Str)
	group := s.physical("EventsLog")
	s.await("the record in the log of events", patience, func() error {
		out, err := logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group})
		if err != nil {
			return err
		}
		for _, e := range out.Events {
			if gjson.Get(*e.Message, "id").Str == id {
				require.Equal(t, "LlmProxy/Test", gjson.Get(*e.Message, "_aws.CloudWatchMetrics.0.Namespace").Str)
				return nil
			}
		}
		return fmt.Errorf("it is not among %d lines", len(out.Events))
	})

	t.Run("management shows what dispatchers told CloudWatch", func(t *testing.T) {
		s := s.in(t)
		s.await("metrics of the webhook's queue", patience, func() error {
			if n := s.makeMetrics(s.physical("WebhookDispatcherLog")); n == 0 {
				return errors.New("its dispatcher has told of no batch")
			}
			return nil
		})
		_, err := cloudwatch.NewFromConfig(s.config()).PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: sdk.String("AWS/SQS"), MetricData: []metrictypes.MetricDatum{{
			MetricName: sdk.String("ApproximateAgeOfOldestMessage"), Value: sdk.Float64(7), Dimensions: []metrictypes.Dimension{{Name: sdk.String("QueueName"), Value: sdk.String(path.Base(s.physical("LunaryQueue")))}},
		}}})
		require.NoError(t, err)
		all := s.manage(http.MethodGet, "/manage/destinations", "", http.StatusOK)
		hook := all.Get(`#(name=="webhook")`)
		require.Positive(t, hook.Get("delivered").Int(), hook.Raw)
		require.Equal(t, "0", hook.Get("dead").Raw, hook.Raw)
		require.Equal(t, "0", hook.Get("retried").Raw, hook.Raw)
		require.WithinDuration(t, time.Now(), hook.Get("since").Time(), 3*time.Hour)
		lunary := all.Get(`#(name=="lunary")`)
		require.False(t, lunary.Get("delivered").Exists(), "no metric was made of what its dispatcher told: %s", lunary.Raw)
		require.False(t, lunary.Get("oldest_age_ms").Exists(), "nothing waits any more: %s", lunary.Raw)
	})

	cli := program(t)
	bus := s.out["EventBusName"]
	webhookQueue, webhookDead := s.physical("WebhookQueue"), s.physical("WebhookDead")

	t.Run("what the destination refuses is a dead letter with its reason, and is sent again", func(t *testing.T) {
		s := s.in(t)
		b.set("webhook", http.StatusBadRequest)
		poison := s.chatID(token)
		s.arrives(b, "lunary", poison, 1) // others are not held up
		s.deepens(webhookDead, 1)
		listed, err := s.llmproxy(cli, nil, "dispatcher", "dead-letters", "list", "--service", "webhook", "--bus", "eventbridge", "--event-bus", bus)
		require.NoError(t, err)
		require.Contains(t, listed, poison)
		require.Contains(t, listed, "status 400")
		shown, err := s.llmproxy(cli, nil, "dispatcher", "dead-letters", "show", "--service", "webhook", "--queue", webhookQueue, poison)
		require.NoError(t, err)
		require.Equal(t, poison, gjson.Get(shown, "event.id").Str)
		b.set("webhook", 0)
		said, err := s.llmproxy(cli, nil, "dispatcher", "redrive", "--service", "webhook", "--bus", "eventbridge", "--event-bus", bus)
		require.NoError(t, err)
		require.Contains(t, said, "moved 1 dead letters back")
		s.arrives(b, "webhook", poison, 1)
		s.deepens(webhookDead, 0)
	})

	t.Run("another bus hears of requests and of what operators change", func(t *testing.T) {
		s := s.in(t)
		request := s.reachesOther("the request", func(e gjson.Result) bool { return e.Get("detail.id").Str == id })
		require.Equal(t, "request", request.Get("detail-type").Str)
		require.Positive(t, request.Get("detail.usage.total").Int())
		change := s.reachesOther("the minting of the token", func(e gjson.Result) bool {
			return e.Get("detail-type").Str == "audit" && e.Get("detail.token_id").Str == tokenID
		})
		require.Equal(t, "done", change.Get("detail.outcome").Str)
	})

	t.Run("management answers usage and requests from the ledger", func(t *testing.T) {
		s := s.in(t)
		s.await("the request in the ledger", patience, func() error {
			if got := s.manage(http.MethodGet, "/manage/requests?limit=100", "", http.StatusOK); !got.Get(`#(id=="` + id + `")`).Exists() {
				return fmt.Errorf("it is not among %d", len(got.Array()))
			}
			return nil
		})
		one := s.manage(http.MethodGet, "/manage/requests/"+id, "", http.StatusOK)
		require.Equal(t, "complete", one.Get("outcome").Str)
		require.Equal(t, tokenID, one.Get("token_id").Str)
		require.Len(t, s.manage(http.MethodGet, "/manage/requests?status=200&limit=1&token_id="+tokenID, "", http.StatusOK).Array(), 1)
		failed := s.chat(token, "status=404")
		require.Equal(t, http.StatusBadGateway, failed.status, "the error says provider, as the fake key does, so it is not passed on: %s", failed.body)
		failedID := failed.header.Get("X-Llm-Proxy-Request-Id")
		s.await("the failed request in the ledger", patience, func() error {
			if got := s.manage(http.MethodGet, "/manage/requests?status=5xx", "", http.StatusOK); got.Get("0.id").Str != failedID {
				return fmt.Errorf("what failed is %s", got.Raw)
			}
			return nil
		})
		usage := s.manage(http.MethodGet, "/manage/usage?group_by=token_id", "", http.StatusOK)
		all := s.manage(http.MethodGet, "/manage/requests?limit=100&token_id="+tokenID, "", http.StatusOK).Array()
		sum := int64(0)
		for _, r := range all {
			sum += r.Get("usage.total").Int()
		}
		require.Positive(t, sum)
		of := usage.Get(`rows.#(token_id=="` + tokenID + `")`)
		require.EqualValues(t, len(all), of.Get("requests").Int(), usage.Raw)
		require.Equal(t, sum, of.Get("usage.total").Int(), usage.Raw)
		require.EqualValues(t, 1, of.Get("errors").Int(), usage.Raw)
		s.manage(http.MethodPost, "/manage/destinations/ledger/test", "", http.StatusConflict)
	})

	t.Run("management tells of destinations, tests them and has dead letters sent again", func(t *testing.T) {
		s := s.in(t)
		var names []string
		for _, d := range s.manage(http.MethodGet, "/manage/destinations", "", http.StatusOK).Array() {
			names = append(names, d.Get("name").Str)
			require.True(t, d.Get("backlog").Exists(), d.Raw)
			require.Zero(t, d.Get("dead_letters").Int(), d.Raw)
		}
		require.Equal(t, []string{"cloudwatch", "eventbridge", "helicone", "ledger", "lunary", "s3", "webhook"}, names)
		b.set("webhook", http.StatusBadRequest)
		tested := s.manage(http.MethodPost, "/manage/destinations/webhook/test", "", http.StatusOK)
		require.Equal(t, "queued", tested.Get("result").Str)
		s.deepens(webhookDead, 1)
		b.set("webhook", 0)
		require.EqualValues(t, 1, s.manage(http.MethodPost, "/manage/destinations/webhook/redrive", "", http.StatusAccepted).Get("dead_letters").Int())
		s.arrives(b, "webhook", tested.Get("event_id").Str, 1)
		s.manage(http.MethodPost, "/manage/destinations/pigeon/test", "", http.StatusNotFound)
	})

	t.Run("what comes in vain five times is a dead letter", func(t *testing.T) {
		s := s.in(t)
		b.set("helicone", http.StatusInternalServerError)
		before := b.called("helicone")
		id := s.chatID(token)
		s.deepens(s.physical("HeliconeDead"), 1)
		require.Equal(t, 5*3, b.called("helicone")-before, "three tries at each of five receives")
		require.Zero(t, b.times("helicone", id))
		listed, err := s.llmproxy(cli, nil, "dispatcher", "dead-letters", "list", "--service", "helicone", "--bus", "eventbridge", "--event-bus", bus)
		require.NoError(t, err)
		require.Contains(t, listed, id+"\t0\t\"came in vain too often")
		b.set("helicone", 0)
		_, err = s.llmproxy(cli, nil, "dispatcher", "redrive", "--service", "helicone", "--bus", "eventbridge", "--event-bus", bus)
		require.NoError(t, err)
		s.arrives(b, "helicone", id, 1)
	})

	t.Run("what the archive has is replayed to a rule", func(t *testing.T) {
		s := s.in(t)
		buses := eventbridge.NewFromConfig(s.config())
		replay := func() (string, error) {
			return s.llmproxy(cli, nil, "dispatcher", "replay", "--service", "webhook", "--bus", "eventbridge", "--event-bus", bus, "--from", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
		}
		_, err := replay()
		require.ErrorContains(t, err, "an archive of the bus")
		require.ErrorContains(t, err, "exit status 3")
		found, err := buses.DescribeEventBus(t.Context(), &eventbridge.DescribeEventBusInput{Name: &bus})
		require.NoError(t, err)
		_, err = buses.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: sdk.String("archive"), EventSourceArn: found.Arn, EventPattern: sdk.String(`{"source":["llm-proxy"]}`)})
		require.NoError(t, err)
		id := s.chatID(token)
		s.arrives(b, "webhook", id, 1)
		said, err := replay()
		require.NoError(t, err)
		require.Contains(t, said, " completed")
		s.arrives(b, "webhook", id, 2)
		// The emulator replays to all rules. That the one alone is asked for is shown in package route.
	})

	t.Run("a process of its own empties a queue", func(t *testing.T) {
		s := s.in(t)
		out, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: sdk.String("own-dead")})
		require.NoError(t, err)
		dead := *out.QueueUrl
		out, err = queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: sdk.String("own"), Attributes: map[string]string{
			"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:own-dead","maxReceiveCount":5}`,
		}})
		require.NoError(t, err)
		own := *out.QueueUrl
		var ids []string
		for range 25 {
			e := &llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Time: time.Now(), Method: "GET", Path: "/v1/models", Outcome: llmproxy.Complete}
			ids = append(ids, e.ID.String())
			_, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &own, MessageBody: sdk.String(`{"detail":` + string(e.AppendJSON(nil)) + `}`)})
			require.NoError(t, err)
		}
		_, err = queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &own, MessageBody: sdk.String("junk")})
		require.NoError(t, err)
		hook := []string{"LLM_PROXY_WEBHOOK_URL=" + b.URL + "/hook"}
		b.set("webhook", http.StatusServiceUnavailable)
		_, err = s.llmproxy(cli, hook, "dispatcher", "--service", "webhook", "--queue", own, "--once", "--pause", "1s")
		require.ErrorContains(t, err, "exit status 4")
		require.Equal(t, 25, s.depth(own), "nothing is deleted that was not delivered")
		require.Equal(t, 1, s.depth(dead))
		b.set("webhook", 0)
		s.await("all of the queue at the webhook", patience, func() error {
			_, err := s.llmproxy(cli, hook, "dispatcher", "--service", "webhook", "--queue", own, "--once")
			if err == nil && s.depth(own) > 0 {
				err = errors.New("some are hidden still")
			}
			return err
		})
		for _, id := range ids {
			require.Equal(t, 1, b.times("webhook", id))
		}
	})

	t.Run("an answer of 5 MB leaves an event whose bodies lie in the bucket", func(t *testing.T) {
		s := s.in(t)
		large := s.chat(token, "size=5000000")
		require.Equal(t, http.StatusOK, large.status)
		require.Greater(t, len(large.body), 5_000_000)
		id := large.header.Get("X-Llm-Proxy-Request-Id")
		s.arrives(b, "webhook", id, 1)
		record := s.record(id)
		require.Greater(t, record.Get("response.bytes").Int(), int64(5_000_000))
		require.True(t, record.Get("response.body.truncated").Bool(), record.Get("response.body.size").Raw)
		require.Equal(t, record.Get("response.bytes").Int(), record.Get("response.body.size").Int())
		require.Positive(t, record.Get("usage.total").Int(), "usage stands at the end, which is kept")
		var claimed []string
		for _, key := range s.contents(s.out["EventBucketName"]) {
			if strings.HasPrefix(key, "events/") {
				claimed = append(claimed, key)
			}
		}
		require.Len(t, claimed, 1)
		require.Contains(t, claimed[0], id)
		object, err := s3.NewFromConfig(s.config(), func(o *s3.Options) { o.UsePathStyle = true }).GetObject(t.Context(), &s3.GetObjectInput{Bucket: sdk.String(s.out["EventBucketName"]), Key: &claimed[0]})
		require.NoError(t, err)
		whole, err := io.ReadAll(object.Body)
		require.NoError(t, err)
		require.Greater(t, len(whole), 200<<10)
		require.Less(t, len(whole), 1<<20, "what capture kept, no more")
		require.Equal(t, id, gjson.GetBytes(whole, "id").Str)
	})

	t.Run("events that did not reach the bus are brought there", func(t *testing.T) {
		s := s.in(t)
		event := func(ago time.Duration) *llmproxy.Event {
			at := time.Now().Add(-ago)
			return &llmproxy.Event{ID: llmproxy.NewEventID(at), Time: at, Method: "POST", Path: "/v1/chat/completions", Status: 200, Outcome: llmproxy.Complete}
		}
		spilled := event(0)
		_, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: sdk.String(s.physical("Spill")), MessageBody: sdk.String(`{"source":"llm-proxy","detail-type":"request","detail":` + string(spilled.AppendJSON(nil)) + `}`),
		})
		require.NoError(t, err)
		s.arrives(b, "webhook", spilled.ID.String(), 1)

		group, stream := s.physical("ProxyLog"), sdk.String("test")
		_, err = logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: stream})
		require.NoError(t, err)
		put := func(at time.Time, line string) {
			_, err := logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{
				LogGroupName: &group, LogStreamName: stream, LogEvents: []logtypes.InputLogEvent{{Timestamp: sdk.Int64(at.UnixMilli()), Message: &line}},
			})
			require.NoError(t, err)
		}
		left := event(0)
		// The emulator knows no patterns for JSON: it looks for the pattern's words.
		put(time.Now(), `{"event":`+string(left.AppendMeta(nil))+`,"words":".event.id"}`)
		s.arrives(b, "webhook", left.ID.String(), 1)

		lost := event(time.Hour)
		begin := llmproxy.Begin{ID: lost.ID, Time: lost.Time, TokenID: llmproxy.NewTokenID(lost.Time), ProjectID: llmproxy.NewProjectID(lost.Time), Method: "POST", Path: lost.Path}
		put(begin.Time, string(begin.AppendJSON(nil)))
		redrive := s.physical("Redrive")
		a := s.lambda(http.MethodPost, redrive+"/invocations", `{"source":"aws.events","detail-type":"Scheduled Event"}`)
		require.EqualValues(t, 1, gjson.Get(a.body, "lost").Int(), a.body)
		s.arrives(b, "webhook", lost.ID.String(), 1)
		require.Equal(t, "lost", s.record(lost.ID.String()).Get("outcome").Str)

		// What it fails at, called by nobody who could hear of it, is kept.
		before := s.depth(s.physical("SpillDead"))
		s.lambda(http.MethodPost, redrive+"/invocations", `{"nobody":"knows"}`, "X-Amz-Invocation-Type", "Event")
		s.deepens(s.physical("SpillDead"), before+1)
	})
}

// in is the stack for a part of a test.
func (s *stack) in(t *testing.T) *stack {
	e := *s.emulator
	e.t = t
	return &stack{emulator: &e, out: s.out, token: s.token}
}
