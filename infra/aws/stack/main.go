//go:build unix

// Stack starts on this machine what functions and servers find on AWS, without an account: ministack for the bus, queues, bucket and
// secrets, Amazon's DynamoDB Local for the tables, and a stand-in for a provider. It tells what to paste into a shell. With -api it also
// builds the functions and serves them by `sam local start-api`, in containers as on AWS. It ends on Ctrl-C and keeps nothing.
//
//	go run ./infra/aws/stack [-api] [-addr 127.0.0.1:3000] [-providers providers.yaml]
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

// run starts everything, prints what to paste to out and what goes on to log, and serves until ctx ends. What it started has ended then.
func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	flags := flag.NewFlagSet("stack", flag.ContinueOnError)
	flags.SetOutput(log)
	api := flags.Bool("api", false, "serve the functions too, by sam local start-api in containers")
	addr := flags.String("addr", "127.0.0.1:3000", "with -api: where")
	providers := flags.String("providers", "", "a providers.yaml (default: a stand-in provider)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := projectRoot()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "llm-proxy-stack-")
	if err != nil {
		return err
	}
	s := &stack{root: root, work: work, log: log, providers: *providers}
	defer func() { err = errors.Join(err, s.close(), os.RemoveAll(work)) }()

	var engine *engine
	if *api {
		fmt.Fprintln(log, "looking for a container engine")
		if engine, err = s.startEngine(ctx); err != nil {
			return err
		}
	}
	if err := s.start(ctx, engine); err != nil {
		return err
	}
	if !*api {
		if err := s.print(out); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	ended, err := s.startAPI(ctx, engine, *addr)
	if err != nil {
		return err
	}
	if err := s.printAPI(out, *addr); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-ended:
		return errors.New("sam local start-api has ended by itself")
	}
}

// start starts the emulators and makes what the template would. With an engine, containers reach them too.
func (s *stack) start(ctx context.Context, engine *engine) error {
	fmt.Fprintln(s.log, "starting ministack and DynamoDB Local")
	type started struct {
		*dynamolocal.Server
		error
	}
	database := make(chan started, 1)
	go func() { // it takes the longest
		server, err := dynamolocal.Start(ctx)
		database <- started{server, err}
	}()
	err := s.startEmulator(ctx)
	if d := <-database; d.error != nil {
		err = errors.Join(err, d.error)
	} else {
		s.onClose(d.Close)
		s.dynamodb = d.URL
	}
	if err != nil {
		return err
	}
	if err := s.startProvider(ctx, engine); err != nil {
		return err
	}
	return s.create(ctx)
}

// projectRoot is the folder of the project that the command was started in or below.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "template.yaml")); err == nil {
			return dir, nil
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("this is not the project's folder")
}

// print tells what to paste for a server and for the SDKs.
func (s *stack) print(out io.Writer) error {
	var b strings.Builder
	b.WriteString("# Paste this into a shell. Ctrl-C here ends it all.\n")
	for _, v := range append(s.settings(s.url, s.dynamodb), setting{"ADMIN_PASSWORD", rand.Text()}, setting{"MANAGEMENT_TOKEN", s.management}) {
		fmt.Fprintf(&b, "export %s=%s\n", v.name, v.value)
	}
	b.WriteString("# Then, for example:\n#   bin/llm-proxy server\n#   llm-proxy manage project create --name Team --api-key-file key.txt\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (s *stack) printAPI(out io.Writer, addr string) error {
	_, err := fmt.Fprintf(out, "# Management and, buffered, the proxy. The first request to each takes a container's start. Ctrl-C here ends it all.\n"+
		"export OPENAI_BASE_URL=http://%[1]s/v1\nexport LLM_PROXY_MANAGE_API_BASE_URL=http://%[1]s\nexport MANAGEMENT_TOKEN=%[2]s\n", addr, s.management)
	return err
}
