//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bridgetypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

// Names of what the stack has.
const (
	region    = "us-east-1"
	anyKey    = "fake" // the emulators take any credentials
	tokens    = "llm-proxy-tokens"
	control   = "llm-proxy-control"
	bus       = "llm-proxy-events"
	bucket    = "llm-proxy-bucket"
	sealing   = "llm-proxy-sealing"
	operators = "llm-proxy-operators"
	keys      = "llm-proxy/keys/"
)

// startPatience is how long an emulator may take to answer on a busy machine.
const startPatience = time.Minute

// stack is what functions and servers find on AWS.
type stack struct {
	root, work string // folders: the project, and one that goes in the end
	log        io.Writer
	closers    []func() error

	url        string // of the emulator
	dynamodb   string
	providers  string // file that names the providers
	spill      string // URLs of queues
	requests   string
	publicKey  string
	management string // token
}

func (s *stack) onClose(f func() error) { s.closers = append(s.closers, f) }

// close ends what was started, the last one first.
func (s *stack) close() (err error) {
	for _, f := range slices.Backward(s.closers) {
		err = errors.Join(err, f())
	}
	return err
}

// startEmulator starts ministack with an environment of its own: nothing of ours may help or hinder it.
func (s *stack) startEmulator(ctx context.Context) error {
	program, err := tool("ministack", "ministack")
	if err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	s.url = "http://127.0.0.1:" + port
	p, err := s.startKept([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.work, "TMPDIR=" + s.work, "BIND_HOST=127.0.0.1", "GATEWAY_PORT=" + port, "LOG_LEVEL=WARNING",
		"AWS_ENDPOINT_URL=" + s.url, "AWS_ACCESS_KEY_ID=" + anyKey, "AWS_SECRET_ACCESS_KEY=" + anyKey, "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
	}, program)
	if err != nil {
		return err
	}
	return p.await(ctx, "ministack", startPatience, func(ctx context.Context) error { return answers(ctx, s.url+"/_ministack/health") })
}

// answers asks whether something serves at a URL.
func answers(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// startProvider serves the stand-in provider where no other is named, and writes the file that names it.
func (s *stack) startProvider(ctx context.Context, engine *engine) error {
	if s.providers != "" {
		path, err := filepath.Abs(s.providers)
		s.providers = path
		return err
	}
	where, private := "127.0.0.1", ""
	if engine != nil {
		where, private = engine.listen, "    private: true\n"
	}
	address, err := s.serve(ctx, where, demo.New())
	if err != nil {
		return err
	}
	if engine != nil {
		address = engine.sees(address)
	}
	s.providers = filepath.Join(s.work, "providers.yaml")
	return os.WriteFile(s.providers, fmt.Appendf(nil, "default: openai\nproviders:\n  openai:\n    preset: openai\n    base_url: http://%s\n%s", address, private), 0o600)
}

// serve serves on a free port of an address of this machine until the end.
func (s *stack) serve(ctx context.Context, where string, handler http.Handler) (address string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(where, "0"))
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // it ends when it is closed
	s.onClose(server.Close)
	return listener.Addr().String(), nil
}

// reachable is the URL at which containers reach a server of this machine.
func (s *stack) reachable(ctx context.Context, engine *engine, target string) (string, error) {
	to, err := url.Parse(target)
	if err != nil {
		return "", err
	}
	address, err := s.serve(ctx, engine.listen, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}})
	return "http://" + engine.sees(address), err
}

// config is how the SDK reaches an emulator.
func config(url string) aws.Config {
	return aws.Config{Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(anyKey, anyKey, "")}
}

// create makes what the template would: tables, bus, bucket, queues, the rule between them, and secrets.
func (s *stack) create(ctx context.Context) error {
	if err := s.createTables(ctx); err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	if err := s.createSecrets(ctx); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	if err := s.createEvents(ctx); err != nil {
		return fmt.Errorf("bus, queues and bucket: %w", err)
	}
	return nil
}

func (s *stack) createTables(ctx context.Context) (err error) {
	store := dynamo.New(config(s.dynamodb), dynamo.Config{Tokens: tokens, Control: control})
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.CreateTables(ctx)
}

func (s *stack) createSecrets(ctx context.Context) (err error) {
	secret := seal.NewSecret()
	if s.publicKey, err = seal.PublicKey(secret); err != nil {
		return err
	}
	s.management = "local-" + rand.Text() + rand.Text()
	client := secretsmanager.NewFromConfig(config(s.url))
	for name, value := range map[string]string{sealing: secret.Reveal(), operators: `{"management_token":"` + s.management + `"}`} {
		if _, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
			return err
		}
	}
	return nil
}

func (s *stack) createEvents(ctx context.Context) error {
	if _, err := s3.NewFromConfig(config(s.url)).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}, func(o *s3.Options) { o.UsePathStyle = true }); err != nil {
		return err
	}
	queues := sqs.NewFromConfig(config(s.url))
	for name, address := range map[string]*string{"llm-proxy-spill": &s.spill, "llm-proxy-requests": &s.requests} {
		queue, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name})
		if err != nil {
			return err
		}
		*address = *queue.QueueUrl
	}
	queue, err := queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &s.requests, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn}})
	if err != nil {
		return err
	}
	events := eventbridge.NewFromConfig(config(s.url))
	if _, err := events.CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: aws.String(bus)}); err != nil {
		return err
	}
	if _, err := events.PutRule(ctx, &eventbridge.PutRuleInput{
		Name: aws.String("requests"), EventBusName: aws.String(bus), EventPattern: aws.String(`{"source":["llm-proxy"],"detail-type":["request"]}`),
	}); err != nil {
		return err
	}
	_, err = events.PutTargets(ctx, &eventbridge.PutTargetsInput{
		Rule: aws.String("requests"), EventBusName: aws.String(bus),
		Targets: []bridgetypes.Target{{Id: aws.String("queue"), Arn: aws.String(queue.Attributes["QueueArn"])}},
	})
	return err
}

// setting is an environment variable.
type setting struct{ name, value string }

// settings are what servers and functions are told, who reach the emulators at these URLs.
func (s *stack) settings(emulator, dynamodb string) []setting {
	return []setting{
		{"AWS_ENDPOINT_URL", emulator},
		{"AWS_ENDPOINT_URL_DYNAMODB", dynamodb},
		{"AWS_REGION", region},
		{"AWS_ACCESS_KEY_ID", anyKey},
		{"AWS_SECRET_ACCESS_KEY", anyKey},
		{"LLM_PROXY_STORE", "dynamodb"},
		{"LLM_PROXY_TOKENS_TABLE", tokens},
		{"LLM_PROXY_CONTROL_TABLE", control},
		{"LLM_PROXY_SEALING_SECRET", sealing},
		{"LLM_PROXY_KEYS_PREFIX", keys},
		{"LLM_PROXY_BUS", "eventbridge"},
		{"LLM_PROXY_EVENT_BUS", bus},
		{"LLM_PROXY_SPILL_QUEUE", s.spill},
		{"LLM_PROXY_EVENT_BUCKET", bucket},
		{"LLM_PROXY_PROVIDERS", s.providers},
	}
}
