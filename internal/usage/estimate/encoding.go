package estimate

import (
	_ "embed" // of the tables
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sofatutor/llm-proxy/internal/usage/estimate/ranks"
)

// The encodings that there are.
const (
	O200k  = "o200k_base"
	Cl100k = "cl100k_base"
)

// Counter counts the units of a text.
type Counter interface {
	// Count returns how many units the text is. What looks like a control unit, such as <|endoftext|>, is plain text. It is safe
	// for concurrent use.
	Count(text string) int
}

// olderModels begin with these names, after "ft:" where they are fine-tuned, and count by cl100k_base; all others by o200k_base.
// "gpt-4" is among them, but not "gpt-4o" or "gpt-4.1": its name ends there or goes on with a dash.
var olderModels = []string{"gpt-3.5", "gpt-35-turbo", "text-embedding-", "davinci-002", "babbage-002"}

// EncodingOf returns the name of the model's encoding.
func EncodingOf(model string) string {
	model = strings.TrimPrefix(model, "ft:")
	if rest, ok := strings.CutPrefix(model, "gpt-4"); ok && (rest == "" || rest[0] == '-' || rest[0] == ':') {
		return Cl100k
	}
	for _, prefix := range olderModels {
		if strings.HasPrefix(model, prefix) {
			return Cl100k
		}
	}
	return O200k
}

//go:embed ranks/o200k_base.ranks
var o200kFile string

//go:embed ranks/cl100k_base.ranks
var cl100kFile string

// counters are made on first use; nothing is read then but the tables' headers.
var counters = map[string]func() Counter{
	O200k:  sync.OnceValue(func() Counter { return encoding{open(o200kFile), o200k} }),
	Cl100k: sync.OnceValue(func() Counter { return encoding{open(cl100kFile), cl100k} }),
}

// CounterFor returns the counter for a model's texts.
func CounterFor(model string) Counter { return counters[EncodingOf(model)]() }

// open opens a table that is compiled in. It panics if that is damaged: the program is broken then.
func open(file string) *ranks.Table {
	t, err := ranks.Open(file)
	if err != nil {
		panic(err)
	}
	return t
}

// encoding is how a family of models counts: texts are cut into pieces, and each piece into units.
type encoding struct {
	ranks *ranks.Table
	rules *rules
}

// Count implements [Counter].
func (e encoding) Count(text string) int {
	if !utf8.ValidString(text) {
		text = string([]rune(text)) // each byte that is not UTF-8 counts as U+FFFD
	}
	n := 0
	for text != "" {
		end := nextCut(text)
		for part := text[:end]; part != ""; {
			piece := e.rules.next(part)
			n += unitsOf(e.ranks, part[:piece])
			part = part[piece:]
		}
		text = text[end:]
	}
	return n
}
