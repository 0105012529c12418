package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/internal/fastpath"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/testlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is how long a test waits for what must come. Only a failing test waits that long.
const patient = 20 * time.Second

// fakeKey is the provider key of every project of the tests.
const fakeKey = "sk-fake-QWERTYUIOPasdfghjklZXCVBNM-wxyz"

// testProxy is a Handler behind a real server, with everything that it touches at hand.
type testProxy struct {
	*Handler
	URL    string
	Addr   string
	Store  *memoryStore
	Keys   *memoryKeys
	Events *recorder
	Log    *logBuffer
	Client *http.Client // follows no redirect and asks for no compression

	mu       sync.Mutex
	observed []llmproxy.Event
	now      time.Time
}

// setup is what a test may change before its proxy is made.
type setup struct {
	Config
	lines      []string // further lines of the provider's stanza
	callerIdle time.Duration
	wrap       func(http.Handler) http.Handler
	yaml       string // in place of the whole file
	server     func(*http.Server)
	http2      bool // with TLS
}

// stanza adds lines to the provider's stanza of providers.yaml.
func stanza(lines ...string) func(*setup) {
	return func(s *setup) { s.lines = append(s.lines, lines...) }
}

// impatient makes callers that keep us waiting be given up after d.
func impatient(d time.Duration) func(*setup) { return func(s *setup) { s.callerIdle = d } }

// wrapped puts a handler around the proxy.
func wrapped(wrap func(http.Handler) http.Handler) func(*setup) {
	return func(s *setup) { s.wrap = wrap }
}

// newProxy serves a proxy for the upstream at a URL: provider openai is the default one, anthropic is beside it.
func newProxy(t testing.TB, upstream string, change ...func(*setup)) *testProxy {
	t.Helper()
	p := &testProxy{Store: newMemoryStore(), Keys: &memoryKeys{key: fakeKey}, Events: &recorder{}, Log: &logBuffer{}, now: time.Now()}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), p.Log, zap.DebugLevel))
	s := setup{Config: Config{
		Store: p.Store, Keys: p.Keys, Events: p.Events, Now: p.clock,
		Observe: func(e *llmproxy.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.observed = append(p.observed, *e)
		},
		Log: log,
	}}
	for _, c := range change {
		c(&s)
	}
	if s.yaml == "" {
		lines := ""
		for _, line := range s.lines {
			lines += "    " + line + "\n"
		}
		s.yaml = fmt.Sprintf("default: openai\nproviders:\n  openai:\n    preset: openai\n    base_url: %s\n%s  anthropic:\n    preset: anthropic\n    base_url: %s\n%s", upstream, lines, upstream, lines)
	}
	var err error
	s.Providers, err = provider.Parse("providers.yaml", []byte(s.yaml))
	require.NoError(t, err)
	p.Handler, err = New(s.Config)
	require.NoError(t, err)
	if s.callerIdle > 0 {
		p.callerIdle = s.callerIdle
	}
	var handler http.Handler = p.Handler
	if s.wrap != nil {
		handler = s.wrap(handler)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ReadHeaderTimeout, server.Config.MaxHeaderBytes, server.Config.IdleTimeout = ReadHeaderTimeout, MaxHeaderBytes, IdleTimeout
	if s.server != nil {
		s.server(server.Config)
	}
	server.Config.DisableGeneralOptionsHandler = true
	server.Config.ErrorLog = zap.NewStdLog(log)
	var plain *fastpath.Listener // as in the program; what it does not serve, net/http does
	if server.EnableHTTP2 = s.http2; s.http2 {
		server.StartTLS()
	} else {
		base := context.Background()
		if server.Config.BaseContext != nil {
			base = server.Config.BaseContext(server.Listener)
		}
		plain = fastpath.Listen(server.Listener, fastpath.Config{
			Handler: handler, BaseContext: base, HeaderTimeout: server.Config.ReadHeaderTimeout, IdleTimeout: server.Config.IdleTimeout, ErrorLog: server.Config.ErrorLog,
		})
		server.Listener = plain
		server.Start()
	}
	p.URL, p.Addr = server.URL, server.Listener.Addr().String()
	transport := server.Client().Transport.(*http.Transport)
	transport.DisableCompression = true
	p.Client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		if plain != nil {
			plain.Abort()
		}
		server.Close()
		p.Close()
	})
	return p
}

