package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

// dispatcherSettings are those of a dispatcher, each by environment variable or, where it has one, by flag; credentials have none.
// It also has the server's data folder and logs.
type dispatcherSettings struct {
	Service     string        `env:"LLM_PROXY_SERVICE" flag:"service" help:"where to: one of the services above"`
	Name        string        `env:"LLM_PROXY_DISPATCHER_NAME" flag:"name" help:"name of the cursor and the dead letters (default: the service)"`
	Bodies      bool          `env:"LLM_PROXY_DISPATCHER_BODIES" flag:"bodies" help:"records have the captured bodies: true or false; helicone, lunary and eventbridge always get them (default: false)"`
	MaxAttempts int           `env:"LLM_PROXY_DISPATCHER_MAX_ATTEMPTS" flag:"max-attempts" help:"tries of an event before it goes to the dead letters; 0 has no limit while the service takes nothing (default: 0, in a redrive 5)"`
	BatchSize   int           `env:"LLM_PROXY_DISPATCHER_BATCH_SIZE" flag:"batch-size" help:"events delivered together at most (default: what suits the service)"`
	Linger      time.Duration `env:"LLM_PROXY_DISPATCHER_LINGER" flag:"linger" help:"how long events wait for others to be delivered with (default: what suits the service)"`
	GiveUp      time.Duration `env:"LLM_PROXY_DISPATCHER_GIVE_UP" envDefault:"1m" flag:"give-up" help:"with --once: how long the service may fail before the dispatcher ends with exit code 4"`
	MetricsAddr string        `env:"LLM_PROXY_DISPATCHER_METRICS_ADDR" envDefault:"off" flag:"metrics-addr" help:"loopback address of the dispatcher's /metrics and /health, such as 127.0.0.1:9091; off has neither"`
	Prices      string        `env:"LLM_PROXY_PRICES" flag:"prices" help:"file with prices in place of those that are built in, JSON or YAML"`

	From  busKind       `env:"LLM_PROXY_DISPATCHER_BUS" envDefault:"spool" flag:"bus" help:"where events come from: spool, on this machine; eventbridge, a queue behind the bus of a stack on AWS"`
	Queue string        `env:"LLM_PROXY_DISPATCHER_QUEUE" flag:"queue" help:"with eventbridge, and implies it: URL of the queue (default: that behind the rule of this --name on --event-bus)"`
	Pause time.Duration `env:"LLM_PROXY_DISPATCHER_PAUSE" envDefault:"1m" flag:"pause" help:"with eventbridge: how long an event that failed is left alone the first time, and then four times as long each time"`

	File string `env:"LLM_PROXY_DISPATCHER_FILE" flag:"file" help:"file: path of the log"`

	WebhookURL    string `env:"LLM_PROXY_WEBHOOK_URL" secret:"true" help:"webhook: where to"`
	LoggingURL    string `env:"LOGGING_URL" secret:"true" help:"the same, under its older name"`
	WebhookSecret string `env:"LLM_PROXY_WEBHOOK_SECRET" secret:"true" help:"webhook: signs each call, as standardwebhooks.com has it"`
	WebhookAuth   string `env:"LLM_PROXY_WEBHOOK_AUTHORIZATION" secret:"true" help:"webhook: value of the Authorization header"`
	WebhookBatch  int    `env:"LLM_PROXY_WEBHOOK_BATCH" flag:"webhook-batch" help:"webhook: events in one call; more than one are posted as a list (default: 1)"`
	WebhookAudit  bool   `env:"LLM_PROXY_WEBHOOK_AUDIT" flag:"webhook-audit" help:"webhook: audit events are posted too"`

	HeliconeKey string `env:"HELICONE_API_KEY" secret:"true" help:"helicone: key"`
	HeliconeURL string `env:"LLM_PROXY_HELICONE_URL" flag:"helicone-url" help:"helicone: base URL (default: https://api.worker.helicone.ai)"`

	LunaryKey string `env:"LUNARY_PUBLIC_KEY" secret:"true" help:"lunary: the project's key"`
	LunaryURL string `env:"LLM_PROXY_LUNARY_URL" flag:"lunary-url" help:"lunary: base URL (default: https://api.lunary.ai)"`

	S3Bucket    string `env:"LLM_PROXY_S3_BUCKET" flag:"s3-bucket" help:"s3: bucket"`
	S3Prefix    string `env:"LLM_PROXY_S3_PREFIX" flag:"s3-prefix" help:"s3: prefix of the keys (default: events/)"`
	S3PathStyle bool   `env:"LLM_PROXY_S3_PATH_STYLE" flag:"s3-path-style" help:"s3, eventbridge: the bucket stands in the path, for stores that speak S3: true or false (default: false)"`

	LogGroup  string `env:"LLM_PROXY_LOG_GROUP" flag:"log-group" help:"cloudwatch: log group, made if it is not there"`
	LogStream string `env:"LLM_PROXY_LOG_STREAM" flag:"log-stream" help:"cloudwatch: stream in the group (default: events)"`
	Namespace string `env:"LLM_PROXY_METRICS_NAMESPACE" flag:"metrics-namespace" help:"cloudwatch: namespace of the metrics (default: LlmProxy)"`

	Bus         string `env:"LLM_PROXY_EVENT_BUS" flag:"event-bus" help:"name or ARN of a bus: for the service eventbridge where to, with --bus eventbridge where from"`
	EventBucket string `env:"LLM_PROXY_EVENT_BUCKET" flag:"event-bucket" help:"bucket for the bodies of events too large for a bus: for the service eventbridge where they are put, with --bus eventbridge where they lie"`

	base settings // data folder and log
}

