package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMarkdownIsDrawnForATerminal(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"paragraphs":     {"one\ntwo\n\nthree", "one two\n\nthree"},
		"hard break":     {"one  \ntwo", "one\ntwo"},
		"wrapping":       {strings.Repeat("word ", 10), "word word word word word word\nword word word word"},
		"heading":        {"## A heading\ntext", "A heading\n\ntext"},
		"emphasis":       {"**strong** and *weak* and ***both***", "strong and weak and both"},
		"list":           {"- one\n- two\n  - inner\n- three", "• one\n• two\n  • inner\n• three"},
		"loose list":     {"1. one\n\n   more\n\n2. two", "1. one\n\n   more\n\n2. two"},
		"list that ends": {"9. nine\n10. ten", "9. nine\n10. ten"},
		"long item":      {"- " + strings.Repeat("word ", 8), "• word word word word word\n  word word word"},
		"empty item":     {"-\n- x", "• \n• x"},
		"code":           {"```go\nfunc  main() {}\n\n\tx\n```", "  func  main() {}\n\n      x"},
		"code span":      {"run `a *b* \\n`", "run a *b* \\n"},
		"quote":          {"> said\n>\n> twice", "│ said\n│\n│ twice"},
		"rule":           {"a\n\n---\n\nb", "a\n\n" + strings.Repeat("─", 30) + "\n\nb"},
		"link":           {"see [the page](https://example.com/a)", "see the page\nhttps://example.com/a"},
		"bare link":      {"<https://example.com>", "https://example.com"},
		"image":          {"![a cat](cat.png)", "a cat cat.png"},
		"table":          {"| a | b |\n|---|--:|\n| 1 | 2 |", "| a | b |\n|---|--:|\n| 1 | 2 |"},
		"html":           {"a <b>bold</b>\n\n<div>\nx\n</div>", "a <b>bold</b>\n\n<div>\nx\n</div>"},
		"escapes":        {`\*no markup\* &amp; &lt;`, "*no markup* & <"},
		"no steering":    {"a&#27;[31m b &#x9b;2J [x](http://a/&#27;)", "a[31m b 2J x http://a/"},
		"nothing":        {"", ""},
		"unfinished":     {"**half\n\n```\ncode", "**half\n\n  code"},
	} {
		t.Run(name, func(t *testing.T) {
			drawn := drawMarkdown(c.source, 30, true)
			require.Equal(t, c.want, escapes.ReplaceAllString(drawn, ""))
		})
	}
}

func TestMarkdownThatIsNestedWithoutEndIsDrawnToo(t *testing.T) {
	for _, source := range []string{
		strings.Repeat("> ", 20) + "---", strings.Repeat("> ", 15_000) + "deep", strings.Repeat("- ", 15_000) + "deep\n", strings.Repeat("> - ", 100) + "***", strings.Repeat("1. ", 10_000),
		strings.Repeat(strings.Repeat("> ", 200)+"\n", 70),
	} {
		drawn := drawMarkdown(source, 30, false) // a model may say anything
		require.NotEmpty(t, drawn)
		require.Less(t, len(drawn), 1000)
	}
	long := strings.Repeat("**x** ", 1<<13)
	require.Equal(t, long, drawMarkdown(long, 30, false))
}

func TestColoursAreDrawnOnlyWhereTheyAreWanted(t *testing.T) {
	source := "# Heading\n\n**strong** `code` [x](y)"
	require.Contains(t, drawMarkdown(source, 80, true), "\x1b[36mcode")
	require.NotRegexp(t, `\x1b\[[0-9;]*(3[0-7]|9[0-7])m`, drawMarkdown(source, 80, false))
	require.Contains(t, drawMarkdown(source, 80, false), "\x1b[1mstrong")
}
