package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo"
	standin "github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/lambdahost"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
)

// engine is DynamoDB Local, started when the first test asks for it. It ends with this process.
var engine struct {
	sync.Once
	*dynamolocal.Server
	err error
}

// account is an AWS account with what a stack has, of which AWS's own settings in the environment tell.
type account struct {
	t *testing.T
	*standin.Cloud
	upstream *demo.Server
	env      map[string]string // of a server that uses all of it
}

const fakeProviderKey = "sk-fake-provider-key-of-a-stack"

// newAccount makes one. It has no tables yet.
func newAccount(t *testing.T) *account {
	t.Helper()
	a := &account{t: t, Cloud: &standin.Cloud{Secrets: map[string]string{
		"stack-sealing": seal.NewSecret().Reveal(), "other-sealing": seal.NewSecret().Reveal(), "stack/keys/openai": fakeProviderKey,
	}}, upstream: demo.Serve(t)}
	server := httptest.NewServer(a.Cloud)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": "fake",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	providers := filepath.Join(t.TempDir(), "providers.yaml")
	require.NoError(t, os.WriteFile(providers, fmt.Appendf(nil, "default: openai\nproviders:\n  openai:\n    preset: openai\n    base_url: %s\n", a.upstream.URL), 0o600))
	a.env = map[string]string{
		"LLM_PROXY_PROVIDERS": providers,
		"LLM_PROXY_BUS":       "eventbridge", "LLM_PROXY_EVENT_BUS": "stack-bus", "LLM_PROXY_SPILL_QUEUE": server.URL + "/stack-spill", "LLM_PROXY_EVENT_BUCKET": "stack-bodies",
	}
	return a
}

// withTables adds a store, or skips the test where there is no engine.
func (a *account) withTables() *account {
	a.t.Helper()
	engine.Do(func() { engine.Server, engine.err = dynamolocal.Start(context.Background()) })
	if engine.err != nil {
		a.t.Skipf("SKIPPED, a store on AWS needs an engine: %v", engine.err)
	}
	a.t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", engine.URL)
	name := strings.NewReplacer("/", "-", " ", "-").Replace(a.t.Name())
	maps.Copy(a.env, map[string]string{
		"LLM_PROXY_STORE": "dynamodb", "LLM_PROXY_TOKENS_TABLE": name + "-tokens", "LLM_PROXY_CONTROL_TABLE": name + "-control",
		"LLM_PROXY_SEALING_SECRET": "stack-sealing", "LLM_PROXY_KEYS_PREFIX": "stack/keys/",
	})
	a.tables(nil)
	return a
}

// with are the account's settings, some of them changed.
func (a *account) with(more map[string]string) map[string]string {
	env := maps.Clone(a.env)
	maps.Copy(env, more)
	return env
}

// tables makes the tables of the settings, some of them changed, and returns the store over them.
func (a *account) tables(more map[string]string) *dynamo.Store {
	a.t.Helper()
	env := a.with(more)
	store := dynamo.New(engine.Config(), dynamo.Config{Tokens: env["LLM_PROXY_TOKENS_TABLE"], Control: env["LLM_PROXY_CONTROL_TABLE"], ChangeBudget: time.Minute})
	require.NoError(a.t, store.CreateTables(a.t.Context()))
	a.t.Cleanup(func() { require.NoError(a.t, store.Close()) })
	return store
}

// service is a management of the account that is not a server's.
func (a *account) service() *manage.Service {
	a.t.Helper()
	public, err := seal.PublicKey(llmproxy.NewSecret(a.Secrets["stack-sealing"]))
	require.NoError(a.t, err)
	sealer, err := seal.NewSealer(public)
	require.NoError(a.t, err)
	return manage.New(manage.Config{Store: a.tables(nil), Sealer: sealer, Providers: []string{"openai"}, Default: "openai"})
}

