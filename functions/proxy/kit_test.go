//go:build unix

package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/lambdahost"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
	"github.com/sofatutor/llm-proxy/internal/testlog"
	"github.com/sofatutor/llm-proxy/internal/usage"
)

// providerKey is the key that the function opens and the upstream gets.
const providerKey = "sk-fake-QWERTYUIOPasdfghjklZXCVBNM-wxyz"

// bootstrap is the function as it is deployed, but for this machine's architecture.
var bootstrap string

var startEngine = sync.OnceValues(func() (*dynamolocal.Server, error) { return dynamolocal.Start(context.Background()) })

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "proxy-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	bootstrap = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", bootstrap, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the function: %w\n%s", err, out)
	}
	code := m.Run()
	if engine, err := startEngine(); err == nil {
		return code, engine.Close()
	}
	return code, nil
}

// cloud stands for EventBridge, SQS and Secrets Manager. What it takes it keeps.
type cloud struct {
	*httptest.Server
	sealing string

	mu      sync.Mutex
	heard   []string // path and body of each call
	onBus   map[string][]llmproxy.Event
	inQueue map[string][]llmproxy.Event
	busDown bool
	allDown bool
	held    chan struct{} // while it is not nil, the bus answers when it is closed
	holding int           // calls that wait for it
	slow    string        // the bus takes two seconds for events in which this stands
	refused string        // and refuses those in which this stands, one by one
	mute    bool          // it takes events and breaks the connection
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.set(func(c *cloud) { c.heard = append(c.heard, r.URL.Path+" "+string(body)) })
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch r.Header.Get("X-Amz-Target") {
	case "": // S3
	case "AWSEvents.PutEvents":
		c.putEvents(w, r, body)
	case "AmazonSQS.SendMessage":
		c.sendMessage(w, body)
	case "secretsmanager.GetSecretValue":
		if strings.Contains(string(body), "AWSPREVIOUS") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"ResourceNotFoundException"}`)
			return
		}
		fmt.Fprintf(w, `{"Name":"sealing","SecretString":%q}`, c.sealing)
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

func (c *cloud) putEvents(w http.ResponseWriter, r *http.Request, body []byte) {
	var in struct{ Entries []struct{ Detail string } }
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	held, down, slow, refused, mute := c.held, c.busDown || c.allDown, c.slow, c.refused, c.mute
	c.mu.Unlock()
	if held != nil {
		c.set(func(c *cloud) { c.holding++ })
		defer c.set(func(c *cloud) { c.holding-- })
		<-held
	}
	if slow != "" && strings.Contains(string(body), slow) {
		select {
		case <-time.After(2 * time.Second):
		case <-r.Context().Done():
			return // the function has given up
		}
	}
	if down {
		panic(http.ErrAbortHandler)
	}
	var results []string
	failed := 0
	for _, entry := range in.Entries {
		if refused != "" && strings.Contains(entry.Detail, refused) {
			failed++
			results = append(results, `{"ErrorCode":"ThrottlingException","ErrorMessage":"fake"}`)
			continue
		}
		c.keep(c.onBus, []byte(entry.Detail))
		results = append(results, `{"EventId":"e"}`)
	}
	if mute {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `{"FailedEntryCount":%d,"Entries":[%s]}`, failed, strings.Join(results, ","))
}

func (c *cloud) sendMessage(w http.ResponseWriter, body []byte) {
	var in struct{ MessageBody string }
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	down := c.allDown
	c.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	var message struct{ Detail json.RawMessage }
	_ = json.Unmarshal([]byte(in.MessageBody), &message)
	c.keep(c.inQueue, message.Detail)
	sum := md5.Sum([]byte(in.MessageBody))
	fmt.Fprintf(w, `{"MessageId":"m","MD5OfMessageBody":%q}`, hex.EncodeToString(sum[:]))
}

func (c *cloud) keep(in map[string][]llmproxy.Event, detail []byte) {
	var e llmproxy.Event
	if err := json.Unmarshal(detail, &e); err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	in[e.ID.String()] = append(in[e.ID.String()], e)
}

// set changes how it behaves.
func (c *cloud) set(change func(*cloud)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// event waits for the events of an id on the bus or in the queue.
func (c *cloud) event(t testing.TB, in map[string][]llmproxy.Event, id string) llmproxy.Event {
	t.Helper()
	var found []llmproxy.Event
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		found = in[id]
		return len(found) > 0
	}, time.Minute, 5*time.Millisecond, "no event %s", id)
	require.Len(t, found, 1, "one event per request")
	return found[0]
}

// output keeps the lines of the function.
type output struct{ testlog.Buffer }

func (o *output) await(t testing.TB, word string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(o.String(), word) }, time.Minute, 5*time.Millisecond, "no line with %q in\n%s", word, o)
}

// stack is the function with all that it needs, and a second door to the same store and upstream: net/http.
type stack struct {
	t        testing.TB
	cloud    *cloud
	upstream *demo.Server
	host     *lambdahost.Host
	log      *output
	service  *manage.Service
	project  llmproxy.Project
	env      map[string]string
	url      string // of the function
	server   string // of the handler on net/http
	recorded *recorder
	client   *http.Client
}

// recorder keeps the events of the second door.
type recorder struct {
	mu     sync.Mutex
	events map[string][]llmproxy.Event
}

func (*recorder) Begin(*llmproxy.Begin) {}

func (r *recorder) Publish(e *llmproxy.Event) {
	_ = usage.Read(e) // as publishers do; its bodies are not kept
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[e.ID.String()] = append(r.events[e.ID.String()], *e)
}

var tables = 0

func start(t testing.TB, timeout time.Duration) *stack {
	t.Helper()
	return setup{timeout: timeout}.start(t)
}

// setup says how a stack differs from the usual one.
type setup struct {
	timeout   time.Duration
	program   string                      // another one of the function
	providers string                      // further ones, as YAML below providers:
	behind    func(address string) string // returns where the function finds what has this address
}

func (how setup) start(t testing.TB) *stack {
	t.Helper()
	if how.program == "" {
		how.program = bootstrap
	}
	if how.behind == nil {
		how.behind = func(address string) string { return address }
	}
	engine, err := startEngine()
	if err != nil {
		t.Skipf("SKIPPED, the function needs a store: %v", err)
	}
	secret := seal.NewSecret()
	s := &stack{
		t: t, log: &output{}, recorded: &recorder{events: map[string][]llmproxy.Event{}},
		cloud:    &cloud{sealing: secret.Reveal(), onBus: map[string][]llmproxy.Event{}, inQueue: map[string][]llmproxy.Event{}},
		upstream: demo.Serve(t),
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.cloud.Server = httptest.NewUnstartedServer(s.cloud)
	s.cloud.Server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	s.cloud.Server.Start()
	t.Cleanup(s.cloud.Close)

	tables++
	names := dynamo.Config{Tokens: fmt.Sprint("tokens-", tables), Control: fmt.Sprint("control-", tables), SpendBudget: time.Minute, ChangeBudget: time.Minute}
	store := dynamo.New(engine.Config(), names)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.CreateTables(t.Context()))
	public, err := seal.PublicKey(secret)
	require.NoError(t, err)
	sealer, err := seal.NewSealer(public)
	require.NoError(t, err)
	s.service = manage.New(manage.Config{Store: store, Sealer: sealer, Providers: []string{"openai", "dead", "hasty"}, Default: "openai", KeyRefPrefix: "stack/keys/"})
	s.project, err = s.service.CreateProject(t.Context(), llmproxy.Actor{Name: "local"}, manage.NewProject{Name: "doors", APIKey: llmproxy.NewSecret(providerKey)})
	require.NoError(t, err)

	yaml := fmt.Sprintf("default: openai\nproviders:\n  openai:\n    preset: openai\n    base_url: %s\n", how.behind(s.upstream.URL)) + strings.ReplaceAll(how.providers, "%UPSTREAM%", s.upstream.URL)
	file := filepath.Join(t.TempDir(), "providers.yaml")
	require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
	providers, err := provider.Load(file)
	require.NoError(t, err)
	handler, err := proxy.New(proxy.Config{Providers: providers, Store: store, Keys: seal.NewOpener(seal.Static(secret)), Events: s.recorded, Log: zap.NewNop()})
	require.NoError(t, err)
	second := httptest.NewUnstartedServer(handler)
	second.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	second.Config.DisableGeneralOptionsHandler = true // as our server
	second.Start()
	t.Cleanup(second.Close)
	s.server = second.URL

	s.env = map[string]string{
		"LLM_PROXY_TOKENS_TABLE": names.Tokens, "LLM_PROXY_CONTROL_TABLE": names.Control, "LLM_PROXY_EVENT_BUS": "bus",
		"LLM_PROXY_SPILL_QUEUE": s.cloud.URL + "/queue", "LLM_PROXY_EVENT_BUCKET": "bucket", "LLM_PROXY_SEALING_SECRET": "sealing",
		"LLM_PROXY_KEYS_PREFIX": "stack/keys/", "LLM_PROXY_PROVIDERS": file, "LLM_PROXY_METRICS_NAMESPACE": "LlmProxy/Function",
		"AWS_ENDPOINT_URL": how.behind(s.cloud.URL), "AWS_ENDPOINT_URL_DYNAMODB": how.behind(engine.URL),
	}
	s.host, err = lambdahost.New(lambdahost.Config{Bootstrap: how.program, Timeout: how.timeout, Init: time.Minute, Log: s.log, Env: s.env})
	require.NoError(t, err)
	first := httptest.NewUnstartedServer(s.host.FunctionURL())
	first.Config.DisableGeneralOptionsHandler = true
	first.Start()
	s.url = first.URL
	t.Cleanup(func() {
		require.NoError(t, s.host.Close())
		s.client.CloseIdleConnections()
		first.Close()
		if t.Failed() {
			t.Logf("the function's log:\n%s", s.log)
		}
	})
	return s
}

// hears waits until the cloud has been told a word.
func (c *cloud) hears(t testing.TB, word string) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.ContainsFunc(c.heard, func(call string) bool { return strings.Contains(call, word) })
	}, time.Minute, 5*time.Millisecond, "nobody says %q", word)
}

// with starts the function beside the stack's own, with further or other settings, NAME=value each. Tokens, upstream and cloud are the
// same.
func (s *stack) with(t *testing.T, settings ...string) *stack {
	t.Helper()
	other := *s
	other.t, other.log, other.env = t, &output{}, maps.Clone(s.env)
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		other.env[name] = value
	}
	var err error
	other.host, err = lambdahost.New(lambdahost.Config{Bootstrap: bootstrap, Init: time.Minute, Log: other.log, Env: other.env, Processes: 1})
	require.NoError(t, err)
	door := httptest.NewServer(other.host.FunctionURL())
	other.url = door.URL
	t.Cleanup(func() {
		require.NoError(t, other.host.Close())
		s.client.CloseIdleConnections()
		door.Close()
	})
	return &other
}

// mint makes a token.
func (s *stack) mint(change ...func(*manage.NewToken)) (llmproxy.Token, string) {
	s.t.Helper()
	in := manage.NewToken{ProjectID: s.project.ID, DurationMinutes: 60, RequestsPerHour: &manage.Limit{None: true}}
	for _, c := range change {
		c(&in)
	}
	token, secret, err := s.service.MintToken(context.Background(), llmproxy.Actor{Name: "local"}, in)
	require.NoError(s.t, err)
	return token, secret.Reveal()
}

// answer is what a caller got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // how reading the body ended, if not well
	id     string
}

// ask sends a request. An engine that a busy machine makes too slow for a spend is asked again, as a caller would.
func (s *stack) ask(door, method, path, body string, header http.Header) answer {
	s.t.Helper()
	for range 20 {
		a := s.askOnce(door, method, path, body, header)
		if a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "store_unavailable") || a.status == http.StatusTooManyRequests && a.id == "" {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		return a
	}
	s.t.Fatalf("%s %s: the store stays too slow", method, path)
	return answer{}
}

func (s *stack) askOnce(door, method, path, body string, header http.Header) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, door, strings.NewReader(body))
	require.NoError(s.t, err)
	r.URL.Opaque = path // as it stands, whatever net/url thinks of it
	for name, values := range header {
		r.Header[name] = values
	}
	if body == "" {
		r.Body, r.ContentLength = nil, 0
	}
	got, err := s.client.Do(r)
	require.NoError(s.t, err, "%s %s", method, path)
	defer got.Body.Close()
	a := answer{status: got.StatusCode, header: got.Header, id: got.Header.Get(proxy.RequestIDHeader)}
	all, err := io.ReadAll(got.Body)
	a.body, a.err = string(all), err
	return a
}
