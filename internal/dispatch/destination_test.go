package dispatch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// handOver opens a destination on the backend and delivers metered events, once.
func handOver(t *testing.T, name string, s Settings, events ...*llmproxy.Event) []Result {
	t.Helper()
	d, err := Open(name, s)
	require.NoError(t, err)
	meter := Meter(price.Embedded())
	for _, e := range events {
		require.NoError(t, meter(e))
		if !d.WantsBodies() {
			e.Request.Body, e.Response.Body = nil, nil
		}
	}
	require.NoError(t, d.Start(t.Context(), nil))
	results := d.Deliver(t.Context(), events)
	require.NoError(t, d.Close())
	require.Len(t, results, len(events))
	return results
}

func whole(s string) *llmproxy.Body { return &llmproxy.Body{Head: []byte(s), Size: int64(len(s))} }

// asked is a chat with its request and its answer.
func asked(question, contentType, answer string) *llmproxy.Event {
	e := request(0)
	e.Request.Body, e.Response.Body = whole(question), whole(answer)
	e.Response.ContentType, e.Stream = contentType, contentType == "text/event-stream"
	e.Timing.FirstByte = 212 * time.Millisecond
	return e
}

const (
	askHi     = `{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}],"temperature":0.5,"stream":true,"stream_options":{"include_usage":true}}`
	saysHello = `{"id":"x","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}`
	// a stream of which the upstream told no usage
	streamsHello = "data: {\"id\":\"x\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n" +
		"data: {\"id\":\"x\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo!\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
)

func TestWhatIsNoModelCallIsPassedOver(t *testing.T) {
	e := request(0)
	e.Method, e.Path, e.UsageKind = http.MethodGet, "/v1/models", ""
	none := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string { return badRequest(w, "no") })
	require.Equal(t, []Result{{}}, handOver(t, "lunary", Settings{Lunary: LunaryConfig{Key: llmproxy.NewSecret("k"), BaseURL: none.URL}}, e))
	require.Equal(t, []Result{{}}, handOver(t, "helicone", Settings{Helicone: HeliconeConfig{Key: llmproxy.NewSecret("k"), BaseURL: none.URL}}, e))
	require.Zero(t, none.calls)
}

func TestABackendThatIsDownIsNotAskedForEachEvent(t *testing.T) {
	backend := newStub(t, nil)
	backend.mood = func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }
	results := handOver(t, "webhook", Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Parallel: 1}}, requests(50)...)
	require.Equal(t, failuresInARow, backend.calls)
	for _, r := range results {
		require.Error(t, r.Err)
		require.False(t, r.Poison)
	}
}

func TestAWSThatThrottlesIsLeftAlone(t *testing.T) {
	backend := newStub(t, nil)
	backend.mood = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	for _, r := range handOver(t, "s3", Settings{S3: S3Config{Bucket: "archive", AWS: onAWS(backend.URL), PathStyle: true}}, requests(2)...) {
		require.Equal(t, 5*time.Second, r.After)
		require.False(t, r.Poison)
	}
	require.Equal(t, 1, backend.calls, "the SDK does not try again by itself")
}

func TestSettingsThatCannotWorkAreErrors(t *testing.T) {
	key := llmproxy.NewSecret(fakeSecret)
	failing := AWSConfig(func(context.Context) (aws.Config, error) { return aws.Config{}, errors.New("no region") })
	for name, s := range map[string]Settings{
		"webhook":     {Webhook: WebhookConfig{URL: llmproxy.NewSecret("ftp://" + fakeSecret)}},
		"helicone":    {Helicone: HeliconeConfig{BaseURL: "https://example.com"}},
		"lunary":      {Lunary: LunaryConfig{}},
		"s3":          {},
		"cloudwatch":  {},
		"eventbridge": {},
	} {
		_, err := Open(name, s)
		require.ErrorContains(t, err, "the "+name+" destination")
		require.NotContains(t, err.Error(), fakeSecret)
	}
	for name, s := range map[string]Settings{
		"helicone": {Helicone: HeliconeConfig{Key: key, BaseURL: "nowhere"}},
		"lunary":   {Lunary: LunaryConfig{Key: key, BaseURL: "://"}},
		"webhook":  {Webhook: WebhookConfig{URL: llmproxy.NewSecret("https://example.com"), Secret: llmproxy.NewSecret("whsec_" + fakeSecret + "!")}},
	} {
		_, err := Open(name, s)
		require.Error(t, err)
		require.NotContains(t, err.Error(), fakeSecret)
	}
	for name, s := range map[string]Settings{
		"s3": {S3: S3Config{Bucket: "b", AWS: failing}}, "cloudwatch": {CloudWatch: CloudWatchConfig{Group: "g", AWS: failing}}, "eventbridge": {EventBridge: EventBridgeConfig{Bus: "b", AWS: failing}},
	} {
		d, err := Open(name, s)
		require.NoError(t, err)
		require.ErrorContains(t, d.Start(t.Context(), nil), "no region", "it is tried again by the loop")
	}
}

