package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
	"github.com/sofatutor/llm-proxy/internal/proxy"
)

// lambdaFlags are those of lambda serve.
type lambdaFlags struct {
	addr       string
	manageAddr string
	build      string
	proxy      string
	management string
	admin      string
	dynamodb   string
	providers  string
	apiKeyFile string
	eventLog   string
	timeout    time.Duration
	processes  int
	memory     int
}

func newLambdaCommand() *cobra.Command {
	lambda := &cobra.Command{
		Use:   "lambda",
		Short: "See on this machine what AWS will run",
		Long:  `Runs the Lambda functions of a stack on this machine, as they are built for AWS.`,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f lambdaFlags
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Run the built functions behind a streaming function URL and an HTTP API",
		Long: `Runs the functions of a stack as Lambda does: one request at a time in each
process, frozen between requests, killed at its deadline. The proxy stands
behind a function URL, which streams answers and refuses what has more than
6 MB; management behind an API Gateway, which leads /manage to it, sends answers
as a whole and waits 30 seconds. As root on Linux a process also has no more than
its memory, and the share of a processor that goes with it.

Without further words the two functions are built by the rule that sam build
uses, but for this machine, which takes the project's folder. Those that are
built already are named: by the folder that sam build wrote, or one by one, each
with its folder or its program. What sam build made runs here where it was built
for this machine: GOARCH=amd64 sam build, on most.

All stand on DynamoDB Local, which is fetched at the first use and needs Java,
and on stand-ins for EventBridge, SQS, S3 and Secrets Manager; no account is
needed and nothing is kept. A project and a token are made, for a stand-in
provider unless --providers and --api-key-file name a real one, a management
token, and with --admin a password to sign in with. Ctrl-C ends it all.

Standard output has what to paste, standard error the functions' log with the
platform's lines (START, END, REPORT).`,
		Example: `llm-proxy lambda serve
llm-proxy lambda serve --build .aws-sam/build --memory 128
llm-proxy lambda serve --proxy dist/proxy/bootstrap --timeout 30s
llm-proxy lambda serve --providers providers.yaml --api-key-file key.txt --event-log events.jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serveLambda(cmd, &f) },
	}
	flags := serve.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8080", "address of the function URL, host:port")
	flags.StringVar(&f.manageAddr, "manage-addr", "127.0.0.1:8081", "address of the HTTP API, host:port")
	flags.StringVar(&f.build, "build", "", "folder with a folder of each built function, .aws-sam/build (default: they are built)")
	flags.StringVar(&f.proxy, "proxy", "", "folder or program of the built proxy; it wins over --build")
	flags.StringVar(&f.management, "management", "", "folder or program of the built management function; it wins over --build")
	flags.StringVar(&f.admin, "admin", "", "folder or program of the built admin function, which the HTTP API leads /admin/api to; it wins over --build")
	flags.StringVar(&f.dynamodb, "dynamodb-url", "", "DynamoDB Local that runs already, such as http://127.0.0.1:8000 (default: one is started)")
	flags.StringVar(&f.providers, "providers", "", "file with upstreams, a providers.yaml (default: a stand-in provider)")
	flags.StringVar(&f.apiKeyFile, "api-key-file", "", "file with the key of the default provider; - reads standard input")
	flags.StringVar(&f.eventLog, "event-log", "", "file that events are added to as they reach bus or queue, a line of JSON each")
	flags.DurationVar(&f.timeout, "timeout", 15*time.Minute, "how long one request to the proxy may take, as the stack's Timeout")
	flags.IntVar(&f.processes, "processes", 10, "processes of a function at once, as the stack's ReservedConcurrency; beyond it is 429")
	flags.IntVar(&f.memory, "memory", 512, "MB of a process, as the stack's MemorySize; 1769 go with one whole processor")
	lambda.AddCommand(serve)
	return lambda
}

// check names what cannot be taken.
func (f *lambdaFlags) check() error {
	_, _, addrErr := net.SplitHostPort(f.addr)
	_, _, manageErr := net.SplitHostPort(f.manageAddr)
	switch {
	case (f.providers == "") != (f.apiKeyFile == ""):
		return usageError("--providers goes together with --api-key-file: give both or neither")
	case addrErr != nil:
		return usageError("--addr: %q is not host:port, such as 127.0.0.1:8080", f.addr)
	case manageErr != nil:
		return usageError("--manage-addr: %q is not host:port, such as 127.0.0.1:8081", f.manageAddr)
	case f.timeout < time.Second || f.timeout > 15*time.Minute:
		return usageError("--timeout must be from 1s to 15m, as on Lambda")
	case f.processes < 1:
		return usageError("--processes must be at least 1")
	case f.memory < 128 || f.memory > 10240:
		return usageError("--memory must be from 128 to 10240, as on Lambda")
	}
	return nil
}

func serveLambda(cmd *cobra.Command, f *lambdaFlags) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	closers := &closers{}
	defer func() { err = errors.Join(err, closers.close()) }()
	ctx := cmd.Context()
	tell := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }

	url, err := listen(ctx, &settings{Addr: f.addr}) // what can fail at once comes first
	if err != nil {
		return err
	}
	defer url.Close()
	functions, err := f.functions(ctx, tell, closers)
	if err != nil {
		return err
	}
	var api net.Listener
	if functions.management != "" || functions.admin != "" {
		if api, err = (&net.ListenConfig{}).Listen(ctx, "tcp", f.manageAddr); err != nil {
			return fmt.Errorf("%w: take another address: --manage-addr", err)
		}
		defer api.Close()
	}
	stack, err := openLocalStack(cmd, f, closers, tell)
	if ctx.Err() != nil {
		return errors.New("stopped before it served")
	}
	if err != nil {
		return err
	}
	l := &localLambda{flags: f, log: cmd.ErrOrStderr(), closers: closers, served: make(chan error, 2)}
	origins, err := l.open(stack, functions, url, api)
	if err != nil {
		return err
	}
	if err := stack.print(cmd.OutOrStdout(), origins); err != nil {
		return err
	}
	select {
	case err := <-l.served:
		return err
	case <-ctx.Done():
		return nil
	}
}

// localLambda runs functions and serves them. What it opens is closed with the rest.
type localLambda struct {
	flags   *lambdaFlags
	log     io.Writer
	closers *closers
	served  chan error // why a server ended
}

// open serves the proxy at its URL and the others, where there are any, at the API.
func (l *localLambda) open(stack *localStack, functions lambdaFunctions, url, api net.Listener) (origins lambdaOrigins, err error) {
	proxy, err := l.host("proxy", functions.proxy, stack.env, l.flags.timeout)
	if err != nil {
		return origins, err
	}
	l.serve(url, proxy.FunctionURL())
	origins.url = "http://" + url.Addr().String()
	if api == nil {
		return origins, nil
	}
	routes := map[string]*lambdahost.Host{}
	for route, function := range map[string]struct{ name, program string }{
		"/manage/{proxy+}":    {"management", functions.management},
		"/admin/api/{proxy+}": {"admin", functions.admin},
	} {
		if function.program == "" {
			continue
		}
		if routes[route], err = l.host(function.name, function.program, stack.managementEnv, managementTimeout); err != nil {
			return origins, err
		}
	}
	l.serve(api, lambdahost.API(routes))
	origins.api, origins.admin = "http://"+api.Addr().String(), functions.admin != ""
	return origins, nil
}

func (l *localLambda) host(name, program string, env map[string]string, timeout time.Duration) (*lambdahost.Host, error) {
	host, err := lambdahost.New(lambdahost.Config{
		Bootstrap: program, Name: name, Env: env, Timeout: timeout, Processes: l.flags.processes, MemoryMB: l.flags.memory, Limited: true, Log: l.log,
	})
	if err == nil {
		l.closers.add("function "+name, host.Close)
	}
	return host, err
}

func (l *localLambda) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: proxy.ReadHeaderTimeout, DisableGeneralOptionsHandler: true}
	go func() { l.served <- server.Serve(listener) }()
	l.closers.add("server", func() error {
		if err := server.Close(); !errors.Is(err, net.ErrClosed) { // whoever made the listener has closed it
			return err
		}
		return nil
	})
}

// managementTimeout is that of the template: what an API would wait for.
const managementTimeout = 29 * time.Second

// projectRoot is the folder of the project that the command was started in or below.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if fileExists(filepath.Join(dir, "go.mod")) && fileExists(filepath.Join(dir, "functions", "proxy")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", usageError("this is not the project's folder: start the command there, or name what is built with --build or --proxy")
		}
		dir = parent
	}
}
