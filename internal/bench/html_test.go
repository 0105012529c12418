package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aRun has everything that a report can show.
func aRun(t *testing.T) *Result {
	var n atomic.Int64
	return do(t, Plan{Requests: 300, Concurrency: 4, Rate: 50, Body: []byte(`{}`)}, func(w http.ResponseWriter, _ *http.Request) {
		i := n.Add(1)
		if i%20 == 0 {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"error":{"code":"<script>alert(1)</script>","message":"<img src=x>"}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			time.Sleep(time.Duration(5+i%30) * time.Millisecond)
			_, _ = io.WriteString(w, "data: {}\n\n")
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	})
}

func TestTheReportIsOnePageThatLoadsNothing(t *testing.T) {
	r := aRun(t)
	var out bytes.Buffer
	require.NoError(t, r.WriteHTML(&out))
	page := out.String()
	if path := os.Getenv("BENCH_REPORT"); path != "" {
		require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
	}
	require.NotRegexp(t, `(?i)<(script|img|link|iframe)\b|<[^>]*\s(src|href)=|@import|url\(`, page)
	require.Contains(t, page, "&lt;script&gt;", "what a server said is text")
	require.Contains(t, page, "prefers-color-scheme: dark")
	require.NotContains(t, page, "NaN")
	require.NotContains(t, page, "Inf")
	require.Equal(t, 5, strings.Count(page, "<svg "), "histogram, percentiles, rate, latency over time, gaps")
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, "each drawing is well-formed")
		}
	}
	require.Contains(t, page, "corrected for coordinated omission")
	require.Contains(t, page, formatMS(r.Latency.P99))
}

func TestAReportOfNothingCanBeDrawn(t *testing.T) {
	var out bytes.Buffer
	run, err := New(Plan{Method: "GET", URL: "http://127.0.0.1:1", Requests: 1, Concurrency: 1})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, run.Do(ended).WriteHTML(&out))
	require.NotContains(t, out.String(), "<svg")
	require.NotContains(t, out.String(), "NaN")
}

func TestTheJSONResultReadsBack(t *testing.T) {
	r := aRun(t)
	var out bytes.Buffer
	require.NoError(t, r.WriteJSON(&out))
	var back Result
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, r, &back)
	require.EqualValues(t, 285, back.Succeeded)
	require.Equal(t, map[int]int64{200: 285, 429: 15}, back.Statuses)
}

func TestNumbersAreWrittenForReaders(t *testing.T) {
	for ms, want := range map[float64]string{0.5: "500 µs", 1.234: "1.23 ms", 12.34: "12.3 ms", 123.4: "123 ms", 1234: "1.23 s", 61234: "61.2 s"} {
		require.Equal(t, want, formatMS(ms))
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		require.Equal(t, want, formatCount(n))
	}
}

func TestTicksLieOnTheirAxisAndAreFew(t *testing.T) {
	for _, s := range []scale{{high: 1}, {high: 0.037}, {high: 93211}, {low: 0.001, high: 3_600_000, log: true}, {low: 1, high: 10, log: true}, {high: 0}} {
		ticks := s.ticks()
		require.NotEmpty(t, ticks, "%+v", s)
		require.LessOrEqual(t, len(ticks), 11, "%+v", s)
		for _, v := range ticks {
			require.False(t, math.IsNaN(s.at(v)))
			require.LessOrEqual(t, v, s.high*1.01)
			require.GreaterOrEqual(t, v, s.low)
		}
	}
}
