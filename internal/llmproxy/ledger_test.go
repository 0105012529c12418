package llmproxy

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAQuantileIsOffByAThirtySecondAtMost(t *testing.T) {
	for _, n := range []int64{0, 1, 31, 32, 33, 63, 64, 1000, 123_456, 900_000, math.MaxInt64} {
		var h Histogram
		h.Add(n)
		got, ok := h.Quantile(.5)
		require.True(t, ok)
		require.LessOrEqual(t, math.Abs(float64(got-n)), float64(n)/32, "%d became %d", n, got)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var h, parts [2]Histogram
	var all []int64
	for i := range 5000 {
		n := int64(math.Exp(random.Float64() * 14))
		all = append(all, n)
		h[0].Add(n)
		parts[i%2].Add(n)
	}
	slices.Sort(all)
	parts[0].merge(&parts[1], 1)
	for _, q := range []float64{0, .01, .5, .95, .99, 1} {
		exact := all[max(int(math.Ceil(q*float64(len(all)))), 1)-1]
		got, ok := h[0].Quantile(q)
		require.True(t, ok)
		require.LessOrEqual(t, math.Abs(float64(got-exact)), float64(exact)/32, "%v", q)
		merged, _ := parts[0].Quantile(q)
		require.Equal(t, got, merged, "histograms add up")
	}
	_, ok := new(Histogram).Quantile(.5)
	require.False(t, ok, "none is unknown")
}

func TestBucketsRiseWithoutAGap(t *testing.T) {
	for n := range int64(100_000) {
		step := bucketOf(n+1) - bucketOf(n)
		require.True(t, step == 0 || step == 1, "%d", n)
	}
	require.Zero(t, bucketOf(-1))
}

func TestAHistogramIsReadAsItWasWritten(t *testing.T) {
	var h, again Histogram
	for _, n := range []int64{0, 5, 5, 1000, math.MaxInt64} {
		h.Add(n)
	}
	data := h.AppendBinary(nil)
	require.NoError(t, again.AddBinary(data))
	require.Equal(t, h, again)
	require.Less(t, len(data), 12)
	require.ErrorIs(t, again.AddBinary([]byte{0x80}), errHistogram)
	require.ErrorIs(t, again.AddBinary([]byte{0xff, 0xff, 0x7f, 2}), errHistogram)
	require.ErrorIs(t, again.AddBinary([]byte{5}), errHistogram)
	require.NoError(t, new(Histogram).AddBinary(nil))
}

func TestCostsAddUpExactly(t *testing.T) {
	var sum Cost
	exact := new(big.Rat)
	for i := range 100_000 {
		usd, err := strconv.ParseFloat(strconv.Itoa(i%7)+"."+strconv.Itoa(100_000_000_000+i*7919), 64)
		require.NoError(t, err)
		c := CostOf(usd)
		sum.Micro, sum.Pico = sum.Micro+c.Micro, sum.Pico+c.Pico
		part, _ := new(big.Rat).SetString(strconv.FormatFloat(usd, 'f', 12, 64))
		exact.Add(exact, part)
	}
	got, ok := new(big.Rat).SetString(sum.String())
	require.True(t, ok)
	require.Zero(t, exact.Cmp(got), "%s is not %s", sum, exact.FloatString(12))
	for usd, want := range map[float64]string{0: "0", 1e-12: "0.000000000001", .1: "0.1", 10: "10", 1234.5: "1234.5", MaxCostUSD: "1000000", 2500.000000000001: "2500.000000000001"} {
		require.Equal(t, want, CostOf(usd).String())
	}
}

func TestWhatWasAddedIsTakenOutAgain(t *testing.T) {
	n, usd := int64(7), .25
	e := &Event{Outcome: Cut, Timing: Timing{Total: time.Second, FirstByte: time.Millisecond}, Usage: &Usage{Input: &n, Source: SourceEstimate, CostUSD: &usd}}
	one := TallyOf(e)
	require.Equal(t, []int64{1, 1, 1, 1, 1}, []int64{one.Requests, one.Errors, one.Metered, one.Estimated, one.Priced})
	require.Equal(t, []Units{{7, 1}, {}}, []Units{one.Input, one.Output}, "what is unknown is no event")
	two := one
	two.Latency, two.FirstByte = Histogram{}, Histogram{}
	two.Latency.merge(&one.Latency, 1)
	two.Add(&one)
	two.Take(&one)
	for i, c := range two.Counters() {
		require.Equal(t, *one.Counters()[i], *c)
	}
	require.Equal(t, int64(1), two.Latency.Count())
	require.Zero(t, two.FirstByte.Count())
	require.Equal(t, int64(1), TallyOf(&Event{Outcome: Complete, Status: 500}).Errors)
	require.Zero(t, TallyOf(&Event{Outcome: Complete, Status: 404}).Errors)
}