func (p *testProxy) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// pass moves the clock that tokens are compared with.
func (p *testProxy) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// mint makes a token of a project of the provider openai.
func (p *testProxy) mint(t testing.TB, change ...func(*llmproxy.Gate, *llmproxy.Project)) string {
	t.Helper()
	now := p.clock()
	project := llmproxy.Project{
		ID: llmproxy.NewProjectID(now), Provider: "openai", Active: true, SealedKey: "sealed",
		Endpoints: []llmproxy.EndpointGroup{llmproxy.GroupInference, llmproxy.GroupStored},
	}
	gate := llmproxy.Gate{Token: llmproxy.Token{
		ID: llmproxy.NewTokenID(now), ProjectID: project.ID, Active: true, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}}
	secret := llmproxy.NewTokenSecret(gate.ID).Reveal()
	gate.Hash = llmproxy.HashTokenSecret(secret)
	for _, c := range change {
		c(&gate, &project)
	}
	p.Store.put(gate, project)
	return secret
}

// of makes a token be of a project with another provider.
func of(name string) func(*llmproxy.Gate, *llmproxy.Project) {
	return func(_ *llmproxy.Gate, p *llmproxy.Project) { p.Provider = name }
}

// request makes a request with a token; further headers are pairs of name and value.
func (p *testProxy) request(t testing.TB, token, method, path string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, p.URL+path, body)
	require.NoError(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// do sends a request; the answer's body is closed at the end of the test.
func (p *testProxy) do(t testing.TB, r *http.Request) *http.Response {
	t.Helper()
	res, err := p.Client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// answer is a response with its body.
type answer struct {
	*http.Response
	Body string
	Err  error // of reading the body
}

// ask sends a request with a token and reads the answer.
func (p *testProxy) ask(t testing.TB, token, method, path, body string, headers ...string) answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	res := p.do(t, p.request(t, token, method, path, r, headers...))
	data, err := io.ReadAll(res.Body)
	return answer{res, string(data), err}
}

// chat asks for a completion.
func (p *testProxy) chat(t testing.TB, token string, headers ...string) answer {
	t.Helper()
	return p.ask(t, token, "POST", "/v1/chat/completions", `{"model":"m"}`, headers...)
}

// event waits for the event of an answer.
func (p *testProxy) event(t testing.TB, res *http.Response) llmproxy.Event {
	t.Helper()
	id := res.Header.Get(RequestIDHeader)
	require.NotEmpty(t, id)
	var found llmproxy.Event
	eventually(t, "the event of "+id, func() bool {
		for _, e := range p.Events.all() {
			if e.ID.String() == id {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// lastEvent waits for n events and returns the last.
func (p *testProxy) lastEvent(t testing.TB, n int) llmproxy.Event {
	t.Helper()
	eventually(t, fmt.Sprint(n, " events"), func() bool { return len(p.Events.all()) >= n })
	all := p.Events.all()
	require.Len(t, all, n)
	return all[n-1]
}

// dial opens a connection to the proxy for bytes written by hand.
func (p *testProxy) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patient)))
	return conn
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			require.FailNow(t, "it never came", what)
		}
	}
}

// await waits for a channel inside an upstream, or for the end of the test.
func await(t testing.TB, c <-chan struct{}) {
	select {
	case <-c:
	case <-t.Context().Done():
	}
}

// memoryStore is a store in memory that decides as the others do. Faults are named by its fields.
type memoryStore struct {
	mu       sync.Mutex
	gates    map[llmproxy.TokenID]*llmproxy.Gate
	projects map[llmproxy.ProjectID]*llmproxy.Project
	spends   int // calls of Spend

	failWith  error         // what every spend answers
	onSpend   func()        // called before each spend
	holdUntil chan struct{} // spends wait for it, or for their context
}

