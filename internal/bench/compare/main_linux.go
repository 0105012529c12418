// Command compare measures what a request costs through llm-proxy, beside the same request sent directly, through a bare
// httputil.ReverseProxy and through nginx where it is installed. All run in one process tree on loopback, in rounds in which each load goes through
// each way before the next load; the medians of the rounds are printed as a table and written as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "bare" {
		fatal(serveBare(os.Args[2], os.Args[3]))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fatal(run(ctx, os.Args[1:]))
}

func fatal(err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings of a run.
type settings struct {
	binary  string
	before  string
	rounds  int
	slice   time.Duration
	out     string
	streams int
	ledger  bool
}

func run(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&s.binary, "binary", "bin/llm-proxy", "the llm-proxy to measure")
	flags.StringVar(&s.before, "before", "", "another llm-proxy to measure beside it, as that of before a change")
	flags.IntVar(&s.rounds, "rounds", 9, "interleaved rounds; the median is reported")
	flags.DurationVar(&s.slice, "slice", time.Second, "how long each load runs in a round")
	flags.IntVar(&s.streams, "streams", 1000, "event streams held open for the memory figure")
	flags.BoolVar(&s.ledger, "ledger", false, "keep the ledger of usage too")
	flags.StringVar(&s.out, "out", "", "file for the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "llm-proxy-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	report, err := measure(ctx, s, work)
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	if s.out == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.out), 0o755); err != nil { //nolint:gosec // a folder of documents
		return err
	}
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.out, append(data, '\n'), 0o644) //nolint:gosec // a document
}
