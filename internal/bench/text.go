package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Status tells how far a run is.
type Status struct {
	Elapsed      time.Duration // 0 while it warms up
	Share        float64       // of the plan that is done, from 0 to 1
	Requests     int64
	Failed       int64
	P50, P99     time.Duration // of the latency; 0 if there is none yet
	FirstByteP50 time.Duration
	Errors       []Failure
}

// String is one line.
func (s Status) String() string {
	if s.Elapsed == 0 {
		return "warming up"
	}
	parts := []string{fmt.Sprintf("%.0f s", s.Elapsed.Seconds()), formatCount(s.Requests) + " requests", fmt.Sprintf("%.1f/s", float64(s.Requests)/s.Elapsed.Seconds()), formatCount(s.Failed) + " failed"}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"p50", s.P50}, {"p99", s.P99}, {"first byte p50", s.FirstByteP50}} {
		if t.d > 0 {
			parts = append(parts, t.name+" "+formatMS(float64(t.d)/float64(time.Millisecond)))
		}
	}
	return strings.Join(parts, ", ")
}

// widest is how long the longest bar of a histogram in text is.
const widest = 40

// WriteText writes the result for a terminal or a log.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n\n", r.Plan.Method, r.Plan.URL)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	row("requests", "%s in %.1f s, %.1f a second", formatCount(r.Requests), r.Seconds, r.PerSecond)
	row("succeeded", "%s", formatCount(r.Succeeded))
	row("failed", "%s", formatCount(r.Failed))
	if r.Interrupted > 0 {
		row("interrupted", "%s under way when the run was ended", formatCount(r.Interrupted))
	}
	if r.NotSent > 0 {
		row("not sent", "%s due and not sent: %d at once are too few for this rate and these answers", formatCount(r.NotSent), r.Plan.Concurrency)
	}
	row("received", "%s bytes", formatCount(r.Bytes))
	if r.Events > 0 {
		row("events", "%s of streams", formatCount(r.Events))
	}
	_ = table.Flush() // to memory
	if timings := r.timings(); len(timings) > 0 {
		b.WriteByte('\n')
		table = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "\tmin\tmean\tp50\tp90\tp95\tp99\tp99.9\tmax\t")
		for _, t := range timings {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", t.Name, formatMS(t.Min), formatMS(t.Mean), formatMS(t.P50), formatMS(t.P90), formatMS(t.P95), formatMS(t.P99), formatMS(t.P999), formatMS(t.Max))
		}
		_ = table.Flush() // to memory
	}
	if r.Plan.Rate > 0 && r.Latency != nil {
		b.WriteString("\nTimes count from when a request was due (corrected for coordinated omission).\n")
	}
	r.writeHistogram(&b)
	r.writeErrors(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) writeHistogram(b *strings.Builder) {
	if r.Latency == nil {
		return
	}
	var most int64
	for _, bucket := range r.Latency.Buckets {
		most = max(most, bucket.Count)
	}
	b.WriteByte('\n')
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, bucket := range r.Latency.Buckets {
		length := int(bucket.Count * widest / most)
		fmt.Fprintf(table, "up to %s\t%s\t  %s\n", formatMS(bucket.To), formatCount(bucket.Count), strings.Repeat("#", max(1, length)))
	}
	_ = table.Flush() // to memory
}

func (r *Result) writeErrors(b *strings.Builder) {
	if len(r.Errors) == 0 {
		return
	}
	b.WriteString("\nErrors:\n")
	for _, e := range r.Errors {
		fmt.Fprintf(b, "  %s x %s: %s", formatCount(e.Count), e.Name(), e.Message)
		if e.RequestID != "" {
			fmt.Fprintf(b, " (request %s)", e.RequestID)
		}
		b.WriteByte('\n')
	}
}
