package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/demo"
	standin "github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
)

// localStack is what a function finds on AWS, on this machine.
type localStack struct {
	env           map[string]string // of the proxy
	managementEnv map[string]string // of management and admin
	tables        dynamo.Config
	providers     *provider.Set
	token         string
	management    string // token
	password      string // of the admin site's one user
	notes         []string
}

// lambdaOrigins are where the functions are reached; the API's is empty where it has none.
type lambdaOrigins struct {
	url, api string
	admin    bool // there is one
}

// Names of what the stack has. Its tables have names of their own each time: what an earlier one has left in the engine could not be read, for
// its sealing secret is gone, and another one may be running.
const (
	localSealing = "llm-proxy-sealing"
	localManage  = "llm-proxy-operators"
	localKeys    = "llm-proxy/keys/"
)

// dropWithin is how long removing the tables may take.
const dropWithin = 5 * time.Second

// fakeCredentials are what the stand-ins are asked with: they take any.
const fakeCredentials = "fake"

// openLocalStack starts or finds its parts and makes a project and a token.
func openLocalStack(cmd *cobra.Command, f *lambdaFlags, closers *closers, tell func(string, ...any)) (*localStack, error) {
	ctx := cmd.Context()
	own := "llm-proxy-" + strings.ToLower(rand.Text()) + "-"
	s := &localStack{tables: dynamo.Config{Tokens: own + "tokens", Control: own + "control"}}
	key := llmproxy.NewSecret("sk-demo-no-real-key")
	if f.providers != "" {
		var err error
		if key, err = readKey(f.apiKeyFile, cmd.InOrStdin()); err != nil {
			return nil, err
		}
	}
	file, err := s.openProviders(ctx, f, closers)
	if err != nil {
		return nil, err
	}
	if f.dynamodb == "" {
		tell("starting DynamoDB Local")
		engine, err := dynamolocal.Start(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: start one yourself and name it with --dynamodb-url", err)
		}
		closers.add("DynamoDB Local", engine.Close)
		f.dynamodb = engine.URL
	}
	sealing := seal.NewSecret()
	public, err := seal.PublicKey(sealing)
	if err != nil {
		return nil, err
	}
	s.management, s.password = rand.Text()+rand.Text(), rand.Text()
	account := &standin.Cloud{Secrets: map[string]string{
		localSealing: sealing.Reveal(), localManage: fmt.Sprintf(`{"management_token":%q}`, s.management),
	}}
	if f.eventLog != "" {
		if account.Took, err = appendEvents(f.eventLog, closers); err != nil {
			return nil, err
		}
		s.notes = append(s.notes, "events: "+f.eventLog)
	}
	url, err := serveLoopback(ctx, account, closers)
	if err != nil {
		return nil, err
	}
	common := map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_ENDPOINT_URL_DYNAMODB": f.dynamodb, "AWS_ACCESS_KEY_ID": fakeCredentials, "AWS_SECRET_ACCESS_KEY": fakeCredentials,
		"GOMAXPROCS": "1", "LLM_PROXY_TOKENS_TABLE": s.tables.Tokens, "LLM_PROXY_CONTROL_TABLE": s.tables.Control, "LLM_PROXY_KEYS_PREFIX": localKeys, "LLM_PROXY_PROVIDERS": file,
		"LLM_PROXY_EVENT_BUS": "llm-proxy",
	}
	s.env = map[string]string{
		"GOGC": "400", "GOMEMLIMIT": fmt.Sprintf("%dMiB", f.memory*400/512), // as the template has it
		"LLM_PROXY_SEALING_SECRET": localSealing, "LLM_PROXY_SPILL_QUEUE": url + "/llm-proxy-spill",
		"LLM_PROXY_EVENT_BUCKET": "llm-proxy-bodies",
	}
	s.managementEnv = map[string]string{"LLM_PROXY_SEALING_PUBLIC_KEY": public, "LLM_PROXY_OPERATORS_SECRET": localManage, "ADMIN_PASSWORD": s.password}
	maps.Copy(s.env, common)
	maps.Copy(s.managementEnv, common)
	return s, s.mint(ctx, f.dynamodb, public, key, closers)
}

