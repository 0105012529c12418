package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes the table: figures of each way, and in brackets their ratio to the bare proxy's.
func (r *report) print(out io.Writer) {
	direct, bare := r.named("direct"), r.named("bare ReverseProxy")
	fmt.Fprintf(out, "%s, %s, median of %d rounds. (x) is the ratio to the bare proxy.\n\n", r.Date, r.Machine, r.Rounds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\t")
	for _, res := range r.Results {
		fmt.Fprintf(w, "%s\t", res.Name)
	}
	fmt.Fprintln(w)
	row := func(name, format string, of func(*result) float64, ratio bool) {
		fmt.Fprintf(w, "%s\t", name)
		for _, res := range r.Results {
			v := of(res)
			switch {
			case v == 0:
				fmt.Fprint(w, "-\t")
			case ratio && of(bare) != 0:
				fmt.Fprintf(w, format+" (%.2f)\t", v, v/of(bare))
			default:
				fmt.Fprintf(w, format+"\t", v)
			}
		}
		fmt.Fprintln(w)
	}
	added := func(of func(*result) float64) func(*result) float64 {
		return func(res *result) float64 {
			if res == direct {
				return 0
			}
			return of(res) - of(direct)
		}
	}
	row("CPU µs a request, one connection", "%.0f", func(r *result) float64 { return r.SeqCPU }, true)
	row("CPU µs a request, 32 connections", "%.0f", func(r *result) float64 { return r.SatCPU }, true)
	row("requests a second, 32 connections", "%.0f", func(r *result) float64 { return r.SatRate }, true)
	row("CPU µs a request, 200 KB prompt", "%.0f", func(r *result) float64 { return r.LargeCPU }, true)
	row("added µs at 200/s, p50", "%.0f", added(func(r *result) float64 { return r.PacedP50 }), true)
	row("added µs at 200/s, p99", "%.0f", added(func(r *result) float64 { return r.PacedP99 }), true)
	row("CPU µs a stream of 43 events", "%.0f", func(r *result) float64 { return r.StreamCPU }, true)
	row("stream, added µs to first byte, p50", "%.0f", added(func(r *result) float64 { return r.FirstByte }), true)
	row("stream, added µs a chunk, p50", "%.0f", added(func(r *result) float64 { return r.ChunkDelay }), true)
	row("exec to first answer, ms", "%.1f", func(r *result) float64 { return r.StartMS }, false)
	row("RSS idle, MB", "%.1f", func(r *result) float64 { return r.IdleMB }, false)
	row("RSS after load, MB", "%.1f", func(r *result) float64 { return r.LoadedMB }, false)
	row(fmt.Sprintf("RSS with %d open streams, MB", r.Streams), "%.1f", func(r *result) float64 { return r.StreamsMB }, false)
	row("errors", "%.0f", func(r *result) float64 { return float64(r.Errors) }, false)
	row("bodies changed", "%.0f", func(r *result) float64 { return float64(r.Changed) }, false)
	_ = w.Flush() // to memory, or to a terminal that is gone
	for _, res := range r.Results {
		if res.lastError != nil {
			fmt.Fprintf(out, "\n%s: %v\n", res.Name, res.lastError)
		}
	}
}

func (r *report) named(name string) *result {
	for _, res := range r.Results {
		if res.Name == name {
			return res
		}
	}
	return &result{}
}
