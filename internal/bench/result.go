package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// resultVersion is that of a result's JSON.
const resultVersion = 1

// Result is what came of a run. Keys that end in _ms are milliseconds.
type Result struct {
	Version int     `json:"version"`
	Machine string  `json:"machine"` // that sent the requests
	Plan    Summary `json:"plan"`

	Started   time.Time `json:"started"`
	Seconds   float64   `json:"seconds"`
	PerSecond float64   `json:"requests_per_second"`

	Requests    int64 `json:"requests"` // that came to an end
	Succeeded   int64 `json:"succeeded"`
	Failed      int64 `json:"failed"`
	Interrupted int64 `json:"interrupted"` // under way when the run was ended from outside
	NotSent     int64 `json:"not_sent"`    // due by the rate, and never sent because no connection was free
	Events      int64 `json:"events"`      // of event streams
	Bytes       int64 `json:"bytes"`       // of answers' bodies

	// Latency is from when a request was due to the end of its answer, of those that succeeded; a time-out and a request that was not
	// sent count with the time they waited.
	Latency   *Distribution `json:"latency,omitempty"`
	Service   *Distribution `json:"service,omitempty"`    // with a rate: the same from when the request was sent
	FirstByte *Distribution `json:"first_byte,omitempty"` // from when a request was due to the first byte of the body
	ChunkGap  *Distribution `json:"chunk_gap,omitempty"`  // between two events of a stream

	Statuses map[int]int64 `json:"statuses"`
	Errors   []Failure     `json:"errors"`
	Timeline []Point       `json:"timeline"`
}

// Summary is what is told of a plan: never its credential, nor the body, which may be confidential.
type Summary struct {
	Method      string  `json:"method"`
	URL         string  `json:"url"`
	BodyBytes   int     `json:"body_bytes"`
	Requests    int64   `json:"requests,omitempty"`
	Seconds     float64 `json:"seconds,omitempty"`
	Concurrency int     `json:"concurrency"`
	Rate        float64 `json:"rate,omitempty"`
	Warmup      int     `json:"warmup,omitempty"`
	TimeoutMS   int64   `json:"timeout_ms"`
}

func (p *Plan) summary() Summary {
	shown := p.URL
	if u, err := url.Parse(p.URL); err == nil {
		u.User, u.RawQuery = nil, ""
		shown = u.String()
	}
	return Summary{
		Method: p.Method, URL: shown, BodyBytes: len(p.Body), Requests: p.Requests, Seconds: p.Duration.Seconds(),
		Concurrency: p.Concurrency, Rate: p.Rate, Warmup: p.Warmup, TimeoutMS: p.Timeout.Milliseconds(),
	}
}

// Kinds of failure.
const (
	KindStatus      = "status"             // an answer that is no success; its status and code tell more
	KindTimeout     = "timeout"            // no complete answer in time
	KindRefused     = "connection refused" // nobody listens
	KindName        = "name not found"     //
	KindReset       = "connection closed"  // before an answer
	KindConnection  = "connection failed"  // in another way, TLS for one
	KindCut         = "answer cut"         // it broke off, or a stream ended without its last event
	KindStreamError = "error in stream"    // an event said that it failed
	KindOther       = "other"              // further kinds than are told apart
)

// Failure is one way in which requests failed.
type Failure struct {
	Kind      string `json:"kind"`
	Status    int    `json:"status,omitempty"`
	Code      string `json:"code,omitempty"` // the error's own code, such as token_expired
	Count     int64  `json:"count"`
	Message   string `json:"message,omitempty"`    // of the first one
	RequestID string `json:"request_id,omitempty"` // of the first one
}

// Error implements error.
func (f *Failure) Error() string { return f.Name() + ": " + f.Message }

// Name is the kind with what tells it from others.
func (f *Failure) Name() string {
	name := f.Kind
	if f.Kind == KindStatus {
		name = fmt.Sprintf("%d", f.Status)
	}
	if f.Code != "" {
		name += " " + f.Code
	}
	return name
}

// Answered reports whether a failure was an answer, in contrast to none.
func (f *Failure) Answered() bool {
	return f.Kind == KindStatus || f.Kind == KindCut || f.Kind == KindStreamError
}

// Point is a slice of the run.
type Point struct {
	At       float64 `json:"at_s"`
	Seconds  float64 `json:"seconds"`
	Requests int64   `json:"requests"` // that ended in it
	Failed   int64   `json:"failed"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
}

// Distribution tells how times are spread.
type Distribution struct {
	Count   int64    `json:"count"`
	Min     float64  `json:"min_ms"`
	Mean    float64  `json:"mean_ms"`
	StdDev  float64  `json:"stddev_ms"`
	P50     float64  `json:"p50_ms"`
	P75     float64  `json:"p75_ms"`
	P90     float64  `json:"p90_ms"`
	P95     float64  `json:"p95_ms"`
	P99     float64  `json:"p99_ms"`
	P999    float64  `json:"p99_9_ms"`
	P9999   float64  `json:"p99_99_ms"`
	Max     float64  `json:"max_ms"`
	Buckets []Bucket `json:"buckets"` // without empty ones
	Curve   []Rank   `json:"curve"`
}

// Bucket counts the times above From up to To.
type Bucket struct {
	From  float64 `json:"from_ms"`
	To    float64 `json:"to_ms"`
	Count int64   `json:"count"`
}

// Rank says that this share of the times, in percent, is not above Value.
type Rank struct {
	Percent float64 `json:"percent"`
	Value   float64 `json:"ms"`
}

// perDecade is how many buckets there are from one power of ten to the next.
const perDecade = 10

// summarize is nil for no times.
func summarize(h *hdrhistogram.Histogram) *Distribution {
	if h.TotalCount() == 0 {
		return nil
	}
	at := func(q float64) float64 { return milliseconds(h.ValueAtQuantile(q)) }
	d := &Distribution{
		Count: h.TotalCount(), Min: milliseconds(h.Min()), Mean: h.Mean() / 1000, StdDev: h.StdDev() / 1000, Max: milliseconds(h.Max()),
		P50: at(50), P75: at(75), P90: at(90), P95: at(95), P99: at(99), P999: at(99.9), P9999: at(99.99),
	}
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		i := math.Ceil(math.Log10(float64(bar.From))*perDecade - 1e-9)
		to := math.Pow(10, i/perDecade) / 1000
		if n := len(d.Buckets); n > 0 && d.Buckets[n-1].To == to {
			d.Buckets[n-1].Count += bar.Count
			continue
		}
		d.Buckets = append(d.Buckets, Bucket{From: math.Pow(10, (i-1)/perDecade) / 1000, To: to, Count: bar.Count})
	}
	for _, b := range h.CumulativeDistributionWithTicks(5) {
		d.Curve = append(d.Curve, Rank{Percent: b.Quantile, Value: milliseconds(b.ValueAt)})
	}
	return d
}

func milliseconds(micros int64) float64 { return float64(micros) / 1000 }

// WriteJSON writes the result as indented JSON.
func (r *Result) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
