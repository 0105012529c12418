package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
	"github.com/sofatutor/llm-proxy/internal/proxy"
)

// lambdaFlags are those of lambda serve.
type lambdaFlags struct {
	addr       string
	bootstrap  string
	dynamodb   string
	providers  string
	apiKeyFile string
	eventLog   string
	timeout    time.Duration
	processes  int
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
		Short: "Run the built proxy function behind a streaming function URL",
		Long: `Builds the function of the proxy by the rule that sam build uses, but for this
machine, and runs it as Lambda does: one request at a time in each process,
frozen between requests, killed at its deadline, behind a function URL that
streams answers and refuses what has more than 6 MB.

It stands on DynamoDB Local, which is fetched at the first use and needs Java,
and on stand-ins for EventBridge, SQS, S3 and Secrets Manager; no account is
needed and nothing is kept. A project and a token are made, for a stand-in
provider unless --providers and --api-key-file name a real one. It is a command
for the project's folder and for Linux; Ctrl-C ends it.

Standard output has what to paste, standard error the function's log with the
platform's lines (START, END, REPORT).`,
		Example: `llm-proxy lambda serve
llm-proxy lambda serve --event-log events.jsonl --timeout 30s
llm-proxy lambda serve --providers providers.yaml --api-key-file key.txt`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serveLambda(cmd, &f) },
	}
	flags := serve.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8080", "address of the function URL, host:port")
	flags.StringVar(&f.bootstrap, "bootstrap", "", "program of the function (default: it is built with make build-Proxy)")
	flags.StringVar(&f.dynamodb, "dynamodb-url", "", "DynamoDB Local that runs already, such as http://127.0.0.1:8000 (default: one is started)")
	flags.StringVar(&f.providers, "providers", "", "file with upstreams, a providers.yaml (default: a stand-in provider)")
	flags.StringVar(&f.apiKeyFile, "api-key-file", "", "file with the key of the default provider; - reads standard input")
	flags.StringVar(&f.eventLog, "event-log", "", "file that events are added to as they reach bus or queue, a line of JSON each")
	flags.DurationVar(&f.timeout, "timeout", 15*time.Minute, "how long one request may take, as the stack's Timeout")
	flags.IntVar(&f.processes, "processes", 10, "processes at once, as the stack's ReservedConcurrency; beyond it is 429")
	lambda.AddCommand(serve)
	return lambda
}

// check names what cannot be taken.
func (f *lambdaFlags) check() error {
	_, _, addrErr := net.SplitHostPort(f.addr)
	switch {
	case (f.providers == "") != (f.apiKeyFile == ""):
		return usageError("--providers goes together with --api-key-file: give both or neither")
	case addrErr != nil:
		return usageError("--addr: %q is not host:port, such as 127.0.0.1:8080", f.addr)
	case f.timeout < time.Second || f.timeout > 15*time.Minute:
		return usageError("--timeout must be from 1s to 15m, as on Lambda")
	case f.processes < 1:
		return usageError("--processes must be at least 1")
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

	listener, err := listen(ctx, &settings{Addr: f.addr}) // what can fail at once comes first
	if err != nil {
		return err
	}
	defer listener.Close()
	if f.bootstrap == "" {
		tell("building the function")
		if f.bootstrap, err = buildBootstrap(ctx, closers); err != nil {
			return err
		}
	}
	stack, err := openLocalStack(cmd, f, closers, tell)
	if ctx.Err() != nil {
		return errors.New("stopped before it served")
	}
	if err != nil {
		return err
	}
	host, err := lambdahost.New(lambdahost.Config{
		Bootstrap: f.bootstrap, Name: "proxy", Env: stack.env, Timeout: f.timeout, Processes: f.processes, Log: cmd.ErrOrStderr(),
	})
	if err != nil {
		return err
	}
	closers.add("function", host.Close)
	server := &http.Server{Handler: host.FunctionURL(), ReadHeaderTimeout: proxy.ReadHeaderTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := stack.print(cmd.OutOrStdout(), "http://"+listener.Addr().String()); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// buildBootstrap builds the function by the rule of the Makefile, for this machine.
func buildBootstrap(ctx context.Context, closers *closers) (string, error) {
	root, err := projectRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "llm-proxy-lambda-")
	if err != nil {
		return "", err
	}
	closers.add("the built function", func() error { return os.RemoveAll(dir) })
	//nolint:gosec // a rule of this project
	build := exec.CommandContext(ctx, "make", "-C", root, "build-Proxy", "ARTIFACTS_DIR="+dir, "GOARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the function: %w\n%s", err, out)
	}
	return filepath.Join(dir, "bootstrap"), nil
}

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
			return "", usageError("this is not the project's folder: start the command there, or give it a built function with --bootstrap")
		}
		dir = parent
	}
}
