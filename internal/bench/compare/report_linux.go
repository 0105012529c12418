package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// rows are the figures of the table that are taken in each round.
var rows = []struct {
	name   string // in JSON
	title  string
	figure func(*figures) *float64
	added  bool // a latency: the table has what a peer adds to the direct way's
}{
	{"seq_cpu", "CPU µs a request, one connection", func(f *figures) *float64 { return &f.SeqCPU }, false},
	{"sat_cpu", "CPU µs a request, 32 connections", func(f *figures) *float64 { return &f.SatCPU }, false},
	{"sat_per_second", "requests a second, 32 connections", func(f *figures) *float64 { return &f.SatRate }, false},
	{"prompt_200k_cpu", "CPU µs a request, 200 KB prompt", func(f *figures) *float64 { return &f.LargeCPU }, false},
	{"paced_200_p50", "added µs at 200/s, p50", func(f *figures) *float64 { return &f.PacedP50 }, true},
	{"paced_200_p99", "added µs at 200/s, p99", func(f *figures) *float64 { return &f.PacedP99 }, true},
	{"stream_cpu", "CPU µs a stream of 43 events", func(f *figures) *float64 { return &f.StreamCPU }, false},
	{"stream_first_byte_p50", "stream, added µs to first byte, p50", func(f *figures) *float64 { return &f.FirstByte }, true},
	{"stream_chunk_delay_p50", "stream, added µs a chunk, p50", func(f *figures) *float64 { return &f.ChunkDelay }, true},
}

// The peers that others are compared with.
const (
	directName = "direct"
	bareName   = "bare ReverseProxy"
)

// summarize takes the medians of the rounds.
func (r *report) summarize() {
	direct, bare := r.named(directName), r.named(bareName)
	for _, res := range r.Results {
		res.Added, res.Ratios = map[string]float64{}, map[string]float64{}
		for _, row := range rows {
			var values, added, ratios []float64
			for round := range res.perRound {
				v, to := *row.figure(&res.perRound[round]), *row.figure(&bare.perRound[round])
				values = append(values, v)
				if row.added {
					without := *row.figure(&direct.perRound[round])
					v, to = v-without, to-without
					added = append(added, v)
				}
				if v != 0 && to > 0 {
					ratios = append(ratios, v/to)
				}
			}
			*row.figure(&res.figures) = median(values)
			if row.added && res == direct {
				continue
			}
			if row.added {
				res.Added[row.name] = median(added)
			}
			if len(ratios) > 0 {
				res.Ratios[row.name] = median(ratios)
			}
		}
	}
}

// print writes the table: figures of each way, and in brackets their ratio to the bare proxy's.
func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "%s, %s, median of %d rounds. (x) is the median of the rounds' ratios to the bare proxy.\n\n", r.Date, r.Machine, r.Rounds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\t")
	for _, res := range r.Results {
		fmt.Fprintf(w, "%s\t", res.Name)
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t", row.title)
		for _, res := range r.Results {
			v, ratio := *row.figure(&res.figures), res.Ratios[row.name]
			if row.added {
				v = res.Added[row.name]
			}
			switch {
			case v == 0:
				fmt.Fprint(w, "-\t")
			case ratio != 0:
				fmt.Fprintf(w, "%.0f (%.2f)\t", v, ratio)
			default:
				fmt.Fprintf(w, "%.0f\t", v)
			}
		}
		fmt.Fprintln(w)
	}
	once := func(title, format string, of func(*result) float64) {
		fmt.Fprintf(w, "%s\t", title)
		for _, res := range r.Results {
			if v := of(res); v != 0 {
				fmt.Fprintf(w, format+"\t", v)
			} else {
				fmt.Fprint(w, "-\t")
			}
		}
		fmt.Fprintln(w)
	}
	once("exec to first answer, ms", "%.1f", func(r *result) float64 { return r.StartMS })
	once("RSS idle, MB", "%.1f", func(r *result) float64 { return r.IdleMB })
	once("RSS after load, MB", "%.1f", func(r *result) float64 { return r.LoadedMB })
	once(fmt.Sprintf("RSS with %d open streams, MB", r.Streams), "%.1f", func(r *result) float64 { return r.StreamsMB })
	once("errors", "%.0f", func(r *result) float64 { return float64(r.Errors) })
	once("bodies changed", "%.0f", func(r *result) float64 { return float64(r.Changed) })
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
