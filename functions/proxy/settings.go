package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/emf"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
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
	Metrics   string           `env:"LLM_PROXY_METRICS_NAMESPACE" help:"namespace of the metrics that CloudWatch makes from the log (default: none are made)"`
	LogLevel  zapcore.Level    `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" help:"least severe level that is logged: debug, info, warn or error"`
}

// loadSettings reads the settings. An error names all that are missing or wrong.
func loadSettings(environ []string) (settings, error) {
	s, err := base.Settings[settings](environ)
	if err != nil {
		return settings{}, err
	}
	if s.Capture != llmproxy.CaptureFull && s.Capture != llmproxy.CaptureMetadata {
		return settings{}, fmt.Errorf("settings: LLM_PROXY_CAPTURE is %q, it must be full or metadata", s.Capture)
	}
	if !emf.IsNamespace(s.Metrics) {
		return settings{}, fmt.Errorf("settings: LLM_PROXY_METRICS_NAMESPACE is %q, %s", s.Metrics, emf.Rule)
	}
	return s, nil
}

// metrics are what notes a request that has ended, nil for nothing, and what runs after its answer: flush, and before it what was noted
// is written.
func (s *settings) metrics(flush func(context.Context)) (observe func(*llmproxy.Event), after func(context.Context)) {
	if s.Metrics == "" {
		return nil, flush
	}
	m := &metrics{namespace: s.Metrics, function: cmp.Or(os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), "proxy"), lines: os.Stdout}
	return m.observe, func(ctx context.Context) {
		m.flush()
		flush(ctx)
	}
}

// keys open the provider keys of projects.
func (s *settings) keys(cfg aws.Config, log *zap.Logger) *seal.Opener {
	secrets := secretsmanager.NewFromConfig(cfg)
	return seal.New(seal.Config{
		Secrets: seal.FromSecretsManager(secrets, s.SealingSecret), References: seal.ReferencesIn(secrets, s.KeysPrefix), Log: log,
	})
}

// events is how the settings want the publisher.
func (s *settings) events(cfg aws.Config, log *zap.Logger) eventbridge.Config {
	return eventbridge.Config{
		Bus: sdkbridge.NewFromConfig(cfg), BusName: s.EventBus,
		Queue: sqs.NewFromConfig(cfg), QueueURL: s.SpillQueue,
		Bucket: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = base.PathStyle(cfg) }), BucketName: s.EventBucket,
		Lines: os.Stdout, Log: log,
	}
}
