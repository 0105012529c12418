//go:build ignore

// Command write makes prices.txt from LiteLLM's table of prices, which its Python wheel holds:
//
//	go run write.go litellm-1.109.1-....whl
package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const tableName = "litellm/model_prices_and_context_window_backup.json"

var (
	providers = []string{"openai", "text-completion-openai", "azure", "azure_text", "anthropic", "gemini"}
	// A cost that a usage can be multiplied with; package price knows these and says so of any other.
	useful = regexp.MustCompile(`^((in|out)put_cost_per_((audio_|image_|reasoning_)?token|second|character)|cache_(read|creation)_input(_audio|_image)?_token_cost)(_above_(1hr|12hr))?(_above_\d+k_tokens)?(_batches|_flex|_priority)?$`)
	sized  = regexp.MustCompile(`^((low|medium|high|standard|hd)/)?\d+-x-\d+/`)
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run write.go litellm-VERSION-....whl")
	}
	if err := write(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func write(wheel string) error {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return err
	}
	defer z.Close()
	f, err := z.Open(tableName)
	if err != nil {
		return err
	}
	d := json.NewDecoder(f)
	d.UseNumber() // prices stay as they were written
	var all map[string]map[string]any
	if err := d.Decode(&all); err != nil {
		return err
	}
	version := strings.Split(filepath.Base(wheel), "-")[1]
	models := map[string]string{} // what follows the name in its line
	for name, entry := range all {
		provider, _ := entry["litellm_provider"].(string)
		if name == "sample_spec" || !slices.Contains(providers, provider) || sized.MatchString(name) {
			continue
		}
		kept, err := keep(entry)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(kept) > 0 {
			models[name] = strings.TrimPrefix(strings.TrimSuffix(provider, "_text"), "text-completion-") + "\t" + strings.Join(kept, " ")
		}
	}
	var table bytes.Buffer
	fmt.Fprintf(&table, "# LiteLLM %s, MIT License, Copyright (c) 2023 Berri AI\n", version)
	for _, name := range slices.Sorted(maps.Keys(models)) {
		fmt.Fprintf(&table, "%s\t%s\n", name, models[name])
	}
	fmt.Fprintf(os.Stderr, "%d models, %d bytes\n", len(models), table.Len())
	return os.WriteFile("prices.txt", table.Bytes(), 0o644)
}

// keep returns the prices of a model as name=USD, by name.
func keep(entry map[string]any) (kept []string, err error) {
	for _, field := range slices.Sorted(maps.Keys(entry)) {
		switch value := entry[field].(type) {
		case json.Number:
			if useful.MatchString(field) {
				kept = append(kept, field+"="+value.String())
			}
		case map[string]any:
			if field != "search_context_cost_per_query" {
				continue
			}
			var prices []string
			for _, price := range value {
				prices = append(prices, fmt.Sprint(price))
			}
			slices.Sort(prices)
			if prices = slices.Compact(prices); len(prices) != 1 {
				return nil, errors.New("searches have prices by size now, and answers do not tell the size")
			}
			kept = append(kept, field+"="+prices[0])
		}
	}
	return kept, nil
}
