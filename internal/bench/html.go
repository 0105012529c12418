package bench

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"io"
	"strconv"
	"time"
)

//go:embed report.css
var reportCSS string

// markup is HTML that is shown as it is. Any other text in a page is escaped.
type markup string

// page is an HTML page under way. It is written without html/template, which finds methods by their names: then the linker has to keep
// each exported method of the program, called or not, and that was a quarter of its file.
type page struct{ bytes.Buffer }

// add writes a line. Format and markup are shown as they are, everything else that is text, or becomes text, is escaped.
func (p *page) add(format markup, args ...any) {
	for i, arg := range args {
		switch arg := arg.(type) {
		case markup, int, int64:
		default:
			args[i] = html.EscapeString(fmt.Sprint(arg))
		}
	}
	fmt.Fprintf(p, string(format)+"\n", args...)
}

// addIf writes the line if there is something to tell.
func (p *page) addIf(is bool, format markup, args ...any) {
	if is {
		p.add(format, args...)
	}
}

// timing is a row of the report's table of times.
type timing struct {
	Name string
	*Distribution
}

// WriteHTML writes the result as one page that needs nothing else: no script, no font, no picture from anywhere.
func (r *Result) WriteHTML(w io.Writer) error {
	var p page
	p.add(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Benchmark of %s</title>
<style>
%s</style>
</head>
<body>`, r.Plan.URL, markup(reportCSS))
	r.addSummary(&p)
	r.addTimes(&p)
	r.addDrawings(&p)
	r.addErrors(&p)
	p.add("</body>\n</html>")
	_, err := w.Write(p.Bytes())
	return err
}

// addSummary adds what was asked for and what came of it.
func (r *Result) addSummary(p *page) {
	p.add(`<h1>%s %s</h1>`, r.Plan.Method, r.Plan.URL)
	load := fmt.Sprintf("%d at once, each after the answer before it", r.Plan.Concurrency)
	if r.Plan.Rate > 0 {
		load = fmt.Sprintf("%s requests a second asked for, at most %d at once", formatFloat(r.Plan.Rate), r.Plan.Concurrency)
	}
	p.add(`<p>%s · %s · body of %d bytes · sent by %s</p>`, r.Started.Format(time.DateTime+" UTC"), load, r.Plan.BodyBytes, r.Machine)
	p.add(`<ul class="cards">`)
	const card, badCard = `<li><b>%s</b>%s</li>`, `<li class="bad"><b>%s</b>%s</li>`
	p.add(card, formatCount(r.Requests), "requests")
	p.addIf(r.Failed == 0, card, formatCount(r.Failed), "failed")
	p.addIf(r.Failed > 0, badCard, formatCount(r.Failed), "failed")
	p.addIf(r.NotSent > 0, badCard, formatCount(r.NotSent), "due, not sent")
	p.addIf(r.Interrupted > 0, card, formatCount(r.Interrupted), "interrupted")
	p.add(card, formatFloat(r.PerSecond), "a second")
	p.add(card, formatFloat(r.Seconds)+" s", "run")
	if d := r.Latency; d != nil {
		p.add(card, formatMS(d.P50), "p50")
		p.add(card, formatMS(d.P99), "p99")
	}
	if d := r.FirstByte; d != nil {
		p.add(card, formatMS(d.P50), "first byte, p50")
	}
	p.add(`</ul>`)
}

// Of what times are, and what they count from.
const (
	aboutPaced    = "Latency and first byte count from when a request was due by the rate, so that one that waited for a free connection shows its wait (corrected for coordinated omission). Times are of requests that succeeded; a time-out, and a request that was never sent, counts with the time it waited."
	aboutAnswered = "Latency counts from sending: without a rate each request waits for the answer before it, and a server that stalls is asked less. Times are of requests that succeeded; a time-out counts with the time it waited."
)

// addTimes adds the table of times.
func (r *Result) addTimes(p *page) {
	timings := r.timings()
	if len(timings) == 0 {
		return
	}
	p.add(`<h2>Times</h2>
<div class="wide"><table>
<tr><th></th><th>min</th><th>mean</th><th>p50</th><th>p90</th><th>p95</th><th>p99</th><th>p99.9</th><th>max</th></tr>`)
	for _, t := range timings {
		p.add(`<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>`,
			t.Name, formatMS(t.Min), formatMS(t.Mean), formatMS(t.P50), formatMS(t.P90), formatMS(t.P95), formatMS(t.P99), formatMS(t.P999), formatMS(t.Max))
	}
	p.add(`</table></div>`)
	about := aboutAnswered
	if r.Plan.Rate > 0 {
		about = aboutPaced
	}
	p.add(`<p>%s</p>`, about)
}

// addDrawings adds those for which there are values.
func (r *Result) addDrawings(p *page) {
	add := func(heading markup, drawing markup, caption string) {
		p.addIf(drawing != "", heading+`<figure>%s<figcaption>%s</figcaption></figure>`, drawing, caption)
	}
	add("", drawHistogram("Latency", r.Latency), "How many requests took how long. The axis of times is logarithmic.")
	add("", r.drawCurve(), "The time within which that share of the requests was done.")
	add("<h2>Over the run</h2>", r.drawTimeline(), "Requests by when they ended, and their latency.")
	add("<h2>Streams</h2>", drawHistogram("Time between two events", r.ChunkGap), "Time from one event of a stream to the next. "+formatCount(r.Events)+" events came.")
}

// addErrors adds the table of what went wrong.
func (r *Result) addErrors(p *page) {
	if len(r.Errors) == 0 {
		return
	}
	p.add(`<h2>Errors</h2>
<div class="wide"><table>
<tr><th>kind</th><th>count</th><th>first one</th></tr>`)
	for _, e := range r.Errors {
		message := e.Message
		if e.RequestID != "" {
			message += " (request " + e.RequestID + ")"
		}
		p.add(`<tr><td>%s</td><td>%s</td><td class="words">%s</td></tr>`, e.Name(), formatCount(e.Count), message)
	}
	p.add(`</table></div>`)
}

// timings are the distributions that the result has.
func (r *Result) timings() []timing {
	var all []timing
	for _, t := range []timing{{"latency", r.Latency}, {"... from sending", r.Service}, {"first byte", r.FirstByte}, {"between events", r.ChunkGap}} {
		if t.Distribution != nil {
			all = append(all, t)
		}
	}
	return all
}

// formatMS writes milliseconds to three digits, with the unit that fits.
func formatMS(ms float64) string {
	switch {
	case ms >= 10_000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	case ms >= 1000:
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + " s"
	case ms >= 100:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms >= 1:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	}
	return strconv.FormatFloat(ms*1000, 'f', 0, 64) + " µs"
}

// formatCount writes a number with its thousands apart.
func formatCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// formatFloat writes a number with one digit behind the point.
func formatFloat(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
