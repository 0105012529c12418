package estimate

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
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

// counters load on first use: 5 and 2 MB, less than a tenth of a second each.
var counters = map[string]func() Counter{
	O200k:  sync.OnceValue(func() Counter { return encoding{load(O200k), nextO200k} }),
	Cl100k: sync.OnceValue(func() Counter { return encoding{load(Cl100k), nextCl100k} }),
}

// CounterFor returns the counter for a model's texts.
func CounterFor(model string) Counter { return counters[EncodingOf(model)]() }

// load reads a table. It panics if one that is compiled in cannot be read: the program is broken then.
func load(name string) *ranks {
	r, err := readRanks(name)
	if err != nil {
		panic(fmt.Sprintf("the table of %s: %v", name, err))
	}
	return r
}

// encoding is how a family of models counts: texts are cut into pieces, and each piece into units.
type encoding struct {
	ranks *ranks
	next  func(text string) (length int) // of the piece that a text begins with
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
			piece := e.next(part)
			n += e.ranks.count(part[:piece])
			part = part[piece:]
		}
		text = text[end:]
	}
	return n
}
