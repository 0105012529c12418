package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// timeline is a run in slices of equal length. When there are too many, two become one, so that a run of any length fits.
type timeline struct {
	length time.Duration // of a slice; 0: firstSlice
	slices []*slice
}

const (
	firstSlice = 100 * time.Millisecond
	maxSlices  = 120
)

// slice counts the requests that ended within it.
type slice struct {
	requests int64
	failed   int64
	latency  *hdrhistogram.Histogram
}

// newSlice tells times apart to two digits, enough for a picture.
func newSlice() *slice {
	return &slice{latency: hdrhistogram.New(1, longest.Microseconds(), 2)}
}

// at is the slice of a moment after the beginning.
func (t *timeline) at(offset time.Duration) *slice {
	if t.length == 0 {
		t.length = firstSlice
	}
	offset = max(0, offset)
	for offset >= t.length*maxSlices {
		t.merge()
	}
	i := int(offset / t.length)
	for len(t.slices) <= i {
		t.slices = append(t.slices, newSlice())
	}
	return t.slices[i]
}

// merge makes one slice of two.
func (t *timeline) merge() {
	t.length *= 2
	for i := 0; i < len(t.slices); i += 2 {
		s := t.slices[i]
		if i+1 < len(t.slices) {
			next := t.slices[i+1]
			s.requests += next.requests
			s.failed += next.failed
			s.latency.Merge(next.latency)
		}
		t.slices[i/2] = s
	}
	half := (len(t.slices) + 1) / 2
	clear(t.slices[half:])
	t.slices = t.slices[:half]
}

// points are the slices for the result.
func (t *timeline) points() []Point {
	points := make([]Point, len(t.slices))
	for i, s := range t.slices {
		points[i] = Point{
			At: (time.Duration(i) * t.length).Seconds(), Seconds: t.length.Seconds(), Requests: s.requests, Failed: s.failed,
			P50: milliseconds(s.latency.ValueAtQuantile(50)), P99: milliseconds(s.latency.ValueAtQuantile(99)), Max: milliseconds(s.latency.Max()),
		}
	}
	return points
}
