package main

import (
	"context"
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

// load is one kind of load.
type load struct {
	name string
	run  func(ctx context.Context, t bench.Target, slice time.Duration) *bench.Load
	// note takes what came of it, and the processor time it cost for each request, into the figures.
	note func(f *figures, l *bench.Load, cpu float64)
}

// loads are taken one after another in each round.
var loads = []load{
	{
		"seq", func(ctx context.Context, t bench.Target, slice time.Duration) *bench.Load {
			return bench.Saturate(ctx, t, chat, 1, slice)
		},
		func(f *figures, _ *bench.Load, cpu float64) { f.SeqCPU = cpu },
	},
	{
		"sat", func(ctx context.Context, t bench.Target, slice time.Duration) *bench.Load {
			return bench.Saturate(ctx, t, chat, 32, slice)
		},
		func(f *figures, l *bench.Load, cpu float64) {
			f.SatCPU, f.SatRate = cpu, float64(l.Requests)/l.Elapsed.Seconds()
		},
	},
	{
		"large", func(ctx context.Context, t bench.Target, slice time.Duration) *bench.Load {
			return bench.Saturate(ctx, t, large, 1, slice)
		},
		func(f *figures, _ *bench.Load, cpu float64) { f.LargeCPU = cpu },
	},
	{
		"paced", func(ctx context.Context, t bench.Target, slice time.Duration) *bench.Load {
			return bench.Pace(ctx, t, chat, 4, 200, slice)
		},
		func(f *figures, l *bench.Load, _ float64) {
			f.PacedP50, f.PacedP99 = float64(l.Latency.ValueAtQuantile(50)), float64(l.Latency.ValueAtQuantile(99))
		},
	},
	{ // some 43 streams are open at a time; none waits for another one's beginning
		"stream", func(ctx context.Context, t bench.Target, slice time.Duration) *bench.Load {
			return bench.Pace(ctx, t, stream, 60, 100, slice)
		},
		func(f *figures, l *bench.Load, cpu float64) {
			f.StreamCPU = cpu
			f.FirstByte, f.ChunkDelay = float64(l.FirstByte.ValueAtQuantile(50)), float64(l.Delay.ValueAtQuantile(50))
		},
	},
}
