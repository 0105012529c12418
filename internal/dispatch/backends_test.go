package dispatch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// stub is a backend over real HTTP. It answers as its mood is, and remembers which events it took.
type stub struct {
	*httptest.Server
	mood func(n int, w http.ResponseWriter, r *http.Request) bool // answers call n itself if it reports true
	take func(w http.ResponseWriter, r *http.Request, body []byte) (taken []string)
	key  func(r *http.Request, body []byte) string // under which the one event of a call is stored; nil if there is none

	mu     sync.Mutex
	keys   map[string][]string // of each event that was taken, all that it came under
	calls  int
	taken  []string
	bodies [][]byte
	last   http.Header
	onTake func(total int)
}

func newStub(t *testing.T, take func(w http.ResponseWriter, r *http.Request, body []byte) []string) *stub {
	t.Helper()
	s := &stub{take: take}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	n, mood := s.calls, s.mood
	s.calls++
	s.mu.Unlock()
	if mood != nil && mood(n, w, r) {
		return
	}
	taken := s.take(w, r, body)
	s.mu.Lock()
	s.taken = append(s.taken, taken...)
	if s.key != nil && len(taken) == 1 {
		if s.keys == nil {
			s.keys = map[string][]string{}
		}
		s.keys[taken[0]] = append(s.keys[taken[0]], s.key(r, body))
	}
	s.bodies, s.last = append(s.bodies, body), r.Header.Clone()
	total, onTake := len(s.taken), s.onTake
	s.mu.Unlock()
	if onTake != nil {
		onTake(total)
	}
}

func (s *stub) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := slices.Clone(s.taken)
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (s *stub) body(t *testing.T, i int) []byte {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Greater(t, len(s.bodies), i)
	return s.bodies[i]
}

// poisonPath marks events that backends refuse.
const poisonPath = "/v1/poison/chat/completions"

func badRequest(w http.ResponseWriter, body string) []string {
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, body)
	return nil
}

func takesWebhooks(w http.ResponseWriter, _ *http.Request, body []byte) (ids []string) {
	if bytes.Contains(body, []byte(poisonPath)) {
		return badRequest(w, "we want none of these")
	}
	list := gjson.ParseBytes(body)
	if list.IsObject() {
		return []string{list.Get("id").Str}
	}
	list.ForEach(func(_, e gjson.Result) bool {
		ids = append(ids, e.Get("id").Str)
		return true
	})
	return ids
}

// takesHeliconeLogs checks what Helicone's worker checks.
func takesHeliconeLogs(w http.ResponseWriter, r *http.Request, body []byte) []string {
	log := gjson.ParseBytes(body)
	start := log.Get("timing.startTime.seconds").Int()*1000 + log.Get("timing.startTime.milliseconds").Int()
	end := log.Get("timing.endTime.seconds").Int()*1000 + log.Get("timing.endTime.milliseconds").Int()
	switch {
	case !strings.HasSuffix(r.URL.Path, "/v1/log"), !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "):
		w.WriteHeader(http.StatusNotFound)
		return nil
	case log.Get("providerRequest.url").Type != gjson.String, !log.Get("providerRequest.json").IsObject(), !log.Get("providerRequest.meta").IsObject(),
		!log.Get("providerResponse.json").IsObject(), !log.Get("providerResponse.headers").IsObject(), log.Get("providerResponse.status").Type != gjson.Number,
		start <= 0, end < start, log.Get("timing.startTime.milliseconds").Int() > 999,
		strings.Contains(log.Get("providerRequest.meta.Helicone-Property-Poison").Str+log.Get("providerRequest.url").Str, "poison"):
		return badRequest(w, `{"error":"invalid request"}`)
	}
	w.Header().Set("Helicone-Id", log.Get("providerRequest.meta.Helicone-Request-Id").Str)
	_, _ = io.WriteString(w, "ok")
	return []string{log.Get("providerRequest.meta.Helicone-Property-Event").Str}
}

// lunaryStore is what Lunary has: it takes a start once, and drops ends without one.
type lunaryStore struct {
	mu      sync.Mutex
	started map[string]bool
}