// dispatcherBase are the flags that a dispatcher shares with the server.
var dispatcherBase = []string{"data-dir", "db", "ledger-table", "log-level", "log-file"}

// addDispatcherSettings gives a command the flags of a dispatcher, without those that it has no use for.
func addDispatcherSettings(cmd *cobra.Command, without ...string) {
	addSettings(cmd, dispatcherBase...)
	for field := range reflect.TypeFor[dispatcherSettings]().Fields() {
		name := field.Tag.Get("flag")
		if name == "" || slices.Contains(without, name) {
			continue
		}
		addDispatcherFlag(cmd, field)
		if field.Type.Kind() == reflect.Bool {
			cmd.Flags().Lookup(name).NoOptDefVal = "true"
		}
	}
}

func addDispatcherFlag(cmd *cobra.Command, field reflect.StructField) {
	name := field.Tag.Get("flag")
	cmd.Flags().String(name, "", fmt.Sprintf("%s [%s]", field.Tag.Get("help"), field.Tag.Get("env")))
	if value := field.Tag.Get("envDefault"); value != "" {
		cmd.Flags().Lookup(name).DefValue = value
	}
}

// addQueueSettings adds the flags that name a queue.
func addQueueSettings(cmd *cobra.Command) {
	for field := range reflect.TypeFor[dispatcherSettings]().Fields() {
		if slices.Contains([]string{"From", "Queue", "Bus"}, field.Name) {
			addDispatcherFlag(cmd, field)
		}
	}
}

// loadDispatcherSettings reads flags and environment. All that cannot be taken is named in one error.
func loadDispatcherSettings(cmd *cobra.Command) (dispatcherSettings, error) {
	s, err := parseDispatcherSettings(cmd)
	if err != nil {
		return dispatcherSettings{}, err
	}
	if problems := s.check(); problems != nil {
		return dispatcherSettings{}, usageError("%s", strings.Join(problems, "\n"))
	}
	return s, nil
}

// parseDispatcherSettings is [loadDispatcherSettings] without a look at whether they make sense together.
func parseDispatcherSettings(cmd *cobra.Command) (dispatcherSettings, error) {
	base, err := loadSettings(cmd)
	if err != nil {
		return dispatcherSettings{}, err
	}
	environment := env.ToMap(os.Environ())
	for field := range reflect.TypeFor[dispatcherSettings]().Fields() {
		if flag := cmd.Flags().Lookup(field.Tag.Get("flag")); flag != nil && flag.Changed {
			environment[field.Tag.Get("env")] = flag.Value.String()
		}
	}
	s := dispatcherSettings{base: base}
	var problems []string
	err = env.ParseWithOptions(&s, env.Options{Environment: environment})
	var all env.AggregateError
	if errors.As(err, &all) {
		for _, one := range all.Errors {
			problems = append(problems, dispatcherProblem(one))
		}
	} else if err != nil {
		problems = append(problems, err.Error())
	}
	if problems != nil {
		return dispatcherSettings{}, usageError("%s", strings.Join(problems, "\n"))
	}
	if s.Name == "" {
		s.Name = s.Service
	}
	if s.Queue != "" {
		s.From = busEventBridge
	}
	if s.WebhookURL == "" {
		s.WebhookURL = s.LoggingURL
	}
	return s, nil
}

