package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// drawMarkdown draws markdown for a terminal of that width. What it does not know stays as it was written. It draws by itself because the
// usual library brings a highlighter of 300 languages, which costs each start of this program, the server's too, some 50 ms and 5 MB.
func drawMarkdown(source string, width int, colours bool) string {
	if len(source) > maxMarkdown {
		return source
	}
	source = nested.ReplaceAllString(source, "$1…")
	d := &drawing{source: []byte(source), heading: bold, code: lipgloss.NewStyle(), link: lipgloss.NewStyle().Underline(true)}
	if colours {
		d.heading, d.code, d.link = bold.Foreground(lipgloss.Magenta), d.code.Foreground(lipgloss.Cyan), d.link.Foreground(lipgloss.Blue)
	}
	document := goldmark.DefaultParser().Parse(text.NewReader(d.source))
	return strings.Join(d.blocks(document, width, true), "\n")
}

// What a person may be meant to read. Beyond it a model could keep the terminal busy, or end the program by nesting without end.
const (
	maxMarkdown = 32 << 10 // bytes; a longer answer is shown as it was written
	maxNesting  = 32       // quotes and lists in one another; what lies deeper is left out
	leastWidth  = 10
)

// nested is a line that nests deeper than is drawn. What it has beyond is cut off: the parser's time is the square of the depth, minutes for
// 100 kB of it.
var nested = regexp.MustCompile(fmt.Sprintf(`(?m)^((?:[ \t]*(?:>|(?:[-+*]|\d{1,9}[.)])[ \t])){%d}).*$`, maxNesting+1))

// drawing is markdown that is being drawn.
type drawing struct {
	source              []byte
	heading, code, link lipgloss.Style
	depth               int
}

// blocks draws what a block consists of, with empty lines between where spaced.
func (d *drawing) blocks(parent ast.Node, width int, spaced bool) (lines []string) {
	if d.depth == maxNesting {
		return []string{"…"}
	}
	d.depth++
	defer func() { d.depth-- }()
	width = max(leastWidth, width)
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if spaced && len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, d.block(n, width)...)
	}
	return lines
}

func (d *drawing) block(n ast.Node, width int) []string {
	switch n := n.(type) {
	case *ast.Heading:
		return d.wrap(d.heading.Render(d.inlines(n)), width)
	case *ast.Paragraph, *ast.TextBlock:
		if raw := d.raw(n); isTable(raw) {
			return raw // its columns are lined up as they are
		}
		return d.wrap(d.inlines(n), width)
	case *ast.List:
		return d.list(n, width)
	case *ast.Blockquote:
		return indent(d.blocks(n, width-2, true), "│ ", "│ ")
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		lines := d.raw(n)
		for i, line := range lines {
			if line != "" {
				lines[i] = d.code.Render(line)
			}
		}
		return indent(lines, "  ", "  ")
	case *ast.ThematicBreak:
		return []string{strings.Repeat("─", width)}
	}
	return d.raw(n)
}

func (d *drawing) list(list *ast.List, width int) (lines []string) {
	number := list.Start
	for item := list.FirstChild(); item != nil; item = item.NextSibling() {
		marker := "• "
		if list.IsOrdered() {
			marker = fmt.Sprintf("%d. ", number)
			number++
		}
		rest := strings.Repeat(" ", lipgloss.Width(marker))
		if !list.IsTight && len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, indent(d.blocks(item, width-len(rest), !list.IsTight), marker, rest)...)
	}
	return lines
}

// indent puts something before the first line and before the others.
func indent(lines []string, first, rest string) []string {
	if len(lines) == 0 {
		return []string{first}
	}
	for i, line := range lines {
		before := rest
		if i == 0 {
			before = first
		}
		lines[i] = strings.TrimRight(before+line, " ")
	}
	return lines
}

// raw are the lines of a block as they were written.
func (d *drawing) raw(n ast.Node) (lines []string) {
	segments := n.Lines()
	for i := range segments.Len() {
		line := segments.At(i)
		lines = append(lines, strings.TrimRight(string(line.Value(d.source)), "\n"))
	}
	return lines
}

// isTable reports whether lines are a table as GitHub has it.
func isTable(lines []string) bool {
	return len(lines) > 1 && strings.Contains(lines[0], "|") && strings.Contains(lines[1], "--") && strings.Trim(lines[1], "|-: ") == ""
}

func (d *drawing) wrap(s string, width int) []string {
	return strings.Split(lipgloss.Wrap(s, width, ""), "\n")
}

// inlines draws what stands in a line.
func (d *drawing) inlines(parent ast.Node) string {
	var b strings.Builder
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			b.WriteString(unescape(n.Value(d.source)))
			if n.HardLineBreak() {
				b.WriteByte('\n')
			} else if n.SoftLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.WriteString(unescape(n.Value))
		case *ast.CodeSpan:
			b.WriteString(d.code.Render(strings.ReplaceAll(d.plain(n), "\n", " ")))
		case *ast.Emphasis:
			style := lipgloss.NewStyle().Italic(true)
			if n.Level > 1 {
				style = bold
			}
			b.WriteString(style.Render(d.inlines(n)))
		case *ast.Link:
			d.writeLink(&b, d.inlines(n), unescape(n.Destination))
		case *ast.Image:
			d.writeLink(&b, d.inlines(n), unescape(n.Destination))
		case *ast.AutoLink:
			b.WriteString(d.link.Render(string(n.URL(d.source))))
		case *ast.RawHTML:
			for i := range n.Segments.Len() {
				segment := n.Segments.At(i)
				b.Write(segment.Value(d.source))
			}
		}
	}
	return b.String()
}

// writeLink shows where a link leads: on a terminal nothing else does.
func (d *drawing) writeLink(b *strings.Builder, name, to string) {
	if name != to && name != "" {
		b.WriteString(name + " ")
	}
	b.WriteString(d.link.Render(to))
}

// plain is the text of a code span, where nothing is markup.
func (d *drawing) plain(parent ast.Node) string {
	var b strings.Builder
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if t, ok := n.(*ast.Text); ok {
			b.Write(t.Segment.Value(d.source))
		}
	}
	return b.String()
}

// unescape resolves backslashes and entities, of which some stand for what would steer the terminal.
func unescape(s []byte) string {
	s = util.ResolveEntityNames(util.ResolveNumericReferences(s))
	return printable(string(bytes.ReplaceAll(util.UnescapePunctuations(s), []byte("\n"), []byte(" "))))
}
