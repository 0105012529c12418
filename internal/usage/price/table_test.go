package price

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestEveryLineOfTheEmbeddedTableIsFoundAndReads(t *testing.T) {
	head, lines, _ := strings.Cut(embedded, "\n")
	require.Contains(t, head, "LiteLLM", "the first line says where the prices are from")
	require.True(t, strings.HasSuffix(lines, "\n"))
	var names []string
	for line := range strings.Lines(lines) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, columns, 3, line)
		names = append(names, columns[0])
		m, ok := Embedded().model(columns[0])
		require.True(t, ok, columns[0])
		require.Equal(t, columns[1], m.provider)
		require.NotEmpty(t, m.prices, columns[0])
		for _, p := range m.prices {
			require.Regexp(t, known(), p.name, columns[0])
			require.Regexp(t, decimal(), p.usd, columns[0])
			require.LessOrEqual(t, newPrice(p.usd).rat().Cmp(maxPrice), 0, "%s: %s is %s", columns[0], p.name, p.usd)
			require.Equal(t, p.usd, m.prices.of(p.name), "%s: %s is there twice", columns[0], p.name)
			require.True(t, newPrice(p.usd).whole || strings.HasSuffix(p.name, "_per_second"), "%s: %s=%s costs big numbers at each event: more digits in unitsPerUSD", columns[0], p.name, p.usd)
		}
	}
	require.Greater(t, len(names), 500)
	require.True(t, slices.IsSorted(names), "names are looked up by halves")
	for _, other := range []string{"", "\x00", "0", "gpt-4", "zzz", "gpt-4o\topenai", "\xff"} {
		_, ok := Embedded().model(other)
		require.Equal(t, slices.Contains(names, other), ok, "%q", other)
	}
}

func TestWholeNumbersSumUpToWhatFractionsDo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	texts := []string{
		"0", "0.0", "1", "10", "1e-06", "1E-6", "2.5e-06", "3.2857142857142855e-08", "2.0000000000000002e-07", "0.014", "0.18", "0.19", "9.99e+0",
		"00.000001", "1e-20", "15e-21", "1e-21", "0.12345678901234567890", "0.123456789012345678901", "12345678901234567890e-20", "5e-13", "4.9e-13", "100000e-25",
	}
	whole := 0
	for range 20_000 {
		var parts []part
		for range 1 + random.IntN(4) {
			p := newPrice(texts[random.IntN(len(texts))])
			n := random.Int64N(1 << random.IntN(63))
			parts = append(parts, part{n: n, price: p})
		}
		if usd, ok := wholeTotal(parts); ok {
			whole++
			require.Equal(t, exactTotal(parts), usd, "%v", parts) //nolint:testifylint // the same to the last bit
		}
	}
	require.Greater(t, whole, 2_000, "the short way is hardly taken")
	for text, want := range map[string]bool{"1e-20": true, "0.18": true, "0.19": false, "1e-21": false, "100000e-25": true, "0": true, "0e-99": true, "1e99": false, "18446744073709551616": false} {
		require.Equal(t, want, newPrice(text).whole, text)
	}
}

func TestATotalThatWholeNumbersDoNotHoldIsExactToo(t *testing.T) {
	for name, c := range map[string]struct {
		n    int64
		usd  string
		want float64
	}{
		"a price of many digits":   {3, "0.123456789012345678901", 0.370370367037},
		"a price above 18 cents":   {2, "9.5", 19},
		"more than a float counts": {1 << 60, "0.1", 115292150460684697.6},
		"half a step, up":          {1, "5e-13", 1e-12},
		"less than half a step":    {1, "4.9e-13", 0},
	} {
		p := newPrice(c.usd)
		require.InDelta(t, c.want, total([]part{{n: c.n, price: p}}), 0, name)
	}
}

func BenchmarkFill(b *testing.B) {
	e := call("openai", "gpt-4o-2024-08-06", llmproxy.Usage{Input: n(1000), Cached: n(600), Output: n(100)}, llmproxy.UsageDetails{})
	prices := Embedded()
	b.ReportAllocs()
	for b.Loop() {
		e.Usage.CostUSD = nil
		prices.Fill(e)
	}
}
