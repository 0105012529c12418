package ranks

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Published are the SHA-256 of the encodings' files of OpenAI, as openai_public.py of tiktoken has them.
var Published = map[string]string{
	"cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
	"o200k_base":  "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}

// PublishedSum is the SHA-256 of units, given by rank, in the form that OpenAI publishes: a line for each, in base64, with its rank.
func PublishedSum(units []string) string {
	h, line := sha256.New(), []byte(nil)
	for rank, unit := range units {
		line = base64.StdEncoding.AppendEncode(line[:0], []byte(unit))
		h.Write(fmt.Appendf(line, " %d\n", rank))
	}
	return hex.EncodeToString(h.Sum(nil))
}
