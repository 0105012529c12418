package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/sofatutor/llm-proxy/internal/bench"
)

// benchmarkFlags are those of benchmark.
type benchmarkFlags struct {
	endpoint

	path        string
	method      string
	model       string
	requests    int64
	concurrency int
	rate        float64
	duration    time.Duration
	warmup      int
	timeout     time.Duration
	stream      bool
	body        string
	bodyFile    string
	json        bool
	html        string
}

// usualRequests is how many are sent where neither a number nor a duration is given.
const usualRequests = 100

func newBenchmarkCommand() *cobra.Command {
	var f benchmarkFlags
	cmd := &cobra.Command{
		Use:   "benchmark",
		Short: "Put an API under load and tell how long it takes",
		Long: `Sends requests and tells how long answers, first bytes and the gaps of streams
took, and which errors there were. Without --rate each of the --concurrency
connections sends its next request when it has its answer. With --rate requests
are due at an even pace, and times count from when one was due: a server that
stalls then shows it (corrected for coordinated omission).

Ctrl-C ends the run with the report of what ran. The exit code is 0 if every
request succeeded, 3 if every one was refused, 4 if none was answered, else 1.
Requests count against the token's limits, and a real provider bills them.`,
		Example: `llm-proxy benchmark --requests 1000 --concurrency 10
llm-proxy benchmark --rate 50 --duration 1m --stream --html report.html
llm-proxy benchmark --base-url https://llm.example.com --endpoint /v1/responses --token-file token.txt --body-file request.json --json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runBenchmark(cmd, &f) },
	}
	f.addFlags(cmd)
	return cmd
}

func (f *benchmarkFlags) addFlags(cmd *cobra.Command) {
	f.endpoint.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.path, "endpoint", "/v1/chat/completions", "path to ask, added to the base URL; a /v1 that stands in both is taken once")
	flags.StringVar(&f.method, "method", "", "method (default: POST where there is a body, else GET)")
	flags.StringVar(&f.model, "model", defaultModel, "model in the built-in bodies")
	flags.Int64Var(&f.requests, "requests", 0, "requests to send; with --duration at most so many (default: 100 without --duration)")
	flags.IntVar(&f.concurrency, "concurrency", 10, "requests under way at once")
	flags.Float64Var(&f.rate, "rate", 0, "requests a second (default: as fast as answers come)")
	flags.DurationVar(&f.duration, "duration", 0, "how long requests are begun, such as 30s")
	flags.Lookup("duration").DefValue = ""
	flags.IntVar(&f.warmup, "warmup", 0, "requests to send before that are not counted")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long one request may take")
	flags.BoolVar(&f.stream, "stream", false, `ask for event streams: sets "stream": true in the body`)
	flags.StringVar(&f.body, "body", "", "body to send (default: a short one that fits the endpoint)")
	flags.StringVar(&f.bodyFile, "body-file", "", "file with the body; - reads standard input")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	flags.StringVar(&f.html, "html", "", "file for the result as one page of HTML with plots")
}

func runBenchmark(cmd *cobra.Command, f *benchmarkFlags) error {
	plan, err := f.plan(cmd)
	if err != nil {
		return err
	}
	run, err := bench.New(plan)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if f.html != "" { // before the load, not after it, it is to be known that the report has no place
		if err := os.WriteFile(f.html, nil, 0o600); err != nil {
			return usageError("--html: %v", err)
		}
	}
	result := runWithProgress(cmd.Context(), run, &plan, cmd.ErrOrStderr())
	err = f.report(result, cmd.OutOrStdout())
	if err == nil && f.html != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "the report is in %s\n", f.html)
	}
	return errors.Join(err, benchmarkVerdict(result))
}

// plan is what the flags ask for.
func (f *benchmarkFlags) plan(cmd *cobra.Command) (bench.Plan, error) {
	var problems []string
	for _, c := range []struct {
		bad bool
		say string
	}{
		{f.requests < 0 || cmd.Flags().Changed("requests") && f.requests == 0, "--requests must be at least 1"},
		{f.concurrency < 1 || f.concurrency > 10_000, "--concurrency must be from 1 to 10000"},
		{f.rate < 0 || cmd.Flags().Changed("rate") && f.rate == 0, "--rate must be above 0"},
		{f.duration < 0, "--duration must be above 0"},
		{f.warmup < 0, "--warmup must not be negative"},
		{f.timeout <= 0, "--timeout must be above 0"},
		{f.body != "" && f.bodyFile != "", "give one of --body and --body-file"},
		{f.bodyFile == "-" && f.tokenFile == "-", "--body-file and --token-file cannot both be standard input"},
		{!strings.HasPrefix(f.path, "/"), "--endpoint must begin with /"},
	} {
		if c.bad {
			problems = append(problems, c.say)
		}
	}
	if problems != nil {
		return bench.Plan{}, usageError("%s", strings.Join(problems, "\n"))
	}
	base, token, err := f.resolve(cmd)
	if err != nil {
		return bench.Plan{}, err
	}
	body, err := f.readBody(cmd.InOrStdin())
	if err != nil {
		return bench.Plan{}, err
	}
	plan := bench.Plan{
		Method: f.method, URL: joinEndpoint(base.String(), f.path), Header: http.Header{"User-Agent": {"llm-proxy/" + version}}, Body: body,
		Requests: f.requests, Duration: f.duration, Concurrency: f.concurrency, Rate: f.rate, Warmup: f.warmup, Timeout: f.timeout,
	}
	if plan.Requests == 0 && plan.Duration == 0 {
		plan.Requests = usualRequests
	}
	if plan.Method == "" {
		plan.Method = http.MethodGet
		if body != nil {
			plan.Method = http.MethodPost
		}
	}
	if body != nil {
		plan.Header.Set("Content-Type", "application/json")
	}
	if !token.IsZero() {
		plan.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	return plan, nil
}

// joinEndpoint adds a path to a base URL. Both may have the /v1: clients are given it in the base, people think of it in the path.
func joinEndpoint(base, path string) string {
	if strings.HasSuffix(base, "/v1") && (path == "/v1" || strings.HasPrefix(path, "/v1/")) {
		base = strings.TrimSuffix(base, "/v1")
	}
	return base + path
}

// readBody is the body to send; nil for none.
func (f *benchmarkFlags) readBody(stdin io.Reader) ([]byte, error) {
	var body []byte
	switch {
	case f.bodyFile != "":
		in := stdin
		if f.bodyFile != "-" {
			file, err := os.Open(f.bodyFile)
			if err != nil {
				return nil, usageError("--body-file: %v", err)
			}
			defer file.Close()
			in = file
		}
		var err error
		if body, err = io.ReadAll(io.LimitReader(in, maxBenchmarkBody+1)); err != nil {
			return nil, usageError("--body-file: %v", err)
		}
		if len(body) == 0 || len(body) > maxBenchmarkBody {
			return nil, usageError("--body-file: must have from 1 byte to %d MB", maxBenchmarkBody>>20)
		}
	case f.body != "":
		body = []byte(f.body)
	default:
		body = usualBody(f.path, f.model)
	}
	if !f.stream {
		return body, nil
	}
	if !gjson.ParseBytes(body).IsObject() {
		return nil, usageError("--stream needs a body that is a JSON object")
	}
	return sjson.SetBytes(body, "stream", true)
}

// maxBenchmarkBody bounds the body that is sent.
const maxBenchmarkBody = 64 << 20

// usualBody is a short body that fits an endpoint; nil where none is needed or known.
func usualBody(path, model string) []byte {
	bodies := []struct{ suffix, json string }{
		{"/chat/completions", `{"messages":[{"role":"user","content":"Say hello."}]}`},
		{"/completions", `{"prompt":"Say hello.","max_tokens":16}`},
		{"/responses", `{"input":"Say hello."}`},
		{"/messages", `{"max_tokens":16,"messages":[{"role":"user","content":"Say hello."}]}`},
		{"/embeddings", `{"input":"Say hello."}`},
	}
	path, _, _ = strings.Cut(path, "?")
	for _, b := range bodies {
		if strings.HasSuffix(path, b.suffix) {
			body, err := sjson.SetBytes([]byte(b.json), "model", model)
			if err != nil {
				return nil // the bodies above are JSON
			}
			return body
		}
	}
	return nil
}

// report writes the result to where the flags want it.
func (f *benchmarkFlags) report(r *bench.Result, out io.Writer) error {
	if f.html != "" {
		file, err := os.OpenFile(f.html, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(r.WriteHTML(file), file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", f.html, err)
		}
	}
	if f.json {
		return r.WriteJSON(out)
	}
	return r.WriteText(out)
}

// benchmarkVerdict is the error of a run that went wrong.
func benchmarkVerdict(r *bench.Result) error {
	if r.Requests == 0 {
		return errors.New("no request came to an end")
	}
	if r.Failed == 0 {
		return nil
	}
	err := fmt.Errorf("%d of %d requests failed", r.Failed, r.Requests)
	if r.Succeeded > 0 {
		return err
	}
	answered, refused := false, true
	for _, e := range r.Errors {
		answered = answered || e.Answered()
		refused = refused && e.Status >= 400 && e.Status < 500
	}
	switch {
	case !answered:
		return &exitError{exitUnreachable, err}
	case refused:
		return &exitError{exitRefused, err}
	}
	return err
}

// runWithProgress runs and shows meanwhile how far it is: on a terminal a line that changes, else a line now and then.
func runWithProgress(ctx context.Context, run *bench.Run, plan *bench.Plan, out io.Writer) *bench.Result {
	if isTerminal(out) {
		return runOnTerminal(ctx, run, plan, out)
	}
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(plainProgressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprintln(out, run.Status())
			}
		}
	}()
	result := run.Do(ctx)
	close(done)
	<-stopped
	return result
}

// plainProgressEvery is how often a line is written where there is no terminal.
const plainProgressEvery = 5 * time.Second
