package price

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// model is what is known of one model's prices.
type model struct {
	provider string // whose model it is; "" is anybody's
	prices   prices
}

// Table is what models cost. It is not changed after it was made, and safe for concurrent use.
type Table struct {
	lines string            // of prices.txt, sorted by name; looked up as they are, so that they cost nothing before
	own   map[string]model  // what a file says, each with the rest of what the lines say of that model
	like  map[string]string // a provider that has no prices of its own, and the one by whose prices it goes
}

// prices.txt has a line for each model: name, tab, provider, tab, and name=USD of each price with a space between them. The first says
// where it is from.
//
//go:embed prices.txt
var embedded string

// Embedded returns the table that is compiled in.
func Embedded() *Table {
	_, lines, _ := strings.Cut(embedded, "\n")
	return &Table{lines: lines}
}

// model returns what is known under a name.
func (t *Table) model(name string) (model, bool) {
	if m, ok := t.own[name]; ok {
		return m, true
	}
	line, ok := lineOf(t.lines, name)
	if !ok {
		return model{}, false
	}
	provider, fields, _ := strings.Cut(line, "\t")
	m := model{provider: provider, prices: make(prices, 0, strings.Count(fields, "="))}
	for field := range strings.SplitSeq(fields, " ") {
		name, usd, _ := strings.Cut(field, "=")
		m.prices = append(m.prices, named{name, usd})
	}
	return m, true
}

// lineOf is what follows the name in the line that begins with it. The lines are sorted.
func lineOf(lines, name string) (rest string, ok bool) {
	low, high := 0, len(lines) // what is looked for begins at low or later, and before high
	for low < high {
		begin, middle := low, (low+high)/2
		if next := middle + strings.IndexByte(lines[middle:], '\n') + 1; next < high {
			begin = next
		}
		end := begin + strings.IndexByte(lines[begin:], '\n')
		got, rest, _ := strings.Cut(lines[begin:end], "\t")
		switch order := strings.Compare(got, name); {
		case order == 0:
			return rest, true
		case order < 0:
			low = end + 1
		case begin == low:
			return "", false
		default:
			high = middle + 1 // no line begins between middle and begin
		}
	}
	return "", false
}

// WithFile returns the table with the prices of a file in place of its own, key by key. The file is JSON or YAML: names of models,
// as they are or as provider/model, and for each the prices in USD for one unit under LiteLLM's names, such as
// input_cost_per_token. A price of null makes it unknown. A key that no price has is an error.
func (t *Table) WithFile(path string) (*Table, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("prices: %w", err)
	}
	asJSON, err := yaml.YAMLToJSON(data) // JSON is YAML
	if err != nil {
		return nil, fmt.Errorf("prices in %s: %w", path, err)
	}
	var models map[string]map[string]any
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.UseNumber()
	if err := d.Decode(&models); err != nil {
		return nil, fmt.Errorf("prices in %s: a model has a map of prices: %w", path, err)
	}
	changed, err := t.with(models)
	if err != nil {
		return nil, fmt.Errorf("prices in %s: %w", path, err)
	}
	return changed, nil
}

// WithLike returns the table in which a provider's models cost what another's of the same name do, such as those of a stand-in for it.
func (t *Table) WithLike(provider, other string) *Table {
	like := maps.Clone(t.like)
	if like == nil {
		like = map[string]string{}
	}
	like[provider] = other
	return &Table{lines: t.lines, own: t.own, like: like}
}

// known are the prices that a usage can be multiplied with; write.go keeps the same ones.
var known = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^((in|out)put_cost_per_((audio_|image_|reasoning_)?token|second|character)|cache_(read|creation)_input(_audio|_image)?_token_cost)(_above_(1hr|12hr))?(_above_\d+k_tokens)?(_batches|_flex|_priority)?$|^search_context_cost_per_query$`)
})

func (t *Table) with(models map[string]map[string]any) (*Table, error) {
	changed := &Table{lines: t.lines, own: maps.Clone(t.own), like: t.like}
	if changed.own == nil {
		changed.own = make(map[string]model, len(models))
	}
	for name, fields := range models {
		m, _ := t.model(name)
		m.prices = slices.Clone(m.prices)
		for key, value := range fields {
			if err := m.set(key, value); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, key, err)
			}
		}
		changed.own[name] = m
	}
	return changed, nil
}

func (m *model) set(key string, value any) error {
	if provider, ok := value.(string); ok && key == "provider" {
		m.provider = provider
		return nil
	}
	if !known().MatchString(key) {
		return errors.New("there is no such price")
	}
	m.prices = slices.DeleteFunc(m.prices, func(p named) bool { return p.name == key })
	if value == nil {
		return nil
	}
	number := fmt.Sprint(value) // YAML takes 1e-06 for a text
	if !decimal().MatchString(number) || newPrice(number).rat().Cmp(maxPrice) > 0 {
		return fmt.Errorf("%s is no price in USD for one unit", number)
	}
	m.prices = append(m.prices, named{key, number})
	return nil
}

// decimal is a number as JSON has it, not negative, of a length that costs nothing to read.
var decimal = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\d{1,20}(\.\d{1,40})?([eE][+-]?\d{1,2})?$`)
})

// maxPrice is more than any unit costs: a larger number is meant for a million units.
var maxPrice = big.NewRat(10, 1)

// find returns the model's prices, under the name with its provider or under the name alone if it is that provider's; without any, those of
// the provider by whose prices it goes. A fine-tuned model, ft:base:organisation:name:id, is found under ft:base.
func (t *Table) find(provider, name string) (model, bool) {
	if name == "" {
		return model{}, false
	}
	if parts := strings.SplitN(name, ":", 3); len(parts) == 3 && parts[0] == "ft" {
		name = "ft:" + parts[1]
	}
	m, ok := t.of(provider, name)
	if other := t.like[provider]; !ok && other != "" {
		m, ok = t.of(other, name)
	}
	return m, ok
}

func (t *Table) of(provider, name string) (model, bool) {
	if m, ok := t.model(provider + "/" + name); ok {
		return m, true
	}
	m, ok := t.model(name)
	return m, ok && (m.provider == "" || m.provider == provider)
}
