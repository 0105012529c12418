//go:build ignore

// Command write makes the rank tables beside it, from those that github.com/tiktoken-go/tokenizer compiles in. What it writes is,
// byte for byte, what OpenAI publishes: it refuses a table whose SHA-256 is not that of tiktoken's openai_public.py.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log"
	"os"

	"github.com/tiktoken-go/tokenizer/codec"
)

func main() {
	for name, table := range map[string]struct {
		codec *codec.Codec
		size  uint
		sum   string
	}{
		"cl100k_base": {codec.NewCl100kBase(), 100256, "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"},
		"o200k_base":  {codec.NewO200kBase(), 199998, "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"},
	} {
		if err := write(name+".tiktoken.gz", table.codec, table.size, table.sum); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
}

func write(path string, c *codec.Codec, size uint, wantSum string) error {
	var table bytes.Buffer
	for rank := range size {
		unit, err := c.Decode([]uint{rank})
		if err != nil {
			return err
		}
		fmt.Fprintf(&table, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(unit)), rank)
	}
	sum := sha256.Sum256(table.Bytes())
	if got := hex.EncodeToString(sum[:]); got != wantSum {
		return fmt.Errorf("SHA-256 is %s, want %s", got, wantSum)
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(table.Bytes()); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, packed.Bytes(), 0o644)
}