func (s *lunaryStore) take(w http.ResponseWriter, r *http.Request, body []byte) (ids []string) {
	if r.URL.Path != "/v1/runs/ingest" {
		w.WriteHeader(http.StatusNotFound)
		return nil
	}
	if bytes.Contains(body, []byte(poisonPath)) {
		return badRequest(w, `{"message":"invalid"}`)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	type result struct {
		ID      string `json:"id"`
		Success bool   `json:"success"`
		Error   string `json:"error,omitempty"`
	}
	var results []result
	gjson.GetBytes(body, "events").ForEach(func(_, e gjson.Result) bool {
		id := e.Get("runId").Str
		switch {
		case e.Get("event").Str == "start" && s.started[id]:
			results = append(results, result{id, false, "Run with this ID already exists in the database."})
		case e.Get("event").Str == "start":
			s.started[id] = true
			results = append(results, result{ID: id, Success: true})
		default:
			if s.started[id] {
				ids = append(ids, id)
			}
			results = append(results, result{ID: id, Success: true})
		}
		return true
	})
	slices.Reverse(results) // an order of its own
	_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
	return ids
}

// takesObjects is S3: each object's lines are events.
func takesObjects(w http.ResponseWriter, r *http.Request, body []byte) (ids []string) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil || r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, ".jsonl.gz") {
		w.WriteHeader(http.StatusNotImplemented)
		return nil
	}
	lines, err := io.ReadAll(z)
	if err != nil {
		w.WriteHeader(http.StatusNotImplemented)
		return nil
	}
	for line := range strings.Lines(string(lines)) {
		ids = append(ids, gjson.Get(line, "id").Str)
	}
	return ids
}

// takesLogEvents is CloudWatch Logs. Events of the path of poison are too old for it.
func takesLogEvents(w http.ResponseWriter, r *http.Request, body []byte) (ids []string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutLogEvents") {
		_, _ = io.WriteString(w, "{}")
		return nil
	}
	before, tooOld := int64(0), 0
	for _, e := range gjson.GetBytes(body, "logEvents").Array() {
		if at := e.Get("timestamp").Int(); at < before {
			return badRequest(w, `{"__type":"InvalidParameterException","message":"Log events in a single PutLogEvents request must be in chronological order."}`)
		} else {
			before = at
		}
		if e.Get("timestamp").Int() < born.Add(-24*time.Hour).UnixMilli() {
			tooOld++
			continue
		}
		ids = append(ids, gjson.Get(e.Get("message").Str, "id").Str)
	}
	if tooOld > 0 {
		fmt.Fprintf(w, `{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":%d}}`, tooOld)
		return ids
	}
	_, _ = io.WriteString(w, "{}")
	return ids
}

// takesEntries is EventBridge.
func takesEntries(w http.ResponseWriter, r *http.Request, body []byte) (ids []string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" {
		return badRequest(w, `{"__type":"UnknownOperationException"}`)
	}
	var answers []string
	failed := 0
	for i, entry := range gjson.GetBytes(body, "Entries").Array() {
		detail := entry.Get("Detail").Str
		switch {
		case strings.Contains(detail, poisonPath):
			failed++
			answers = append(answers, `{"ErrorCode":"MalformedDetail","ErrorMessage":"Detail is malformed."}`)
		case i == 1 && len(ids) == 1 && strings.HasSuffix(gjson.Get(detail, "id").Str, "7"):
			failed++
			answers = append(answers, `{"ErrorCode":"ThrottlingException","ErrorMessage":"slow down"}`)
		default:
			ids = append(ids, gjson.Get(detail, "id").Str)
			answers = append(answers, fmt.Sprintf(`{"EventId":"e%d"}`, i))
		}
	}
	fmt.Fprintf(w, `{"FailedEntryCount":%d,"Entries":[%s]}`, failed, strings.Join(answers, ","))
	return ids
}

// onAWS are settings that reach the stub.
func onAWS(address string) AWSConfig {
	return func(context.Context) (aws.Config, error) {
		return aws.Config{
			Region: "eu-central-1", BaseEndpoint: &address, HTTPClient: &http.Client{Timeout: callTimeout},
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIAFAKEFAKEFAKE", SecretAccessKey: fakeSecret}, nil
			}),
		}, nil
	}
}

// fakeSecret stands for each credential of a destination, in parts, so that a search for it finds only leaks.
const fakeSecret = "fake-secret-" + "canary-4711"

// destinationCase is a destination with a backend that takes what the real one takes.
type destinationCase struct {
	name      string
	take      func() func(http.ResponseWriter, *http.Request, []byte) []string
	open      func(address string) Settings
	hasPoison bool
	key       func(*http.Request, []byte) string
}

var destinationCases = []destinationCase{
	{"webhook", takes(takesWebhooks), func(a string) Settings {
		return Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(a + "/hook/" + fakeSecret), Secret: llmproxy.NewSecret(fakeSecret), Authorization: llmproxy.NewSecret("Bearer " + fakeSecret)}}
	}, true, func(r *http.Request, _ []byte) string { return r.Header.Get("Webhook-Id") }},
	{"webhook", takes(takesWebhooks), func(a string) Settings {
		return Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(a + "/hook/" + fakeSecret), Secret: llmproxy.NewSecret(fakeSecret), Batch: 10, Parallel: 2}}
	}, true, nil},
	{"helicone", takes(takesHeliconeLogs), func(a string) Settings {
		return Settings{Helicone: HeliconeConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: a}}
	}, true, func(_ *http.Request, body []byte) string {
		return gjson.GetBytes(body, "providerRequest.meta.Helicone-Request-Id").Str
	}},
	{"lunary", func() func(http.ResponseWriter, *http.Request, []byte) []string {
		return (&lunaryStore{started: map[string]bool{}}).take
	}, func(a string) Settings {
		return Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret(fakeSecret), BaseURL: a}}
	}, true, nil},
	{"s3", takes(takesObjects), func(a string) Settings {
		return Settings{S3: S3Config{Bucket: "archive", AWS: onAWS(a), PathStyle: true, Linger: time.Millisecond}}
	}, false, nil},
	{"cloudwatch", takes(takesLogEvents), func(a string) Settings {
		return Settings{CloudWatch: CloudWatchConfig{Group: "llm-proxy", AWS: onAWS(a)}}
	}, true, nil},
	{"eventbridge", takes(takesEntries), func(a string) Settings {
		return Settings{EventBridge: EventBridgeConfig{Bus: "llm-proxy", AWS: onAWS(a)}}
	}, true, nil},
}