// dispatcherProblem names the setting that cannot be read.
func dispatcherProblem(err error) string {
	var parse env.ParseError
	if errors.As(err, &parse) {
		if field, ok := reflect.TypeFor[dispatcherSettings]().FieldByName(parse.Name); ok {
			return fmt.Sprintf("--%s (%s): %v", field.Tag.Get("flag"), field.Tag.Get("env"), parse.Err)
		}
	}
	return err.Error()
}

// check names what makes no sense.
func (s *dispatcherSettings) check() (problems []string) {
	if !slices.Contains(dispatch.Names(), s.Service) {
		problems = append(problems, fmt.Sprintf("--service (LLM_PROXY_SERVICE): %q is none of %s", s.Service, strings.Join(dispatch.Names(), ", ")))
	}
	problems = append(problems, s.checkBus()...)
	for name, n := range map[string]int64{
		"--pause (LLM_PROXY_DISPATCHER_PAUSE)":               int64(s.Pause),
		"--max-attempts (LLM_PROXY_DISPATCHER_MAX_ATTEMPTS)": int64(s.MaxAttempts), "--batch-size (LLM_PROXY_DISPATCHER_BATCH_SIZE)": int64(s.BatchSize),
		"--linger (LLM_PROXY_DISPATCHER_LINGER)": int64(s.Linger), "--give-up (LLM_PROXY_DISPATCHER_GIVE_UP)": int64(s.GiveUp), "--webhook-batch (LLM_PROXY_WEBHOOK_BATCH)": int64(s.WebhookBatch),
	} {
		if n < 0 {
			problems = append(problems, name+": must not be negative")
		}
	}
	if s.MetricsAddr != metricsOff && !isLoopback(s.MetricsAddr) {
		problems = append(problems, fmt.Sprintf("--metrics-addr (LLM_PROXY_DISPATCHER_METRICS_ADDR): %q is not a loopback address such as 127.0.0.1:9091", s.MetricsAddr))
	}
	slices.Sort(problems)
	return problems
}

// checkBus names what a queue lacks to be found by.
func (s *dispatcherSettings) checkBus() []string {
	switch {
	case s.From == busSpool || s.Queue != "":
	case s.Service == string(busEventBridge):
		return []string{"--queue (LLM_PROXY_DISPATCHER_QUEUE): name the queue: --event-bus is where this service brings events"}
	case s.Bus == "":
		return []string{"--event-bus (LLM_PROXY_EVENT_BUS): name the bus, or the queue with --queue"}
	}
	return nil
}

// destination is what the destinations are told.
func (s *dispatcherSettings) destination() dispatch.Settings {
	return dispatch.Settings{
		File: dispatch.FileConfig{Path: s.File, Bodies: s.Bodies},
		Webhook: dispatch.WebhookConfig{
			URL: llmproxy.NewSecret(s.WebhookURL), Secret: llmproxy.NewSecret(s.WebhookSecret), Authorization: llmproxy.NewSecret(s.WebhookAuth),
			Batch: s.WebhookBatch, Bodies: s.Bodies, Audit: s.WebhookAudit,
		},
		Helicone:    dispatch.HeliconeConfig{Key: llmproxy.NewSecret(s.HeliconeKey), BaseURL: s.HeliconeURL},
		Lunary:      dispatch.LunaryConfig{Key: llmproxy.NewSecret(s.LunaryKey), BaseURL: s.LunaryURL},
		S3:          dispatch.S3Config{Bucket: s.S3Bucket, Prefix: s.S3Prefix, PathStyle: s.S3PathStyle, Bodies: s.Bodies},
		CloudWatch:  dispatch.CloudWatchConfig{Group: s.LogGroup, Stream: s.LogStream, Namespace: s.Namespace, Bodies: s.Bodies},
		EventBridge: dispatch.EventBridgeConfig{Bus: s.Bus, Bucket: s.EventBucket, PathStyle: s.S3PathStyle},
	}
}

// prices is the table of what models cost.
func (s *dispatcherSettings) prices() (*price.Table, error) {
	if s.Prices == "" {
		return price.Embedded(), nil
	}
	return price.Embedded().WithFile(s.Prices)
}