// mint makes a project and a token with a cap.
func (a *account) mint(service *manage.Service, most int64) (llmproxy.Token, string) {
	a.t.Helper()
	project, err := service.CreateProject(a.t.Context(), llmproxy.Actor{Name: "test"}, manage.NewProject{Name: "Team", APIKey: llmproxy.NewSecret(fakeProviderKey)})
	require.NoError(a.t, err)
	token, secret, err := service.MintToken(a.t.Context(), llmproxy.Actor{Name: "test"}, manage.NewToken{
		ProjectID: project.ID, DurationMinutes: 60, MaxRequests: &manage.Limit{N: most}, RequestsPerHour: &manage.Limit{None: true},
	})
	require.NoError(a.t, err)
	return token, secret.Reveal()
}

// server starts a server on the account.
func (a *account) server(more map[string]string) *testServer {
	a.t.Helper()
	return startPlain(a.t, a.with(more))
}

// published waits until a place has an event of that path, and returns it.
func (a *account) published(where standin.Place, id string) (by string, event gjson.Result) {
	a.t.Helper()
	require.Eventually(a.t, func() bool {
		for _, r := range a.Records(where) {
			if e := gjson.ParseBytes(r.JSON); e.Get("id").Str == id {
				by, event = r.By, e
				return true
			}
		}
		return false
	}, patience, flushEvery/10, "no event %s in the %s", id, where)
	return by, event
}

// eventID is the id of an answer's event.
func eventID(res *http.Response) string { return res.Header.Get("X-Llm-Proxy-Request-Id") }

// mint makes a project and a token through a server's management.
func (s *testServer) mint() string {
	s.t.Helper()
	status, project := s.manage("projects", `{"name":"Team","api_key":"`+fakeProviderKey+`"}`)
	require.Equal(s.t, http.StatusCreated, status, project.Raw)
	status, token := s.manage("tokens", `{"project_id":"`+project.Get("project_id").Str+`","duration_minutes":60}`)
	require.Equal(s.t, http.StatusCreated, status, token.Raw)
	return token.Get("token").Str
}

// manage posts to a server's management and returns the answer.
func (s *testServer) manage(what, body string) (status int, answer gjson.Result) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/manage/"+what, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer fake-management-token-of-32-chars")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	var raw json.RawMessage
	require.NoError(s.t, json.NewDecoder(res.Body).Decode(&raw))
	return res.StatusCode, gjson.ParseBytes(raw)
}

func TestWhatAStackLacksIsNamedAtOnce(t *testing.T) {
	_, err := parseSettings(map[string]string{"LLM_PROXY_STORE": "dynamodb", "LLM_PROXY_BUS": "eventbridge", "LLM_PROXY_EVENT_LOG": "events.jsonl", "LLM_PROXY_EVENT_BUS": "there"})
	for _, name := range []string{"TOKENS_TABLE", "CONTROL_TABLE", "SEALING_SECRET", "SPILL_QUEUE", "EVENT_BUCKET", "EVENT_LOG"} {
		require.ErrorContains(t, err, "(LLM_PROXY_"+name+")")
	}
	require.NotContains(t, err.Error(), "LLM_PROXY_EVENT_BUS")
	var exit *exitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitUsage, exit.code)
	_, err = parseSettings(map[string]string{"LLM_PROXY_STORE": "dynamodb", "LLM_PROXY_TOKENS_TABLE": "t", "LLM_PROXY_CONTROL_TABLE": "c", "LLM_PROXY_SEALING_SECRET": "s"})
	require.NoError(t, err, "a bus is another matter")
}

func TestAServerOfAStackNeedsARegion(t *testing.T) {
	a := newAccount(t)
	t.Setenv("AWS_REGION", "")
	_, err := tryStart(t, a.env)
	require.ErrorContains(t, err, "AWS_REGION")
}

