package price

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

func n(v int64) *int64 { return &v }

func call(provider, model string, u llmproxy.Usage, d llmproxy.UsageDetails) *llmproxy.Event {
	if d != (llmproxy.UsageDetails{}) {
		u.Details = &d
	}
	u.Source = llmproxy.SourceUpstream
	return &llmproxy.Event{Provider: provider, Model: model, Usage: &u}
}

// table has the shapes of prices that there are, at prices of its own, so that a newer table changes no test.
const table = `{
	"plain": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06, "search_context_cost_per_query": 0.01,
		"input_cost_per_token_priority": 4.25e-06, "output_cost_per_token_priority": 1.7e-05, "input_cost_per_token_flex": 1e-6, "input_cost_per_token_batches": 1.25e-06},
	"ft:plain": {"input_cost_per_token": 1, "output_cost_per_token": 1},
	"long": {"input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06, "input_cost_per_token_above_272k_tokens": 3e-06, "input_cost_per_token_above_272k_tokens_flex": 2.5e-06,
		"output_cost_per_token_flex": 1e-06, "input_cost_per_token_flex": 1e-06},
	"claude": {"input_cost_per_token": 5e-06, "output_cost_per_token": 2.5e-05, "cache_creation_input_token_cost": 6.25e-06, "cache_creation_input_token_cost_above_1hr": 1e-05, "cache_read_input_token_cost": 5e-07},
	"audio": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "input_cost_per_audio_token": 3.2e-05, "output_cost_per_audio_token": 6.4e-05},
	"whisper": {"input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001},
	"transcribe": {"input_cost_per_second": 0.0001, "input_cost_per_token": 2.5e-06, "input_cost_per_audio_token": 2.5e-06, "output_cost_per_token": 1e-05},
	"tts": {"input_cost_per_character": 1.5e-05},
	"images": {"input_cost_per_token": 5e-06, "input_cost_per_image_token": 1e-05, "output_cost_per_image_token": 4e-05},
	"embed": {"input_cost_per_token": 2e-08, "output_cost_per_token": 0.0},
	"free": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
	"reasons": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "output_cost_per_reasoning_token": 5e-06},
	"thirds": {"input_cost_per_token": 3.2857142857142855e-08, "output_cost_per_token": 2.0000000000000002e-07},
	"azure/plain": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
}`

func testTable(t *testing.T) *Table {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prices.json")
	require.NoError(t, os.WriteFile(path, []byte(table), 0o600))
	prices, err := (&Table{}).WithFile(path)
	require.NoError(t, err)
	return prices
}

func TestEachPartHasItsPrice(t *testing.T) {
	prices := testTable(t)
	seconds := 9.5
	for name, c := range map[string]struct {
		provider, model string
		usage           llmproxy.Usage
		details         llmproxy.UsageDetails
		want            float64
	}{
		"plain":                        {"openai", "plain", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{}, 0.0035},
		"cached":                       {"openai", "plain", llmproxy.Usage{Input: n(1000), Cached: n(600), Output: n(100)}, llmproxy.UsageDetails{}, 0.00275},
		"searches":                     {"openai", "plain", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{Searches: n(3)}, 0.0335},
		"priority":                     {"openai", "plain", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{Tier: "priority"}, 0.00595},
		"a tier with one price":        {"openai", "plain", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{Tier: "flex"}, 0.002},
		"batch":                        {"openai", "plain", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{Tier: "batch"}, 0.00225},
		"another provider's":           {"azure", "plain", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{}, 0.0011},
		"fine-tuned":                   {"openai", "ft:plain:acme::x1", llmproxy.Usage{Input: n(1), Output: n(1)}, llmproxy.UsageDetails{}, 2},
		"not yet long":                 {"openai", "long", llmproxy.Usage{Input: n(272_000), Output: n(1000)}, llmproxy.UsageDetails{}, 0.548},
		"long":                         {"openai", "long", llmproxy.Usage{Input: n(272_001), Output: n(1000)}, llmproxy.UsageDetails{}, 0.820003},
		"long in a tier":               {"openai", "long", llmproxy.Usage{Input: n(300_000), Output: n(1000)}, llmproxy.UsageDetails{Tier: "flex"}, 0.751},
		"written to a cache":           {"anthropic", "claude", llmproxy.Usage{Input: n(1000), Cached: n(100), CacheWrite: n(300), Output: n(10)}, llmproxy.UsageDetails{CacheWriteLong: n(200)}, 0.003 + 0.00005 + 0.000625 + 0.002 + 0.00025},
		"cached without a price":       {"openai", "audio", llmproxy.Usage{Input: n(1000), Cached: n(100), Output: n(0)}, llmproxy.UsageDetails{}, 0.0025},
		"heard and spoken":             {"openai", "audio", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{InputAudio: n(900), OutputAudio: n(80)}, 0.00025 + 0.0288 + 0.00512 + 0.0002},
		"by the second, once":          {"openai", "whisper", llmproxy.Usage{}, llmproxy.UsageDetails{Seconds: &seconds}, 0.00095},
		"transcribed, by the second":   {"openai", "transcribe", llmproxy.Usage{}, llmproxy.UsageDetails{Seconds: &seconds}, 0.00095},
		"transcribed, by units":        {"openai", "transcribe", llmproxy.Usage{Input: n(14), Output: n(45)}, llmproxy.UsageDetails{InputAudio: n(14)}, 0.000485},
		"by the character":             {"openai", "tts", llmproxy.Usage{}, llmproxy.UsageDetails{Characters: n(1000)}, 0.015},
		"pictures":                     {"openai", "images", llmproxy.Usage{Input: n(50), Output: n(100)}, llmproxy.UsageDetails{InputImage: n(40)}, 0.00005 + 0.0004 + 0.004},
		"pictures, said so":            {"openai", "images", llmproxy.Usage{Input: n(10), Output: n(100)}, llmproxy.UsageDetails{OutputImage: n(100)}, 0.00405},
		"seen by a model for text":     {"openai", "plain", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{InputImage: n(500)}, 0.0035},
		"embedded":                     {"openai", "embed", llmproxy.Usage{Input: n(1000)}, llmproxy.UsageDetails{}, 0.00002},
		"free":                         {"openai", "free", llmproxy.Usage{Input: n(1000), Output: n(1)}, llmproxy.UsageDetails{}, 0},
		"reasoning":                    {"openai", "reasons", llmproxy.Usage{Input: n(0), Output: n(100), Reasoning: n(60)}, llmproxy.UsageDetails{}, 0.00038},
		"prices with traces of floats": {"openai", "thirds", llmproxy.Usage{Input: n(7_000_000), Output: n(1_000_000)}, llmproxy.UsageDetails{}, 0.43},
	} {
		t.Run(name, func(t *testing.T) {
			e := call(c.provider, c.model, c.usage, c.details)
			prices.Fill(e)
			require.NotNil(t, e.Usage.CostUSD)
			require.InDelta(t, c.want, *e.Usage.CostUSD, 1e-13)
		})
	}
}

