package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bench"
)

// The workloads. Each has a path of its own, by which the upstream knows it.
var (
	chat = bench.Workload{
		Path:   "/v1/chat/completions",
		Body:   []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":"` + strings.Repeat("word ", 85) + `"}]}`),
		Answer: []byte(`{"id":"chatcmpl-bench","object":"chat.completion","created":1795350914,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("word ", 160) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":90,"completion_tokens":160,"total_tokens":250}}`),
	}
	stream = bench.Workload{
		Path: "/v1/streams/chat/completions", Body: []byte(`{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hello"}]}`), Events: 43, EventEvery: 10 * time.Millisecond,
	}
	large = bench.Workload{
		Path: "/v1/completions", Body: []byte(`{"model":"gpt-4o","prompt":"` + strings.Repeat("word ", 40_000) + `"}`), Answer: chat.Answer,
	}
	held = bench.Workload{Path: "/v1/embeddings", Body: []byte(`{"stream":true}`), Events: 1, Hold: true}
)

// figures of one peer in one round. Times are µs.
type figures struct {
	SeqCPU     float64 `json:"seq_cpu_us"`
	SatCPU     float64 `json:"sat_cpu_us"`
	SatRate    float64 `json:"sat_per_second"`
	LargeCPU   float64 `json:"prompt_200k_cpu_us"`
	PacedP50   float64 `json:"paced_200_p50_us"`
	PacedP99   float64 `json:"paced_200_p99_us"`
	StreamCPU  float64 `json:"stream_cpu_us"`
	FirstByte  float64 `json:"stream_first_byte_p50_us"`
	ChunkDelay float64 `json:"stream_chunk_delay_p50_us"`
}

// result is what is reported of one peer: medians over the rounds, and what is measured once.
type result struct {
	Name      string  `json:"name"`
	StartMS   float64 `json:"start_ms,omitempty"`
	IdleMB    float64 `json:"idle_mb,omitempty"`
	LoadedMB  float64 `json:"loaded_mb,omitempty"`
	StreamsMB float64 `json:"held_streams_mb,omitempty"`
	Errors    int64   `json:"errors"`
	Changed   int64   `json:"changed"`
	figures           // medians
	perRound  []figures
	lastError error
}

// report is the outcome of a run.
type report struct {
	Date    string    `json:"date"`
	Machine string    `json:"machine"`
	Rounds  int       `json:"rounds"`
	Streams int       `json:"held_streams"`
	Results []*result `json:"results"`
}

// measure runs all rounds.
func measure(ctx context.Context, s settings, work string) (*report, error) {
	upstream, err := bench.ServeUpstream(chat, stream, large, held)
	if err != nil {
		return nil, err
	}
	defer upstream.Close()
	peers, err := startPeers(ctx, s, upstream.Addr(), work)
	if err != nil {
		return nil, err
	}
	defer stopPeers(peers)

	r := &report{Date: time.Now().UTC().Format(time.DateOnly), Machine: bench.Machine(), Rounds: s.rounds, Streams: s.streams}
	for _, p := range peers {
		res := &result{Name: p.name, StartMS: float64(p.started.Microseconds()) / 1000}
		if res.IdleMB, err = megabytes(p); err != nil {
			return nil, err
		}
		r.Results = append(r.Results, res)
	}
	for round := range s.rounds + 1 {
		for i, p := range peers {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "\rround %d of %d: %-20s", round, s.rounds, p.name)
			changedBefore := upstream.Changed.Load()
			f, err := r.Results[i].round(ctx, p, s)
			if err != nil {
				return nil, err
			}
			r.Results[i].Changed += upstream.Changed.Load() - changedBefore
			if round > 0 { // the first one warms up
				r.Results[i].perRound = append(r.Results[i].perRound, f)
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	for i, p := range peers {
		res := r.Results[i]
		if res.LoadedMB, err = megabytes(p); err != nil {
			return nil, err
		}
		res.figures = medians(res.perRound)
		if p.process == nil {
			continue
		}
		streams, err := bench.OpenStreams(p.target, held, s.streams)
		if err != nil {
			return nil, fmt.Errorf("%s: open %d streams: %w", p.name, s.streams, err)
		}
		res.StreamsMB, err = megabytes(p)
		streams.Close()
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// round takes one round of one peer.
func (res *result) round(ctx context.Context, p *peer, s settings) (figures, error) {
	var f figures
	var err error
	load := func(run func() *bench.Load) (*bench.Load, float64) {
		if err != nil {
			return nil, 0
		}
		var before, after time.Duration
		if p.process != nil {
			before, err = p.process.CPU()
		}
		l := run()
		if p.process != nil && err == nil {
			after, err = p.process.CPU()
		}
		res.Errors += l.Errors
		res.Changed += l.Changed
		if l.LastError != nil {
			res.lastError = l.LastError
		}
		if l.Requests == 0 {
			return l, 0
		}
		return l, float64((after - before).Microseconds()) / float64(l.Requests)
	}
	_, f.SeqCPU = load(func() *bench.Load { return bench.Saturate(ctx, p.target, chat, 1, s.slice) })
	sat, cpu := load(func() *bench.Load { return bench.Saturate(ctx, p.target, chat, 32, s.slice) })
	_, f.LargeCPU = load(func() *bench.Load { return bench.Saturate(ctx, p.target, large, 1, s.slice) })
	paced, _ := load(func() *bench.Load { return bench.Pace(ctx, p.target, chat, 4, 200, s.slice) })
	streamed, streamCPU := load(func() *bench.Load {
		return bench.Count(ctx, p.target, stream, 50, max(1, int(s.slice/(500*time.Millisecond))))
	})
	if err != nil {
		return f, err
	}
	f.SatCPU, f.SatRate = cpu, float64(sat.Requests)/sat.Elapsed.Seconds()
	f.PacedP50, f.PacedP99 = float64(paced.Latency.ValueAtQuantile(50)), float64(paced.Latency.ValueAtQuantile(99))
	f.StreamCPU = streamCPU
	f.FirstByte, f.ChunkDelay = float64(streamed.FirstByte.ValueAtQuantile(50)), float64(streamed.Delay.ValueAtQuantile(50))
	return f, nil
}

func megabytes(p *peer) (float64, error) {
	if p.process == nil {
		return 0, nil
	}
	rss, err := p.process.RSS()
	return float64(rss) / (1 << 20), err
}

// medians takes each figure's median over the rounds.
func medians(rounds []figures) figures {
	median := func(of func(figures) float64) float64 {
		values := make([]float64, len(rounds))
		for i, f := range rounds {
			values[i] = of(f)
		}
		slices.Sort(values)
		if len(values) == 0 {
			return 0
		}
		return values[len(values)/2]
	}
	return figures{
		SeqCPU:     median(func(f figures) float64 { return f.SeqCPU }),
		SatCPU:     median(func(f figures) float64 { return f.SatCPU }),
		SatRate:    median(func(f figures) float64 { return f.SatRate }),
		LargeCPU:   median(func(f figures) float64 { return f.LargeCPU }),
		PacedP50:   median(func(f figures) float64 { return f.PacedP50 }),
		PacedP99:   median(func(f figures) float64 { return f.PacedP99 }),
		StreamCPU:  median(func(f figures) float64 { return f.StreamCPU }),
		FirstByte:  median(func(f figures) float64 { return f.FirstByte }),
		ChunkDelay: median(func(f figures) float64 { return f.ChunkDelay }),
	}
}