// openProviders returns the file that the function reads its upstreams from.
func (s *localStack) openProviders(ctx context.Context, f *lambdaFlags, closers *closers) (file string, err error) {
	if f.providers != "" {
		if file, err = filepath.Abs(f.providers); err != nil {
			return "", err
		}
		if s.providers, err = readProviders(&settings{Providers: file}); err != nil {
			return "", err
		}
		return file, nil
	}
	url, err := serveLoopback(ctx, demo.New(), closers)
	if err != nil {
		return "", err
	}
	yaml := fmt.Appendf(nil, "default: %[1]s\nproviders:\n  %[1]s:\n    preset: openai\n    base_url: %[2]s\n", demoProvider, url)
	if s.providers, err = provider.Parse("demo provider", yaml); err != nil {
		return "", err
	}
	temporary, err := os.CreateTemp("", "llm-proxy-providers-*.yaml")
	if err != nil {
		return "", err
	}
	closers.add("providers", func() error { return os.Remove(temporary.Name()) })
	_, err = temporary.Write(yaml)
	s.notes = append(s.notes, "Answers come from a built-in stand-in provider.")
	return temporary.Name(), errors.Join(err, temporary.Close())
}

// mint makes tables, a project and a token.
func (s *localStack) mint(ctx context.Context, url, public string, key llmproxy.Secret, closers *closers) (err error) {
	engine := aws.Config{
		Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(fakeCredentials, fakeCredentials, ""),
	}
	store := dynamo.New(engine, s.tables)
	defer func() { err = errors.Join(err, store.Close()) }()
	closers.add("tables", func() error { return s.drop(ctx, engine) })
	if err := store.CreateTables(ctx); err != nil {
		return err
	}
	sealer, err := seal.NewSealer(public)
	if err != nil {
		return err
	}
	service := newService(&settings{}, store, sealer, s.providers)
	actor := llmproxy.Actor{Name: "local"}
	project, err := service.CreateProject(ctx, actor, manage.NewProject{
		Name: "Local", APIKey: key, Endpoints: []llmproxy.EndpointGroup{llmproxy.GroupInference, llmproxy.GroupStored},
	})
	if err != nil {
		return err
	}
	_, secret, err := service.MintToken(ctx, actor, manage.NewToken{ProjectID: project.ID, Name: "local", DurationMinutes: int64(24 * time.Hour / time.Minute)})
	s.token = secret.Reveal()
	return err
}

// drop removes the tables from an engine that goes on without us.
func (s *localStack) drop(ctx context.Context, engine aws.Config) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropWithin) // the signal to stop has ended it
	defer cancel()
	client := dynamodb.NewFromConfig(engine)
	for _, name := range []string{s.tables.Tokens, s.tables.Control} {
		var none *types.ResourceNotFoundException
		if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil && !errors.As(err, &none) {
			return fmt.Errorf("remove the table %s: %w", name, err)
		}
	}
	return nil
}

// print shows what to paste: the outputs of the stack by their names, and how to use them.
func (s *localStack) print(out io.Writer, origins lambdaOrigins) error {
	paste := newBlock(origins.url, s.providers, s.providers.Default, s.token, s.notes...)
	text := "BaseUrl:   " + paste.base + "\n"
	if origins.api != "" {
		text += "ManageUrl: " + origins.api + "\n"
	}
	text += "\n" + paste.String()
	if origins.api != "" {
		text += fmt.Sprintf("\nexport %s=%s\nexport %s=%s\n\nllm-proxy manage token list\n", envManageURL, origins.api, envManageToken, s.management)
	}
	if origins.admin {
		text += fmt.Sprintf("\nsign in at %s/admin/api as admin with %s\n", origins.api, s.password)
	}
	_, err := io.WriteString(out, text)
	return err
}

// appendEvents opens a file and returns what adds an event to it.
func appendEvents(path string, closers *closers) (func(standin.Place, standin.Record), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, usageError("--event-log: %v", err)
	}
	closers.add("event log", file.Close)
	var mu sync.Mutex
	return func(_ standin.Place, r standin.Record) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := file.Write(append(r.JSON, '\n')); err != nil {
			fmt.Fprintln(os.Stderr, "the event log takes no events:", err)
		}
	}, nil
}

// serveLoopback serves a stand-in on a port of this machine until the end.
func serveLoopback(ctx context.Context, handler http.Handler, closers *closers) (url string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: proxy.ReadHeaderTimeout}
	go func() { _ = server.Serve(listener) }() // it ends when it is closed
	closers.add("stand-in", server.Close)
	return "http://" + listener.Addr().String(), nil
}
