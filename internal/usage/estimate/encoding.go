package estimate

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/pkoukk/tiktoken-go"
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

// counters load on first use: 30 MB and a tenth of a second each.
var counters = map[string]func() Counter{
	O200k:  sync.OnceValue(func() Counter { return load(O200k) }),
	Cl100k: sync.OnceValue(func() Counter { return load(Cl100k) }),
}

// CounterFor returns the counter for a model's texts.
func CounterFor(model string) Counter { return counters[EncodingOf(model)]() }

// load makes a counter. It panics if a table that is compiled in cannot be read: the program is broken then.
func load(encoding string) Counter {
	useOurTables()
	t, err := tiktoken.GetEncoding(encoding)
	if err != nil {
		panic(fmt.Sprintf("the table of %s: %v", encoding, err))
	}
	return counter{t}
}

// useOurTables keeps the library from asking the network for its tables.
var useOurTables = sync.OnceFunc(func() { tiktoken.SetBpeLoader(embedded{}) })

//go:embed ranks/*.tiktoken.gz
var tables embed.FS

// embedded implements [tiktoken.BpeLoader].
type embedded struct{}

// LoadTiktokenBpe reads the table whose published address ends in the same file name.
func (embedded) LoadTiktokenBpe(address string) (map[string]int, error) {
	packed, err := tables.ReadFile("ranks/" + path.Base(address) + ".gz")
	if err != nil {
		return nil, err
	}
	table, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	ranks := make(map[string]int, 200_000)
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		unit, rank, _ := strings.Cut(lines.Text(), " ")
		b, err := base64.StdEncoding.DecodeString(unit)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(rank)
		if err != nil {
			return nil, err
		}
		ranks[string(b)] = n
	}
	return ranks, lines.Err()
}

type counter struct{ t *tiktoken.Tiktoken }

// Count implements [Counter].
func (c counter) Count(text string) int {
	n := 0
	for text != "" {
		end := nextCut(text)
		n += len(c.t.EncodeOrdinary(text[:end]))
		text = text[end:]
	}
	return n
}