func TestTheDemoAndTheBackgroundAreNotForAStack(t *testing.T) {
	a := newAccount(t)
	for name, value := range a.env {
		t.Setenv(name, value)
	}
	t.Setenv("LLM_PROXY_DATA_DIR", t.TempDir())
	for args, says := range map[string]string{"--demo": "--demo keeps all it needs on this machine", "-d": "leave -d out"} {
		cmd := newServerCommand()
		cmd.SetArgs([]string{args})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		require.ErrorContains(t, cmd.ExecuteContext(t.Context()), says)
	}
	t.Setenv("LLM_PROXY_STORE", "dynamodb")
	for _, name := range []string{"TOKENS_TABLE", "CONTROL_TABLE", "SEALING_SECRET"} {
		t.Setenv("LLM_PROXY_"+name, "x")
	}
	cmd := newSetupCommand()
	cmd.SetArgs([]string{"--non-interactive"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	require.ErrorContains(t, cmd.ExecuteContext(t.Context()), "llm-proxy manage project create")
}

func TestAServerSaysThatItsBusIsIllUntilItIsWellAgain(t *testing.T) {
	a := newAccount(t)
	s := a.server(nil)
	s.token = s.mint()
	running, err := findServer(s.settings.PIDFile)
	require.NoError(t, err)
	says := func(words string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(get(t, running.MetricsURL+"/health", http.StatusOK), words) }, patience, flushEvery/10, words)
	}
	says(`"status":"ok"`)

	a.Make(standin.Illness{Bus: true})
	id := eventID(s.send(http.MethodGet, "/v1/models", ""))
	_, spilled := a.published(standin.Queue, id)
	require.Equal(t, "/v1/models", spilled.Get("path").Str)
	says("event bus: the bus did not take events, the spill queue has got 1")
	require.Contains(t, get(t, s.url+"/health", http.StatusOK), `"status":"degraded"`)

	a.Make(standin.Illness{Bus: true, Queue: true})
	id = eventID(s.send(http.MethodGet, "/v1/models", ""))
	says("neither bus nor spill queue took events, standard output has 1 without their bodies")
	require.Contains(t, s.lines.String(), `{"begin":"`+id)
	require.Contains(t, s.lines.String(), `{"event":{"version":1,"id":"`+id)
	require.NotContains(t, s.lines.String(), `{"end":"`+id)

	a.Make(standin.Illness{})
	a.published(standin.Bus, eventID(s.send(http.MethodGet, "/v1/models", "")))
	says(`"status":"ok"`)
	counted := get(t, running.MetricsURL+"/metrics", http.StatusOK)
	for _, line := range []string{"llmproxy_events_published_total 1", "llmproxy_events_spilled_total 1", "llmproxy_events_logged_total 1", "llmproxy_events_failed_total 0"} {
		require.Contains(t, counted, line+"\n")
	}
}

func TestAServerThatStopsSendsWhatWaits(t *testing.T) {
	a := newAccount(t)
	s := a.server(nil)
	s.token = s.mint()
	held := make(chan struct{})
	a.Make(standin.Illness{Hold: held})
	id := eventID(s.send(http.MethodGet, "/v1/models", ""))
	s.stop()
	require.Empty(t, a.Records(standin.Bus))
	close(held)
	require.NoError(t, s.end())
	require.Len(t, a.Records(standin.Bus), 1, "when the server has ended it has been sent")
	a.published(standin.Bus, id)
	require.Contains(t, s.lines.String(), `{"end":"`+id+`"}`)
}

// atOnce is how many of the callers have a request under way at each door: so many keep the engine within a spend's 800 ms on a small
// and busy machine.
const atOnce = 3

// triedAgain is less than after which a spend is tried again, whose first try the engine may have counted.
const triedAgain = 200 * time.Millisecond

