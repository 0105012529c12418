package bench

import (
	"fmt"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longest is the largest time that histograms tell apart; a longer one counts as this.
const longest = time.Hour

// newHistogram holds times from 1 µs to longest, to three digits. Its size does not depend on how many it is given.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), 3)
}

// record adds a time in µs.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(1, d.Microseconds()), h.HighestTrackableValue())) // within its range: it cannot fail
}

// schedule says when requests are due that are sent at an even rate. Latencies that count from there show also what waited for the
// answer before it (no coordinated omission).
type schedule struct {
	begin     time.Time
	perSecond float64
}

// due is when the request of that number is to be sent, counted from 0.
func (s schedule) due(i int64) time.Time { return s.begin.Add(s.offset(i)) }

// offset is how long after the beginning that is. It is reckoned from the number, so that nothing adds up.
func (s schedule) offset(i int64) time.Duration {
	return time.Duration(float64(i) / s.perSecond * float64(time.Second))
}

// Machine says where figures were measured.
func Machine() string {
	return fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
