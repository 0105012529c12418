// Package dynamolocal starts Amazon's DynamoDB Local: the real engine's own stand-in, for tests and for development without an
// account. It keeps its tables in memory and ends with whoever started it.
package dynamolocal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// How long the jars may take to arrive and the engine to start.
const (
	fetchPatience = 5 * time.Minute
	startPatience = time.Minute
)

// Server is a running engine.
type Server struct {
	URL string // http://127.0.0.1:port

	alive io.Closer     // its end is the engine's
	ended chan struct{} // closed when the engine has gone
	said  *tail         // the last of what it printed
}

// Start fetches the engine where it is not there yet, starts it on a free port and waits until it answers. An error tells what is
// missing, so that tests can skip with a reason.
func Start(ctx context.Context) (*Server, error) {
	jars, err := fetch(ctx)
	if err != nil {
		return nil, err
	}
	for range 3 { // another program may take the port between our look and the engine's start
		var s *Server
		if s, err = start(ctx, jars); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// fetch returns the folder of the jars.
func fetch(ctx context.Context) (string, error) {
	script, err := findScript()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, script).Output() //nolint:gosec // a file of this repository
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("DynamoDB Local cannot be fetched: %s", strings.TrimSpace(string(failed.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("DynamoDB Local cannot be fetched: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// findScript looks for the script that fetches, from the working folder upwards.
func findScript() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		script := filepath.Join(folder, "infra", "tools", "dynamodb-local", "fetch.sh")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("DynamoDB Local cannot be fetched: this is not the project's folder")
		}
		folder = parent
	}
}

// keeper runs the engine until its own standard input ends, also because the process that holds the other side was killed.
// It waits for the engine by its number: of what has ended already, `wait -n` knows nothing.
const keeper = `exec 3<&0
"$@" </dev/null 3<&- &
engine=$!
{ cat <&3; kill "$engine"; } >/dev/null 2>&1 &
trap 'kill $(jobs -p) 2>/dev/null' EXIT
wait "$engine"`

func start(ctx context.Context, jars string) (*Server, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	//nolint:gosec // the engine we fetched, on a port we chose; it lives until Close
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "bash", "-c", keeper, "dynamodb-local",
		"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Djava.library.path="+jars, "-cp", filepath.Join(jars, "*"),
		"com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", strconv.Itoa(port))
	s := &Server{URL: "http://127.0.0.1:" + strconv.Itoa(port), ended: make(chan struct{}), said: &tail{}}
	cmd.Stdout, cmd.Stderr = s.said, s.said
	if s.alive, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("DynamoDB Local does not start: %w", err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is told by what it printed
		close(s.ended)
	}()
	if err := s.waitUntilItAnswers(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// freePort is a port that nobody listens on at the moment.
func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *Server) waitUntilItAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		if answers(ctx, s.URL) {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("DynamoDB Local ended at its start: %s", s.said)
		case <-ctx.Done():
			return fmt.Errorf("DynamoDB Local does not answer: %w: %s", ctx.Err(), s.said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// answers reports whether something speaks HTTP there: the engine says 400 to a request without a signature.
func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return true
}

// Close ends the engine; its tables go with it.
func (s *Server) Close() error {
	err := s.alive.Close()
	<-s.ended
	return err
}

// Config is how a client reaches the engine. Its credentials are made up: the engine takes any.
func (s *Server) Config() aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(s.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "fake", SecretAccessKey: "fake"}, nil
		}),
	}
}
