package bench

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Size of a plot, and the space around it for its axes.
const (
	plotWidth, plotHeight                    = 720, 260
	marginLeft, marginRight                  = 70, 30
	marginTop, marginBottom                  = 16, 40
	plotLeft, plotRight, plotTop, plotBottom = marginLeft, plotWidth - marginRight, marginTop, plotHeight - marginBottom
)

// scale places values of an axis.
type scale struct {
	low, high float64 // values at its ends
	from, to  float64 // places of its ends
	log       bool
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		low, high, v = math.Log10(low), math.Log10(high), math.Log10(max(v, s.low))
	}
	if high <= low {
		return s.from
	}
	return s.from + (min(max(v, low), high)-low)/(high-low)*(s.to-s.from)
}

// ticks are round values along the axis.
func (s scale) ticks() (values []float64) {
	if s.log {
		every := max(1, math.Ceil(math.Log10(s.high/s.low)/8))
		for e := math.Ceil(math.Log10(s.low) - 1e-9); e <= math.Log10(s.high)+1e-9; e += every {
			values = append(values, math.Pow(10, e))
		}
		return values
	}
	if s.high <= s.low {
		return []float64{s.low}
	}
	step := math.Pow(10, math.Floor(math.Log10((s.high-s.low)/4)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if (s.high-s.low)/(step*factor) <= 6 {
			step *= factor
			break
		}
	}
	for i := math.Ceil(s.low / step); i*step <= s.high*(1+1e-9); i++ {
		values = append(values, i*step)
	}
	return values
}

// plot is a drawing under way. What it writes is numbers and fixed words only.
type plot struct {
	strings.Builder
	x, y scale
}

func newPlot(title string, x, y scale) *plot {
	x.from, x.to, y.from, y.to = plotLeft, plotRight, plotBottom, plotTop
	p := &plot{x: x, y: y}
	fmt.Fprintf(p, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(title))
	return p
}

func (p *plot) text(x, y float64, anchor, s string) {
	fmt.Fprintf(p, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(s))
}

func (p *plot) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(p, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

// axes draws the ticks with their names.
func (p *plot) axes(nameX, nameY func(float64) string) {
	for _, v := range p.x.ticks() {
		p.line("grid", p.x.at(v), plotTop, p.x.at(v), plotBottom)
		p.text(p.x.at(v), plotBottom+16, "middle", nameX(v))
	}
	for _, v := range p.y.ticks() {
		p.line("grid", plotLeft, p.y.at(v), plotRight, p.y.at(v))
		p.text(plotLeft-6, p.y.at(v)+4, "end", nameY(v))
	}
}

// bar draws one from the bottom, with a title that shows what it stands for.
func (p *plot) bar(class string, from, to, value float64, title string) {
	left, right, top := p.x.at(from), p.x.at(to), p.y.at(value)
	fmt.Fprintf(p, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`,
		class, left+0.5, top, max(1, right-left-1), plotBottom-top, html.EscapeString(title))
}

// path joins points.
func (p *plot) path(class string, n int, point func(i int) (x, y float64)) {
	fmt.Fprintf(p, `<path class="%s" d="`, class)
	for i := range n {
		x, y := point(i)
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(p, "%s%.1f %.1f", command, p.x.at(x), p.y.at(y))
	}
	p.WriteString(`"/>`)
}

// legend names lines by their classes, side by side.
func (p *plot) legend(pairs ...string) {
	x := float64(plotLeft + 8)
	for i := 0; i+1 < len(pairs); i += 2 {
		p.line(pairs[i], x, plotTop-6, x+18, plotTop-6)
		p.text(x+24, plotTop-2, "start", pairs[i+1])
		x += 40 + 7*float64(len(pairs[i+1]))
	}
}

func (p *plot) done() markup {
	p.WriteString("</svg>")
	return markup(p.String())
}

// drawHistogram shows how often which time was met, on a logarithmic axis.
func drawHistogram(title string, d *Distribution) markup {
	if d == nil {
		return ""
	}
	var most int64
	for _, b := range d.Buckets {
		most = max(most, b.Count)
	}
	first, last := d.Buckets[0], d.Buckets[len(d.Buckets)-1]
	p := newPlot(title, scale{low: math.Pow(10, math.Floor(math.Log10(first.From)+1e-9)), high: math.Pow(10, math.Ceil(math.Log10(last.To)-1e-9)), log: true}, scale{high: float64(most)})
	p.axes(formatTick, formatWhole)
	for _, b := range d.Buckets {
		p.bar("fill1", b.From, b.To, float64(b.Count), fmt.Sprintf("%s to %s: %s", formatMS(b.From), formatMS(b.To), formatCount(b.Count)))
	}
	for _, mark := range []struct {
		name string
		ms   float64
	}{{"p50", d.P50}, {"p99", d.P99}} {
		p.line("mark", p.x.at(mark.ms), plotTop, p.x.at(mark.ms), plotBottom)
		p.text(p.x.at(mark.ms)+3, plotTop+10, "start", mark.name)
	}
	return p.done()
}

// drawCurve shows the time at each percentile, with the rare ones spread out.
func (r *Result) drawCurve() markup {
	if r.Latency == nil {
		return ""
	}
	// The axis is how many requests there are for one that takes longer: 1, 10, 100 stand for p0, p90, p99.
	rarity := func(percent float64) float64 { return 1 / max(1-percent/100, 1/float64(r.Latency.Count+1)) }
	p := newPlot("Time at each percentile", scale{low: 1, high: max(10, float64(r.Latency.Count)), log: true}, scale{high: r.Latency.Max * 1.05})
	p.axes(func(v float64) string {
		return "p" + strconv.FormatFloat(100-100/v, 'f', max(0, int(math.Round(math.Log10(v)))-2), 64)
	}, formatTick)
	classes := []string{"line1", "line2", "line3"}
	var legend []string
	for i, t := range r.timings() {
		if t.Distribution == r.ChunkGap {
			continue
		}
		p.path(classes[i], len(t.Curve), func(j int) (float64, float64) { return rarity(t.Curve[j].Percent), t.Curve[j].Value })
		legend = append(legend, classes[i], t.Name)
	}
	p.legend(legend...)
	return p.done()
}

// drawTimeline shows rate and latency over the run.
func (r *Result) drawTimeline() markup {
	if len(r.Timeline) == 0 {
		return ""
	}
	points := r.Timeline
	last := points[len(points)-1]
	end := last.At + last.Seconds
	var highest, fastest float64
	for _, pt := range points {
		highest, fastest = max(highest, pt.P99), max(fastest, float64(pt.Requests)/pt.Seconds)
	}
	seconds := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + " s" }
	rate := newPlot("Requests a second over the run", scale{high: end}, scale{high: fastest})
	rate.axes(seconds, formatWhole)
	for _, pt := range points {
		title := fmt.Sprintf("at %.1f s: %.1f/s, %s failed, p50 %s, p99 %s", pt.At, float64(pt.Requests)/pt.Seconds, formatCount(pt.Failed), formatMS(pt.P50), formatMS(pt.P99))
		rate.bar("fill1", pt.At, pt.At+pt.Seconds, float64(pt.Requests)/pt.Seconds, title)
		if pt.Failed > 0 {
			rate.bar("fill2", pt.At, pt.At+pt.Seconds, float64(pt.Failed)/pt.Seconds, title)
		}
	}
	rate.legend("line1", "requests a second", "bad", "of these failed")
	latency := newPlot("Latency over the run", scale{high: end}, scale{high: highest * 1.05})
	latency.axes(seconds, formatTick)
	for i, class := range []string{"line1", "line2"} {
		latency.path(class, len(points), func(j int) (float64, float64) {
			return points[j].At + points[j].Seconds/2, []float64{points[j].P50, points[j].P99}[i]
		})
	}
	latency.legend("line1", "p50", "line2", "p99")
	return rate.done() + latency.done()
}

func formatTick(ms float64) string {
	switch {
	case ms >= 1000:
		return strconv.FormatFloat(ms/1000, 'g', 4, 64) + " s"
	case ms >= 1 || ms == 0:
		return strconv.FormatFloat(ms, 'g', 4, 64) + " ms"
	}
	return strconv.FormatFloat(ms*1000, 'g', 4, 64) + " µs"
}

func formatWhole(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
