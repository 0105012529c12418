package price

import (
	"math/big"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
)

// Fill sets the cost of the event's usage if it is not set and every part of it is known.
func (t *Table) Fill(e *llmproxy.Event) {
	if e.Usage == nil || e.Usage.CostUSD != nil {
		return
	}
	m, ok := t.find(e.Provider, e.Model)
	if !ok {
		m, ok = t.find(e.Provider, usage.RequestModel(&e.Request))
	}
	if !ok {
		return
	}
	if cost, ok := m.cost(e.Usage); ok {
		e.Usage.CostUSD = &cost
	}
}

// suffixes of the prices of a tier.
var suffixes = map[string]string{"": "", "priority": "_priority", "flex": "_flex", "batch": "_batches"}

// bill collects what is known; once a part is unknown, all of it is.
type bill struct {
	prices prices
	above  string   // the suffix of prices for long prompts, "" for others
	tier   string   // the suffix of the tier
	parts  [12]part // more than a bill has
	n      int      // of parts
	broken bool
}

// cost is the exact cost of a usage in USD, rounded once, and whether it is known.
func (m model) cost(u *llmproxy.Usage) (usd float64, ok bool) {
	var d llmproxy.UsageDetails
	if u.Details != nil {
		d = *u.Details
	}
	tier, ok := suffixes[d.Tier]
	if !ok {
		return 0, false
	}
	b := &bill{prices: m.prices, tier: tier}
	switch {
	case u.Input == nil && d.Seconds != nil:
		seconds := new(big.Rat).SetFloat64(*d.Seconds)
		b.broken = seconds == nil
		b.add(part{seconds: seconds}, "input_cost_per_second")
	case u.Input == nil && u.Output == nil && d.Characters != nil:
		b.units(*d.Characters, "input_cost_per_character")
	case u.Input == nil:
		return 0, false
	default:
		b.above = longPrompt(m.prices, *u.Input)
		b.input(u, d)
		b.output(u, d)
	}
	b.units(of(d.Searches), "search_context_cost_per_query")
	if b.broken {
		return 0, false
	}
	return total(b.parts[:b.n]), true
}

// input adds the prompt: what was cached, heard or seen has prices of its own.
func (b *bill) input(u *llmproxy.Usage, d llmproxy.UsageDetails) {
	long := of(d.CacheWriteLong)
	b.units(of(u.Cached), "cache_read_input_token_cost", "input_cost_per_token")
	b.units(of(u.CacheWrite)-long, "cache_creation_input_token_cost", "input_cost_per_token")
	b.units(long, "cache_creation_input_token_cost_above_1hr", "cache_creation_input_token_cost_above_12hr")
	b.units(of(d.InputAudio), "input_cost_per_audio_token")
	b.units(of(d.InputImage), "input_cost_per_image_token", "input_cost_per_token")
	b.units(*u.Input-of(u.Cached)-of(u.CacheWrite)-of(d.InputAudio)-of(d.InputImage), "input_cost_per_token")
}

// output adds what was written. Models that only make pictures have one price for all of it, those that only embed have none to pay.
func (b *bill) output(u *llmproxy.Usage, d llmproxy.UsageDetails) {
	if u.Output == nil {
		if price := b.price("output_cost_per_token"); price != "" && !newPrice(price).free() || price == "" && b.price("output_cost_per_image_token") != "" {
			b.broken = true
		}
		return
	}
	rest := *u.Output - of(d.OutputAudio) - of(d.OutputImage)
	b.units(of(d.OutputAudio), "output_cost_per_audio_token")
	b.units(of(d.OutputImage), "output_cost_per_image_token", "output_cost_per_token")
	if b.price("output_cost_per_reasoning_token") != "" {
		b.units(of(u.Reasoning), "output_cost_per_reasoning_token")
		rest -= of(u.Reasoning)
	}
	if d.OutputImage == nil {
		b.units(rest, "output_cost_per_token", "output_cost_per_image_token")
		return
	}
	b.units(rest, "output_cost_per_token")
}

// units adds n units at the first of the prices that is known.
func (b *bill) units(n int64, fields ...string) {
	if n < 0 {
		b.broken = true // the counts contradict each other
	}
	if n > 0 {
		b.add(part{n: n}, fields...)
	}
}

func (b *bill) add(p part, fields ...string) {
	for _, field := range fields {
		if usd := b.price(field); usd != "" {
			p.price = newPrice(usd)
			b.parts[b.n] = p
			b.n++
			return
		}
	}
	b.broken = true
}

// price is that of the field for this length of prompt and this tier; what has no price of its own for one of them takes the plain
// one. It is "" if it is not known.
func (b *bill) price(field string) string {
	if b.above != "" && b.tier != "" {
		if price := b.prices.of(field + b.above + b.tier); price != "" {
			return price
		}
	}
	for _, suffix := range []string{b.above, b.tier} {
		if suffix == "" {
			continue
		}
		if price := b.prices.of(field + suffix); price != "" {
			return price
		}
	}
	return b.prices.of(field)
}

// longPrompt is the suffix of the prices for a prompt of so many units; the whole request takes them.
func longPrompt(p prices, input int64) string {
	for _, step := range []struct {
		units  int64
		suffix string
	}{{272_000, "_above_272k_tokens"}, {200_000, "_above_200k_tokens"}, {128_000, "_above_128k_tokens"}, {100_000, "_above_100k_tokens"}} {
		if input > step.units && p.of("input_cost_per_token"+step.suffix) != "" {
			return step.suffix
		}
	}
	return ""
}

// of is a count, 0 if it is not said: a part that is not said is none.
func of(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
