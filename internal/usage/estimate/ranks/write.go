//go:build ignore

// Command write makes the rank tables beside it, from those that github.com/tiktoken-go/tokenizer compiles in. Their units are
// those that OpenAI publishes: it refuses a table that, written as OpenAI writes it, has not the SHA-256 of tiktoken's openai_public.py.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/sofatutor/llm-proxy/internal/usage/estimate/ranks"
	"github.com/tiktoken-go/tokenizer/codec"
)

func main() {
	for name, table := range map[string]struct {
		codec *codec.Codec
		size  uint
	}{
		"cl100k_base": {codec.NewCl100kBase(), 100256},
		"o200k_base":  {codec.NewO200kBase(), 199998},
	} {
		if err := write(name, table.codec, table.size); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
}

func write(name string, c *codec.Codec, size uint) error {
	units := make([]string, size)
	for rank := range units {
		var err error
		if units[rank], err = c.Decode([]uint{uint(rank)}); err != nil {
			return err
		}
	}
	if got, want := ranks.PublishedSum(units), ranks.Published[name]; got != want {
		return fmt.Errorf("SHA-256 is %s, want %s", got, want)
	}
	table, err := ranks.Pack(units)
	if err != nil {
		return err
	}
	return os.WriteFile(name+".ranks", table, 0o644)
}