// TestNoCredentialIsInLogsOrDeadLetters: each backend quotes what it was sent in errors, once as a failure and then as poison.
func TestNoCredentialIsInLogsOrDeadLetters(t *testing.T) {
	for _, c := range destinationCases {
		t.Run(c.name, func(t *testing.T) {
			backend := newStub(t, nil)
			backend.mood = func(n int, w http.ResponseWriter, r *http.Request) bool {
				status := http.StatusBadRequest
				if n < 2 {
					status = http.StatusInternalServerError
				}
				http.Error(w, fmt.Sprintf("no: %s %s %s", r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Webhook-Signature")), status)
				return true
			}
			core, logs := observer.New(zap.DebugLevel)
			dead := filepath.Join(t.TempDir(), "dead.jsonl")
			address := backend.URL
			for range 2 { // the second time nobody listens
				dst, err := Open(c.name, c.open(address))
				require.NoError(t, err)
				src := newSource(requests(3)...)
				l := New(Config{Name: c.name, Source: src, Destination: dst, DeadLetters: dead, MaxAttempts: 3, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond, Log: zap.New(core)})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- l.Run(ctx) }()
				require.Eventually(t, func() bool { // CloudWatch fails before its first event
					return src.committed() == 3 || c.name == "cloudwatch" && l.Stats().Failing
				}, 30*time.Second, time.Millisecond)
				cancel()
				require.NoError(t, <-ended)
				require.NotContains(t, l.Stats().LastError, fakeSecret)
				backend.Close()
			}
			require.NotEmpty(t, logs.All())
			told := ""
			for _, entry := range logs.All() {
				fields, err := json.Marshal(entry.ContextMap())
				require.NoError(t, err)
				told += entry.Message + string(fields)
			}
			if c.name != "cloudwatch" {
				written, err := os.ReadFile(dead)
				require.NoError(t, err)
				require.NotEmpty(t, written)
				told += string(written)
			}
			require.NotContains(t, told, fakeSecret)
			require.NotContains(t, fmt.Sprintf("%+v %#v", c.open(address), c.open(address)), fakeSecret)
		})
	}
}

// TestNoPromptLeavesWhereBodiesAreNotWanted is H15: what is captured goes nowhere unless a destination needs it or is told to send it,
// and where nothing is captured there is nothing.
func TestNoPromptLeavesWhereBodiesAreNotWanted(t *testing.T) {
	const canary = "prompt-canary-0815"
	for _, c := range destinationCases {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex // calls may come several at once
			var sent []byte
			take := c.take()
			backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
				mu.Lock()
				defer mu.Unlock()
				if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
					plain, err := io.ReadAll(z)
					if err == nil {
						sent = append(sent, plain...)
					}
				}
				sent = append(sent, body...)
				return take(w, r, body)
			})
			poison, good := asked(strings.ReplaceAll(askHi, "Hi", canary), "text/event-stream", strings.ReplaceAll(streamsHello, "Hel", canary)), request(1)
			good.Request.Body, good.Response.Body = poison.Request.Body, poison.Response.Body
			poison.Path = poisonPath
			if c.name == "cloudwatch" {
				poison.Time = poison.Time.Add(-30 * 24 * time.Hour)
			}
			metadataOnly := c.name == "helicone" || c.name == "lunary" || c.name == "eventbridge" // they always get what was captured
			if metadataOnly {
				for _, e := range []*llmproxy.Event{poison, good} {
					e.Request.Body, e.Response.Body = nil, nil
				}
			}
			dst, err := Open(c.name, c.open(backend.URL))
			require.NoError(t, err)
			require.Equal(t, metadataOnly, dst.WantsBodies())
			src, dead := newSource(poison, good), filepath.Join(t.TempDir(), "dead.jsonl")
			core, logs := observer.New(zap.DebugLevel)
			l := New(Config{Name: c.name, Source: src, Destination: dst, DeadLetters: dead, Meter: Meter(price.Embedded()), Log: zap.New(core)})
			ctx, cancel := context.WithCancel(t.Context())
			src.onCommit = cancel
			require.NoError(t, l.Run(ctx))
			cancel()
			require.Contains(t, backend.ids(), good.ID.String())
			require.NotContains(t, string(sent), canary)
			if c.hasPoison {
				written, err := os.ReadFile(dead)
				require.NoError(t, err)
				require.NotContains(t, string(written), canary)
			}
			require.NotContains(t, fmt.Sprint(logs.All()), canary)
		})
	}
}