func TestACostOfWhichAPartIsUnknownIsUnknown(t *testing.T) {
	prices := testTable(t)
	for name, e := range map[string]*llmproxy.Event{
		"no such model":                 call("openai", "gpt-6.2-sol", llmproxy.Usage{Input: n(1), Output: n(1)}, llmproxy.UsageDetails{}),
		"a name that begins like it":    call("openai", "plain-2", llmproxy.Usage{Input: n(1), Output: n(1)}, llmproxy.UsageDetails{}),
		"no output":                     call("openai", "plain", llmproxy.Usage{Input: n(1)}, llmproxy.UsageDetails{}),
		"no input":                      call("openai", "plain", llmproxy.Usage{Output: n(1)}, llmproxy.UsageDetails{}),
		"audio without a price":         call("openai", "plain", llmproxy.Usage{Input: n(1), Output: n(1)}, llmproxy.UsageDetails{InputAudio: n(1)}),
		"searches without a price":      call("openai", "audio", llmproxy.Usage{Input: n(1), Output: n(1)}, llmproxy.UsageDetails{Searches: n(1)}),
		"a tier that we do not know":    call("openai", "plain", llmproxy.Usage{Input: n(1), Output: n(1)}, llmproxy.UsageDetails{Tier: "ultrafast"}),
		"counts that contradict":        call("openai", "plain", llmproxy.Usage{Input: n(1), Cached: n(2), Output: n(1)}, llmproxy.UsageDetails{}),
		"written for hours, no price":   call("openai", "plain", llmproxy.Usage{Input: n(9), CacheWrite: n(2), Output: n(1)}, llmproxy.UsageDetails{CacheWriteLong: n(2)}),
		"spoken, no price by character": call("openai", "plain", llmproxy.Usage{}, llmproxy.UsageDetails{Characters: n(2)}),
		"a picture without its count":   call("openai", "images", llmproxy.Usage{Input: n(2)}, llmproxy.UsageDetails{}),
		"no usage":                      {Provider: "openai", Model: "plain"},
	} {
		prices.Fill(e)
		require.True(t, e.Usage == nil || e.Usage.CostUSD == nil, name)
	}
}