func TestServersAndTheFunctionKeepOneLimit(t *testing.T) {
	a := newAccount(t).withTables()
	service := a.service()
	doors := []string{a.server(nil).url, a.server(nil).url, a.function().URL}
	var inside []chan struct{}
	for range doors {
		inside = append(inside, make(chan struct{}, atOnce))
	}

	const most, callers = 50, 300
	token, secret := a.mint(service, most)
	var mu sync.Mutex
	statuses := map[string]int{}
	var ids []string
	var slowest time.Duration
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			door := i % len(doors)
			inside[door] <- struct{}{}
			asked := time.Now()
			status, code, id := ask(t, doors[door], secret)
			took := time.Since(asked)
			<-inside[door]
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, took)
			statuses[fmt.Sprint(status, " ", code)]++
			if status == http.StatusOK {
				ids = append(ids, id)
			}
		})
	}
	wg.Wait()
	served, unsure := statuses["200 "], statuses["503 store_unavailable"]
	require.Equal(t, callers, served+unsure+statuses["429 token_exhausted"], "%v", statuses)
	require.Len(t, a.upstream.Requests(), served, "what was refused did not reach the provider")
	stored, err := service.Token(t.Context(), token.ID)
	require.NoError(t, err)
	require.EqualValues(t, most, stored.RequestCount)
	require.LessOrEqual(t, served, most)
	if slowest < triedAgain {
		require.Equal(t, most, served)
	} else { // one may have been counted and refused, since the engine's answer came too late: never the other way round
		t.Logf("the engine was slow, one request took %v: %v", slowest, statuses)
	}
	for _, id := range ids {
		a.published(standin.Bus, id)
	}

	// A revocation holds at once, whoever has seen the token before.
	token, secret = a.mint(service, most)
	for _, door := range doors {
		require.Equal(t, "200 ", askPatiently(t, door, secret))
	}
	require.NoError(t, service.RevokeTokens(t.Context(), llmproxy.Actor{Name: "test"}, token.ID))
	for _, door := range doors {
		require.Equal(t, "401 token_revoked", askPatiently(t, door, secret))
	}
}

// askPatiently asks until the engine has answered in time, and tells status and code.
func askPatiently(t *testing.T, door, secret string) (answer string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		status, code, _ := ask(t, door, secret)
		if code != "store_unavailable" || time.Now().After(end) {
			return fmt.Sprint(status, " ", code)
		}
	}
}

// ask sends one request and tells status, code and id of the answer. What the platform turns away for want of a process is asked again.
func ask(t *testing.T, door, secret string) (status int, code, id string) {
	for throttled := true; throttled; {
		if status, code, id = askOnce(t, door, secret); status != http.StatusTooManyRequests || code != "" {
			throttled = false
		}
	}
	return status, code, id
}

func askOnce(t *testing.T, door, secret string) (status int, code, id string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, door+"/v1/models", nil)
	if err != nil {
		return 0, err.Error(), ""
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error(), ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error(), ""
	}
	return res.StatusCode, gjson.GetBytes(body, "error.code").Str, eventID(res)
}

// function starts the Lambda function of the same account.
func (a *account) function() *httptest.Server {
	a.t.Helper()
	env := map[string]string{"GOMAXPROCS": "1"}
	for name, value := range a.env {
		if name != "LLM_PROXY_STORE" && name != "LLM_PROXY_BUS" {
			env[name] = value
		}
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"} {
		env[name] = os.Getenv(name)
	}
	host, err := lambdahost.New(lambdahost.Config{Bootstrap: buildFunction(a.t, "proxy"), Env: env, Processes: 2 * atOnce, Init: time.Minute})
	require.NoError(a.t, err)
	a.t.Cleanup(func() { require.NoError(a.t, host.Close()) })
	server := httptest.NewServer(host.FunctionURL())
	a.t.Cleanup(server.Close)
	return server
}

// buildFunction builds a function as it is deployed, but for this machine.
func buildFunction(t *testing.T, name string) string {
	t.Helper()
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", bootstrap, "../../functions/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bootstrap
}