func newMemoryStore() *memoryStore {
	return &memoryStore{gates: map[llmproxy.TokenID]*llmproxy.Gate{}, projects: map[llmproxy.ProjectID]*llmproxy.Project{}}
}

func (s *memoryStore) put(g llmproxy.Gate, p llmproxy.Project) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates[g.ID], s.projects[p.ID] = &g, &p
}

// change alters the row of a token and its project, as management does.
func (s *memoryStore) change(secret string, alter func(*llmproxy.Gate, *llmproxy.Project)) {
	id, _ := llmproxy.ParseTokenSecret(secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	alter(s.gates[id], s.projects[s.gates[id].ProjectID])
}

func (s *memoryStore) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spends
}

// fail makes every spend answer err; nil ends it.
func (s *memoryStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failWith = err
}

// Spend implements [Store].
func (s *memoryStore) Spend(ctx context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (llmproxy.Token, llmproxy.Project, error) {
	s.mu.Lock()
	on, hold := s.onSpend, s.holdUntil
	s.mu.Unlock()
	if on != nil {
		on()
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return llmproxy.Token{}, llmproxy.Project{}, fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, ctx.Err())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spends++
	if s.failWith != nil {
		return llmproxy.Token{}, llmproxy.Project{}, s.failWith
	}
	gate := s.gates[id]
	if gate == nil {
		return llmproxy.Token{}, llmproxy.Project{}, llmproxy.ErrNotFound
	}
	if err := gate.Refusal(hash, now); err != nil {
		if errors.Is(err, llmproxy.ErrNotFound) {
			return llmproxy.Token{}, llmproxy.Project{}, err
		}
		return gate.Token, llmproxy.Project{}, fmt.Errorf("spend: %w", err)
	}
	project := s.projects[gate.ProjectID]
	if err := project.Refusal(gate.Epoch); err != nil {
		return gate.Token, *project, fmt.Errorf("spend: %w", err)
	}
	gate.RequestCount++
	if hour := llmproxy.HourOf(now); gate.WindowHour != hour {
		gate.WindowHour, gate.WindowCount = hour, 0
	}
	gate.WindowCount++
	return gate.Token, *project, nil
}

// memoryKeys opens every project's key without a seal.
type memoryKeys struct {
	mu        sync.Mutex
	key       string
	failWith  error
	onOpen    func()
	forgotten int
}

// Open implements [Keys].
func (k *memoryKeys) Open(context.Context, *llmproxy.Project) (llmproxy.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.onOpen != nil {
		k.onOpen()
	}
	return llmproxy.NewSecret(k.key), k.failWith
}

// Forget implements [Keys].
func (k *memoryKeys) Forget(*llmproxy.Project) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgotten++
}

// recorder keeps events with their own copies of the bodies.
type recorder struct {
	mu        sync.Mutex
	begins    []llmproxy.Begin
	events    []llmproxy.Event
	onBegin   func()
	onPublish func()
}

// Begin implements [Publisher].
func (r *recorder) Begin(b *llmproxy.Begin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begins = append(r.begins, *b)
	if r.onBegin != nil {
		r.onBegin()
	}
}

// Publish implements [Publisher].
func (r *recorder) Publish(e *llmproxy.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := *e
	kept.Request.Body, kept.Response.Body = copyBody(e.Request.Body), copyBody(e.Response.Body)
	r.events = append(r.events, kept)
	if r.onPublish != nil {
		r.onPublish()
	}
}

func copyBody(b *llmproxy.Body) *llmproxy.Body {
	if b == nil {
		return nil
	}
	return &llmproxy.Body{Head: bytes.Clone(b.Head), Tail: bytes.Clone(b.Tail), Size: b.Size}
}

func (r *recorder) all() []llmproxy.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]llmproxy.Event(nil), r.events...)
}

// logBuffer keeps what was logged.
type logBuffer = testlog.Buffer
