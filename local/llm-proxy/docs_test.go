package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// commandDocuments is the folder with a page for each command.
const commandDocuments = "../../docs/cli"

func TestCommandsAreDocumented(t *testing.T) {
	want := documentCommands()
	if *update {
		require.NoError(t, os.RemoveAll(commandDocuments))
		require.NoError(t, os.MkdirAll(commandDocuments, 0o755))
		for name, page := range want {
			require.NoError(t, os.WriteFile(filepath.Join(commandDocuments, name), []byte(page), 0o644))
		}
	}
	entries, err := os.ReadDir(commandDocuments)
	require.NoError(t, err)
	for _, entry := range entries {
		require.Contains(t, want, entry.Name(), "a page without a command: run make generate")
	}
	for name, page := range want {
		have, err := os.ReadFile(filepath.Join(commandDocuments, name))
		require.NoError(t, err, "run make generate")
		require.Equal(t, page, string(have), "run make generate")
	}
}

// documentCommands are the pages by file name: one for each command of the root with those below it, and a list of them.
func documentCommands() map[string]string {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	pages := map[string]string{}
	var index strings.Builder
	fmt.Fprintf(&index, "# Commands\n\n<!-- Generated from local/llm-proxy by make generate. -->\n\n%s\n\n```\n%s\n```\n\n| command | |\n|---|---|\n", paragraph(root.Long), root.Example)
	for _, c := range root.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		var page strings.Builder
		page.WriteString("<!-- Generated from local/llm-proxy by make generate. -->\n")
		documentCommand(&page, c, 1)
		pages[c.Name()+".md"] = page.String()
		fmt.Fprintf(&index, "| [`%s`](%s.md) | %s |\n", c.CommandPath(), c.Name(), cell(c.Short))
	}
	index.WriteString("\n`--help` shows the same for each command, `llm-proxy man` as a manual page. The server's settings by environment are in [settings](../settings.md).\n")
	pages["README.md"] = index.String()
	return pages
}

// documentCommand writes a command and those below it.
func documentCommand(w *strings.Builder, c *cobra.Command, level int) {
	fmt.Fprintf(w, "\n%s %s\n\n%s.\n\n", strings.Repeat("#", min(level, 3)), c.CommandPath(), strings.TrimRight(paragraph(c.Short), "."))
	if c.Long != "" {
		w.WriteString(paragraph(c.Long) + "\n\n")
	}
	if c.Runnable() {
		fmt.Fprintf(w, "```\n%s\n```\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(w, "\nFor example:\n\n```\n%s\n```\n", c.Example)
	}
	rows := 0
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if rows++; rows == 1 {
			w.WriteString("\n| flag | default | |\n|---|---|---|\n")
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "` " + name
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", name, cell(shownDefault(f, "`%s`")), cell(f.Usage))
	})
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			documentCommand(w, sub, level+1)
		}
	}
}

// paragraph is plain text as markdown: what would be markup is not.
func paragraph(s string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(s)) {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "    ") { // an example in the text, kept as it is
			b.WriteString("    " + strings.TrimLeft(line, "\t "))
			continue
		}
		b.WriteString(strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(line))
	}
	return b.String()
}

// cell is text in a table.
func cell(s string) string {
	return strings.NewReplacer("<", "&lt;", "|", `\|`, "\n", " ").Replace(s)
}

func TestEveryCommandSaysWhatItIsFor(t *testing.T) {
	eachCommand(newRoot(), func(c *cobra.Command) {
		require.NotEmpty(t, c.Short, c.CommandPath())
		require.Regexp(t, `^[A-Z]`, c.Short, c.CommandPath())
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { require.NotEmpty(t, f.Usage, "%s --%s", c.CommandPath(), f.Name) })
	})
}

func TestManualPagesAreWellFormedAndTheSameEachTime(t *testing.T) {
	dir := t.TempDir()
	pages := func() map[string]string {
		out, err := program(t, "man", "--dir", dir).CombinedOutput()
		require.NoError(t, err, string(out))
		return snapshot(t, dir)
	}
	first := pages()
	require.Equal(t, first, pages())
	require.Contains(t, first, filepath.Join(dir, "llm-proxy-server-stop.1"))
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Log("SKIPPED the look at the pages: groff is not installed")
		return
	}
	for name := range first {
		cmd := exec.CommandContext(t.Context(), groff, "-man", "-Tutf8", "-ww", name)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Run())
		require.Empty(t, stderr.String(), name)
		require.Contains(t, stdout.String(), "llm-proxy")
	}
}

func TestNothingInAManualPageIsTakenForAnInstruction(t *testing.T) {
	page := manualPage(&cobra.Command{Use: "x", Short: ".so /etc/passwd", Long: ".rm TH\n'so x\nand \\fBbold\n\nnext", Run: func(*cobra.Command, []string) {}})
	require.Contains(t, page, "\n\\&.rm TH\n\\&'so x\nand \\efBbold\n.PP\nnext\n")
	require.NotRegexp(t, `(?m)^[.'](so|rm)`, page)
}

func TestCompletionKnowsCommandsAndFlags(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, err := program(t, "completion", shell).Output()
		require.NoError(t, err)
		require.NotEmpty(t, out, shell)
	}
	complete := func(args ...string) string {
		out, err := program(t, append([]string{"__complete"}, args...)...).Output()
		require.NoError(t, err)
		return string(out)
	}
	require.Regexp(t, `(?m)^benchmark\t`, complete("ben"))
	require.Regexp(t, `(?m)^--concurrency\t`, complete("benchmark", "--con"))
	require.Regexp(t, `(?m)^stop\t`, complete("man", "server", ""))
}
