package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/caarlos0/env/v11"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// settings come from the environment, which the template fills in.
type settings struct {
	TokensTable   string `env:"LLM_PROXY_TOKENS_TABLE,notEmpty" help:"table of tokens"`
	ControlTable  string `env:"LLM_PROXY_CONTROL_TABLE,notEmpty" help:"table of projects, listings and audit"`
	EventBus      string `env:"LLM_PROXY_EVENT_BUS,notEmpty" help:"bus that events are published to"`
	SpillQueue    string `env:"LLM_PROXY_SPILL_QUEUE,notEmpty" help:"URL of the queue for events that the bus does not take"`
	EventBucket   string `env:"LLM_PROXY_EVENT_BUCKET,notEmpty" help:"bucket for the bodies of events too large for the bus"`
	SealingSecret string `env:"LLM_PROXY_SEALING_SECRET,notEmpty" help:"name or ARN of the secret that provider keys are opened with"`
	KeysPrefix    string `env:"LLM_PROXY_KEYS_PREFIX,notEmpty" help:"how the names of secrets begin that projects may refer to, as stack/keys/"`

	Providers string           `env:"LLM_PROXY_PROVIDERS" help:"file with upstreams and their endpoints, a providers.yaml (default: OpenAI, built in)"`
	Capture   llmproxy.Capture `env:"LLM_PROXY_CAPTURE" envDefault:"full" help:"what is kept of bodies in events where a project does not say: full, or metadata for nothing"`
	LogLevel  zapcore.Level    `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" help:"least severe level that is logged: debug, info, warn or error"`
}

// loadSettings reads the settings. An error names all that are missing or wrong.
func loadSettings(environ []string) (settings, error) {
	s, err := env.ParseAsWithOptions[settings](env.Options{Environment: env.ToMap(environ)})
	if err != nil {
		return settings{}, fmt.Errorf("settings: %w", err)
	}
	if s.Capture != llmproxy.CaptureFull && s.Capture != llmproxy.CaptureMetadata {
		return settings{}, fmt.Errorf("settings: LLM_PROXY_CAPTURE is %q, it must be full or metadata", s.Capture)
	}
	return s, nil
}

// providers reads providers.yaml, or the one that is built in.
func (s *settings) providers() (*provider.Set, error) {
	if s.Providers == "" {
		return provider.Default(), nil
	}
	return provider.Load(s.Providers)
}

// events is how the settings want the publisher.
func (s *settings) events(cfg aws.Config, log *zap.Logger) eventbridge.Config {
	return eventbridge.Config{
		Bus: sdkbridge.NewFromConfig(cfg), BusName: s.EventBus,
		Queue: sqs.NewFromConfig(cfg), QueueURL: s.SpillQueue,
		Bucket: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil }), BucketName: s.EventBucket,
		Lines: os.Stdout, Log: log,
	}
}

// newLog logs JSON lines to standard error, which Lambda keeps.
func newLog(level zapcore.Level) (*zap.Logger, error) {
	cfg := zap.NewProductionConfig()
	cfg.Level = zap.NewAtomicLevelAt(level)
	cfg.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return cfg.Build()
}

// loadAWS reads where AWS is and who we are from the environment, which is all that Lambda has to say of it: the SDK's own way would
// look for profiles and metadata services too, and each binary would hold the code for it.
func loadAWS() (aws.Config, error) {
	e, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS settings: %w", err)
	}
	cfg := aws.Config{
		Region:      e.Region,
		Credentials: credentials.StaticCredentialsProvider{Value: e.Credentials},
		// A function that slept finds its connections cut without having been told: they are dropped before that.
		HTTPClient: &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: time.Second, KeepAlive: idleTimeout}).DialContext,
			TLSHandshakeTimeout:   time.Second,
			ResponseHeaderTimeout: 5 * time.Second,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConnsPerHost:   4,
			ForceAttemptHTTP2:     false,
		}},
		ConfigSources: []any{e},
	}
	if e.BaseEndpoint != "" {
		cfg.BaseEndpoint = &e.BaseEndpoint
	}
	return cfg, nil
}

// idleTimeout is how long an unused connection to AWS is kept.
const idleTimeout = 20 * time.Second
