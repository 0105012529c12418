package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bench"
)

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
	// Added are medians of what latencies are above the direct way's in the same round, Ratios those of the rounds' ratios to the bare
	// proxy's, of what is added where it is a latency.
	Added     map[string]float64 `json:"added_us,omitempty"`
	Ratios    map[string]float64 `json:"x_bare,omitempty"`
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
	measured := make([]*measurement, len(peers))
	for i, p := range peers {
		res := &result{Name: p.name, StartMS: float64(p.started.Microseconds()) / 1000, perRound: make([]figures, s.rounds)}
		if res.IdleMB, err = megabytes(p); err != nil {
			return nil, err
		}
		r.Results = append(r.Results, res)
		measured[i] = &measurement{peer: p, result: res}
	}
	if err := rounds(ctx, s, measured, upstream); err != nil {
		return nil, err
	}
	for i, p := range peers {
		if err := measureMemory(p, s, r.Results[i]); err != nil {
			return nil, err
		}
	}
	r.summarize()
	return r, nil
}

// rounds takes each load through each peer before the next load, so that what is compared is measured within seconds, and begins with
// another peer each time, so that none always comes after the same one.
func rounds(ctx context.Context, s settings, measured []*measurement, upstream *bench.Upstream) error {
	for round := range s.rounds + 1 {
		for _, l := range loads {
			for i := range measured {
				m := measured[(i+round)%len(measured)]
				if err := ctx.Err(); err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "\rround %d of %d: %-6s %-20s", round, s.rounds, l.name, m.peer.name)
				into := &figures{} // the first round warms up
				if round > 0 {
					into = &m.result.perRound[round-1]
				}
				changedBefore := upstream.Changed.Load()
				if err := m.slice(ctx, l, s.slice, into); err != nil {
					return err
				}
				m.result.Changed += upstream.Changed.Load() - changedBefore
				if err := settle(measured, aftermath); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	time.Sleep(aftermath)
	return settle(measured, 0)
}

// settle takes the account of those whose last load has ended so long ago.
func settle(measured []*measurement, ago time.Duration) error {
	for _, m := range measured {
		if m.last == nil || time.Since(m.ended) < ago {
			continue
		}
		if err := m.account(); err != nil {
			return err
		}
	}
	return nil
}

// aftermath is how long what a load leaves to be done behind it takes: events to deliver, a log to move into its database.
const aftermath = 1500 * time.Millisecond

// measurement is one peer under measurement.
type measurement struct {
	peer   *peer
	result *result
	before time.Duration                 // processor time when the last load began
	ended  time.Time                     // when it ended
	last   func(processor time.Duration) // takes what it cost; nil once it has
}

// slice takes one load through the peer for a while.
func (m *measurement) slice(ctx context.Context, l load, d time.Duration, into *figures) error {
	if m.last != nil {
		time.Sleep(time.Until(m.ended.Add(aftermath)))
		if err := m.account(); err != nil {
			return err
		}
	}
	var err error
	if m.before, err = m.processor(); err != nil {
		return err
	}
	came := l.run(ctx, m.peer.target, d)
	m.ended = time.Now()
	m.result.Errors += came.Errors
	m.result.Changed += came.Changed
	if came.LastError != nil {
		m.result.lastError = came.LastError
	}
	m.last = func(processor time.Duration) {
		l.note(into, came, float64(processor)/float64(time.Microsecond)/float64(max(1, came.Requests)))
	}
	return nil
}

// account charges the last load with all that the peer has used of the processor since it began, thus also with what it did afterwards,
// while others were measured.
func (m *measurement) account() error {
	now, err := m.processor()
	if err != nil {
		return err
	}
	m.last(now - m.before)
	m.last = nil
	return nil
}

// processor is the processor time that the peer has used; the direct way uses none.
func (m *measurement) processor() (time.Duration, error) {
	if m.peer.process == nil {
		return 0, nil
	}
	return m.peer.process.CPU()
}

// measureMemory reads what a peer takes after all loads, and with many streams open.
func measureMemory(p *peer, s settings, res *result) (err error) {
	if res.LoadedMB, err = megabytes(p); err != nil || p.process == nil {
		return err
	}
	streams, err := bench.OpenStreams(p.target, held, s.streams)
	if err != nil {
		return fmt.Errorf("%s: open %d streams: %w", p.name, s.streams, err)
	}
	defer streams.Close()
	res.StreamsMB, err = megabytes(p)
	return err
}

func megabytes(p *peer) (float64, error) {
	if p.process == nil {
		return 0, nil
	}
	rss, err := p.process.RSS()
	return float64(rss) / (1 << 20), err
}

// median of no values is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
