package demo

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheDocumentedWordsAreTheOnesThatWork compares the table of docs/demo.md with the grammar.
func TestTheDocumentedWordsAreTheOnesThatWork(t *testing.T) {
	text, err := os.ReadFile("../../docs/demo.md")
	require.NoError(t, err)
	var table strings.Builder
	for _, w := range words {
		shown := w.name
		switch {
		case w.without != "":
			shown += "[=" + w.value + "]"
		case w.value != "":
			shown += "=" + w.value
		}
		does := w.does
		if w.without != "" {
			does += "; without a value " + w.without
		}
		fmt.Fprintf(&table, "| `%s` | %s |\n", strings.ReplaceAll(shown, "|", "\\|"), does)
	}
	require.Contains(t, string(text), "| word | what happens |\n|---|---|\n"+table.String()+"\n", "docs/demo.md has to hold this table")
}
