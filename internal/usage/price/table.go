package price

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// model is what is known of one model's prices.
type model struct {
	provider string              // whose model it is; "" is anybody's
	prices   map[string]*big.Rat // by LiteLLM's names, in USD for one unit
}

// Table is what models cost. It is not changed after it was made, and safe for concurrent use.
type Table struct {
	models map[string]model
}

//go:embed prices.json.gz
var packed []byte

// Embedded returns the table that is compiled in.
var Embedded = sync.OnceValue(func() *Table {
	t, err := embedded()
	if err != nil {
		panic(fmt.Sprintf("the table of prices that is compiled in: %v", err)) // the program is broken
	}
	return t
})

func embedded() (*Table, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	var table struct {
		Models map[string]map[string]any
	}
	d := json.NewDecoder(r)
	d.UseNumber()
	if err := d.Decode(&table); err != nil {
		return nil, err
	}
	return (&Table{}).with(table.Models)
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

// known are the prices that a usage can be multiplied with; write.go keeps the same ones.
var known = regexp.MustCompile(`^((in|out)put_cost_per_((audio_|image_|reasoning_)?token|second|character)|cache_(read|creation)_input(_audio|_image)?_token_cost)(_above_(1hr|12hr))?(_above_\d+k_tokens)?(_batches|_flex|_priority)?$|^search_context_cost_per_query$`)

func (t *Table) with(models map[string]map[string]any) (*Table, error) {
	all := maps.Clone(t.models)
	if all == nil {
		all = make(map[string]model, len(models))
	}
	for name, fields := range models {
		m := model{provider: all[name].provider, prices: maps.Clone(all[name].prices)}
		if m.prices == nil {
			m.prices = make(map[string]*big.Rat, len(fields))
		}
		for key, value := range fields {
			if err := m.set(key, value); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, key, err)
			}
		}
		all[name] = m
	}
	return &Table{models: all}, nil
}

func (m *model) set(key string, value any) error {
	if provider, ok := value.(string); ok && key == "provider" {
		m.provider = provider
		return nil
	}
	if !known.MatchString(key) {
		return errors.New("there is no such price")
	}
	if value == nil {
		delete(m.prices, key)
		return nil
	}
	number := fmt.Sprint(value) // YAML takes 1e-06 for a text
	price, ok := new(big.Rat), decimal.MatchString(number)
	if ok {
		price, ok = price.SetString(number)
	}
	if !ok || price.Cmp(maxPrice) > 0 {
		return fmt.Errorf("%s is no price in USD for one unit", number)
	}
	m.prices[key] = price
	return nil
}

// decimal is a number as JSON has it, not negative, of a length that costs nothing to read.
var decimal = regexp.MustCompile(`^\d{1,20}(\.\d{1,40})?([eE][+-]?\d{1,2})?$`)

// maxPrice is more than any unit costs: a larger number is meant for a million units.
var maxPrice = big.NewRat(10, 1)

// find returns the model's prices, under the name with its provider or under the name alone if it is that provider's. A fine-tuned
// model, ft:base:organisation:name:id, is found under ft:base.
func (t *Table) find(provider, name string) (model, bool) {
	if parts := strings.SplitN(name, ":", 3); len(parts) == 3 && parts[0] == "ft" {
		name = "ft:" + parts[1]
	}
	if m, ok := t.models[provider+"/"+name]; ok {
		return m, true
	}
	m, ok := t.models[name]
	return m, ok && (m.provider == "" || m.provider == provider)
}