func TestTheAnswersModelComesBeforeTheRequests(t *testing.T) {
	prices := testTable(t)
	e := call("openai", "", llmproxy.Usage{Input: n(1000), Output: n(100)}, llmproxy.UsageDetails{})
	body := []byte(`{"model":"plain"}`)
	e.Request.Body = &llmproxy.Body{Head: body, Size: int64(len(body))}
	e.Model = "plain-2026-11-22"
	prices.Fill(e)
	require.InDelta(t, 0.0035, *e.Usage.CostUSD, 1e-13, "the model that answered is not in the table, the one asked for is")
	e.Usage.CostUSD, e.Model = nil, "free"
	prices.Fill(e)
	require.Zero(t, *e.Usage.CostUSD)
	before := 7.0
	e.Usage.CostUSD = &before
	prices.Fill(e)
	require.InDelta(t, 7.0, *e.Usage.CostUSD, 0, "a cost that is known stays")
}

func TestTheEmbeddedTableHasTheModelsOfItsProviders(t *testing.T) {
	for _, c := range []struct{ provider, model string }{
		{"openai", "gpt-4o"},
		{"openai", "gpt-4o-2024-08-06"},
		{"openai", "gpt-5"},
		{"openai", "text-embedding-3-small"},
		{"anthropic", "claude-opus-4-8"},
		{"azure", "gpt-4o"},
		{"gemini", "gemini-2.5-pro"},
		{"openai", "ft:gpt-4o-2024-08-06:acme::x1"},
		{"openai", "gpt-3.5-turbo-instruct"},
	} {
		e := call(c.provider, c.model, llmproxy.Usage{Input: n(1000), Output: n(1000)}, llmproxy.UsageDetails{})
		Embedded().Fill(e)
		require.NotNil(t, e.Usage.CostUSD, "%s of %s", c.model, c.provider)
		require.Less(t, *e.Usage.CostUSD, 1.0)
	}
	stranger := call("local", "gpt-4o", llmproxy.Usage{Input: n(1000), Output: n(1000)}, llmproxy.UsageDetails{})
	Embedded().Fill(stranger)
	require.Nil(t, stranger.Usage.CostUSD, "what another provider calls gpt-4o has no price here")
	_, ok := Embedded().find("openai", "sample_spec")
	require.False(t, ok)
}

func TestAStandInCostsWhatItStandsInFor(t *testing.T) {
	ask := func(prices *Table, model string) *float64 {
		e := call("demo", model, llmproxy.Usage{Input: n(1000), Output: n(1000)}, llmproxy.UsageDetails{})
		prices.Fill(e)
		return e.Usage.CostUSD
	}
	prices := Embedded().WithLike("demo", "openai")
	require.InDelta(t, 0.0125, *ask(prices, "gpt-4o"), 1e-13)
	require.Nil(t, ask(prices, "claude-3-5-haiku-latest"), "another provider's model is none that it stands in for")
	require.Nil(t, ask(Embedded(), "gpt-4o"), "without that it has no prices")

	path := filepath.Join(t.TempDir(), "prices.yaml")
	require.NoError(t, os.WriteFile(path, []byte("demo/gpt-4o: {input_cost_per_token: 0, output_cost_per_token: 0}\n"), 0o600))
	prices, err := prices.WithFile(path)
	require.NoError(t, err)
	require.Zero(t, *ask(prices, "gpt-4o"), "prices of its own come first")
	require.NotNil(t, ask(prices, "gpt-4o-mini"))
}

func TestAFileOverridesKeyByKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.yaml")
	require.NoError(t, os.WriteFile(path, []byte("gpt-4o:\n  output_cost_per_token: 2e-05\n  cache_read_input_token_cost: null\nlocal/llama: {input_cost_per_token: 1e-06, output_cost_per_token: 0}\n"), 0o600))
	prices, err := Embedded().WithFile(path)
	require.NoError(t, err)
	gpt, _ := prices.find("openai", "gpt-4o")
	require.Equal(t, "1/50000", newPrice(gpt.prices.of("output_cost_per_token")).rat().String())
	require.NotEmpty(t, gpt.prices.of("input_cost_per_token"), "what the file does not name stays")
	require.Empty(t, gpt.prices.of("cache_read_input_token_cost"), "null is unknown")
	before, _ := Embedded().find("openai", "gpt-4o")
	require.Equal(t, "1/100000", newPrice(before.prices.of("output_cost_per_token")).rat().String(), "the embedded table is not changed")
	e := call("local", "llama", llmproxy.Usage{Input: n(1000), Output: n(1000)}, llmproxy.UsageDetails{})
	prices.Fill(e)
	require.InDelta(t, 0.001, *e.Usage.CostUSD, 1e-13)

	for content, want := range map[string]string{
		"m: {input_price: 1}":              "m: input_price: there is no such price",
		"m: {input_cost_per_token: cheap}": "m: input_cost_per_token: cheap is no price",
		"m: {input_cost_per_token: -1}":    "-1 is no price",
		"m: {input_cost_per_token: 2500}":  "2500 is no price in USD for one unit",
		"- m":                              "a model has a map of prices",
		"m: [":                             "prices in " + path,
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := Embedded().WithFile(path)
		require.ErrorContains(t, err, want)
	}
	_, err = Embedded().WithFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
