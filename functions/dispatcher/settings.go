package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/emf"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

// settings come from the environment, which the template fills in.
type settings struct {
	Destination string `env:"LLM_PROXY_DESTINATION,notEmpty" help:"where to: s3, cloudwatch, helicone, lunary, webhook, eventbridge or ledger"`
	Queue       string `env:"LLM_PROXY_QUEUE,notEmpty" help:"URL of the queue that the events come from"`
	DeadLetters string `env:"LLM_PROXY_DEAD_LETTERS,notEmpty" help:"URL of the queue for events that the destination never takes"`
	EventBucket string `env:"LLM_PROXY_EVENT_BUCKET,notEmpty" help:"bucket that holds the bodies of events too large for the bus"`

	// Secret is read when the first events come, and again every few minutes. What stands in the environment wins over it.
	Secret string `env:"LLM_PROXY_DESTINATION_SECRET" help:"ARN of a secret with settings of the destination as JSON, by their names here"`

	Pause    time.Duration `env:"LLM_PROXY_DISPATCHER_PAUSE" help:"how long an event that failed is left alone the first time, and then four times as long each time (default: 1m)"`
	Metrics  string        `env:"LLM_PROXY_DELIVERY_NAMESPACE" help:"namespace of the metrics of the queue that CloudWatch makes from the log: delivered, retried, dead (default: none are made)"`
	Bodies   bool          `env:"LLM_PROXY_DISPATCHER_BODIES" help:"records have the captured bodies: true or false; helicone, lunary and eventbridge always get them (default: false)"`
	LogLevel zapcore.Level `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" help:"least severe level that is logged: debug, info, warn or error"`

	S3Bucket string `env:"LLM_PROXY_S3_BUCKET" help:"s3: bucket"`
	S3Prefix string `env:"LLM_PROXY_S3_PREFIX" help:"s3: prefix of the keys (default: events/)"`

	LogGroup  string `env:"LLM_PROXY_LOG_GROUP" help:"cloudwatch: log group"`
	LogStream string `env:"LLM_PROXY_LOG_STREAM" help:"cloudwatch: stream in the group (default: events)"`
	Namespace string `env:"LLM_PROXY_METRICS_NAMESPACE" help:"cloudwatch: namespace of the metrics (default: LlmProxy)"`

	HeliconeKey string `env:"HELICONE_API_KEY" help:"helicone: key"`
	HeliconeURL string `env:"LLM_PROXY_HELICONE_URL" help:"helicone: base URL"`
	LunaryKey   string `env:"LUNARY_PUBLIC_KEY" help:"lunary: the project's key"`
	LunaryURL   string `env:"LLM_PROXY_LUNARY_URL" help:"lunary: base URL"`

	WebhookURL    string `env:"LLM_PROXY_WEBHOOK_URL" help:"webhook: where to"`
	WebhookSecret string `env:"LLM_PROXY_WEBHOOK_SECRET" help:"webhook: signs each call, as standardwebhooks.com has it"`
	WebhookAuth   string `env:"LLM_PROXY_WEBHOOK_AUTHORIZATION" help:"webhook: value of the Authorization header"`
	WebhookAudit  bool   `env:"LLM_PROXY_WEBHOOK_AUDIT" help:"webhook: audit events are posted too"`

	LedgerTable string `env:"LLM_PROXY_LEDGER_TABLE" help:"ledger: table that it is kept in"`

	TargetBus string `env:"LLM_PROXY_TARGET_BUS" help:"eventbridge: name or ARN of another bus"`
}

// loadSettings reads the settings. An error names what is missing or wrong.
func loadSettings(environ []string) (settings, error) {
	s, err := base.Settings[settings](environ)
	if err == nil && !emf.IsNamespace(s.Metrics) {
		err = fmt.Errorf("settings: LLM_PROXY_DELIVERY_NAMESPACE is %q, %s", s.Metrics, emf.Rule)
	}
	return s, err
}

// destination is what the destinations are told.
func (s *settings) destination(cfg aws.Config) dispatch.Settings {
	load := func(context.Context) (aws.Config, error) { return cfg, nil }
	var ledger dispatch.LedgerStore
	if s.LedgerTable != "" {
		ledger = dynamo.NewLedger(cfg, dynamo.LedgerConfig{Table: s.LedgerTable})
	}
	return dispatch.Settings{
		S3:          dispatch.S3Config{Bucket: s.S3Bucket, Prefix: s.S3Prefix, Bodies: s.Bodies, AWS: load, PathStyle: base.PathStyle(cfg)},
		CloudWatch:  dispatch.CloudWatchConfig{Group: s.LogGroup, Stream: s.LogStream, Namespace: s.Namespace, Bodies: s.Bodies, AWS: load},
		Helicone:    dispatch.HeliconeConfig{Key: llmproxy.NewSecret(s.HeliconeKey), BaseURL: s.HeliconeURL},
		Lunary:      dispatch.LunaryConfig{Key: llmproxy.NewSecret(s.LunaryKey), BaseURL: s.LunaryURL},
		Ledger:      dispatch.LedgerConfig{Store: ledger},
		EventBridge: dispatch.EventBridgeConfig{Bus: s.TargetBus, AWS: load},
		Webhook: dispatch.WebhookConfig{
			URL: llmproxy.NewSecret(s.WebhookURL), Secret: llmproxy.NewSecret(s.WebhookSecret), Authorization: llmproxy.NewSecret(s.WebhookAuth), Bodies: s.Bodies, Audit: s.WebhookAudit,
		},
	}
}