func takes(take func(http.ResponseWriter, *http.Request, []byte) []string) func() func(http.ResponseWriter, *http.Request, []byte) []string {
	return func() func(http.ResponseWriter, *http.Request, []byte) []string { return take }
}

// moody fails in all ways that a backend fails: each some times, at calls that are the same in every run.
func moody() func(n int, w http.ResponseWriter, r *http.Request) bool {
	var mu sync.Mutex
	hangs := 0
	return func(n int, w http.ResponseWriter, r *http.Request) bool {
		quote := r.Header.Get("Authorization") + r.URL.Path // a backend may quote what it was sent
		switch {
		case n == 2:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "slow down: "+quote, http.StatusTooManyRequests)
			return true
		case n%9 == 4:
			http.Error(w, "boom: "+quote, http.StatusInternalServerError)
			return true
		case n%13 == 6:
			mu.Lock()
			hangs++
			mine := hangs
			mu.Unlock()
			if mine > 2 {
				return false
			}
			<-r.Context().Done() // it does not answer in time
			return true
		case n%17 == 8:
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil { // it breaks off
				_ = conn.Close()
				return true
			}
		}
		return false
	}
}

// TestWhatEachDestinationIsSentIsThereOrInTheDeadLetters is H26: backends that answer 429 with Retry-After, 500, nothing in time or half,
// poison among the events, some that come twice and out of order, and the process killed in mid-batch, twice.
func TestWhatEachDestinationIsSentIsThereOrInTheDeadLetters(t *testing.T) {
	for i, c := range destinationCases {
		t.Run(fmt.Sprintf("%s %d", c.name, i), func(t *testing.T) {
			t.Parallel()
			events := requests(60)
			var poison, good []string
			for i, e := range events {
				if c.hasPoison && (i == 7 || i == 8 || i == 41) {
					e.Path = poisonPath
					if c.name == "cloudwatch" {
						e.Time = e.Time.Add(-30 * 24 * time.Hour)
					}
					poison = append(poison, e.ID.String())
				} else {
					good = append(good, e.ID.String())
				}
			}
			backend := newStub(t, c.take())
			backend.mood, backend.key = moody(), c.key
			arriving := append(slices.Clone(events), events[3], events[59], events[30])
			slices.Reverse(arriving[10:40])
			n := len(arriving)
			src, dead := newSource(arriving...), filepath.Join(t.TempDir(), "dead.jsonl")
			for process := 0; src.committed() < n; process++ {
				require.Less(t, process, 50, "it never ends")
				src = src.restart()
				dst, err := Open(c.name, c.open(backend.URL))
				require.NoError(t, err)
				ctx, kill := context.WithCancel(t.Context())
				if process < 2 {
					at := (process + 1) * n / 4
					backend.mu.Lock()
					backend.onTake = func(total int) {
						if total >= at {
							kill() // before the answer is there
						}
					}
					backend.mu.Unlock()
				} else {
					src.onCommit = func() {
						if src.cursor == n {
							kill()
						}
					}
				}
				l := New(Config{
					Name: c.name, Source: src, Destination: dst, DeadLetters: dead, BatchSize: 25, Timeout: time.Second,
					MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond,
				})
				require.NoError(t, l.Run(ctx))
				kill()
				backend.mu.Lock()
				backend.onTake = nil
				backend.mu.Unlock()
			}
			require.Equal(t, good, backend.ids(), "each event that can be taken is there")
			var buried []string
			for _, l := range letters(t, dead) {
				buried = append(buried, l.Event.ID.String())
				require.NotEmpty(t, l.Reason)
			}
			slices.Sort(buried)
			require.Equal(t, poison, buried, "the dead letters hold exactly the poison")
			if c.key == nil {
				return
			}
			under := map[string]string{}
			for _, id := range good {
				require.Len(t, slices.Compact(backend.keys[id]), 1, "%s comes under one key, however often", id)
				key := backend.keys[id][0]
				require.NotEmpty(t, key)
				require.Empty(t, under[key], "under the key of %s", id)
				under[key] = id
			}
		})
	}
}
