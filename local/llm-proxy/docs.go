package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:generate go test -run ^TestCommandsAreDocumented$ . -update

func newManCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man [COMMAND...]",
		Short: "Write manual pages",
		Long: `Writes the manual page of the program, or of one of its commands, to standard
output. With --dir it writes one page for each command into a folder.`,
		Example: `llm-proxy man | man -l -
llm-proxy man server stop | man -l -
llm-proxy man --dir ~/.local/share/man/man1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			shown, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError("there is no command %q", strings.Join(args, " "))
			}
			if dir == "" {
				_, err := io.WriteString(cmd.OutOrStdout(), manualPage(shown))
				return err
			}
			if len(args) > 0 {
				return usageError("--dir takes all commands: leave %q out", strings.Join(args, " "))
			}
			return writeManualPages(cmd.Root(), dir)
		},
		ValidArgsFunction: completeCommands,
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder to write a page of each command to")
	return cmd
}

func writeManualPages(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // manual pages are for everybody
		return err
	}
	var err error
	eachCommand(root, func(c *cobra.Command) {
		if err == nil && (c == root || c.IsAvailableCommand()) {
			err = os.WriteFile(filepath.Join(dir, manualName(c)+".1"), []byte(manualPage(c)), 0o644) //nolint:gosec // as above
		}
	})
	return err
}

func manualName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manualPage is a command's page for man. It has no date, so that packing twice gives the same.
func manualPage(c *cobra.Command) string {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	verbatim := func(s string) { fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roff(s)) }
	name := manualName(c)
	fmt.Fprintf(&b, ".TH \"%s\" \"1\" \"\" \"llm-proxy %s\" \"llm-proxy\"\n", strings.ToUpper(roff(name)), roff(version))
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", roff(name), roff(c.Short))
	section("SYNOPSIS")
	fmt.Fprintf(&b, "\\fB%s\\fR\n", roff(c.UseLine()))
	if c.Long != "" {
		section("DESCRIPTION")
		b.WriteString(strings.ReplaceAll(roff(c.Long), "\n\n", "\n.PP\n") + "\n")
	}
	var flags strings.Builder
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		fmt.Fprintf(&flags, ".TP\n\\fB%s\\fR", roff(short+"--"+f.Name))
		if f.NoOptDefVal == "" {
			value, _ := pflag.UnquoteUsage(f)
			fmt.Fprintf(&flags, " \\fI%s\\fR", roff(value))
		}
		fmt.Fprintf(&flags, "\n%s%s\n", roff(f.Usage), roff(shownDefault(f, " (default: %s)")))
	})
	if flags.Len() > 0 {
		section("OPTIONS")
		b.WriteString(flags.String())
	}
	if c.Example != "" {
		section("EXAMPLES")
		verbatim(c.Example)
	}
	if related := relatedCommands(c); len(related) > 0 {
		section("SEE ALSO")
		for i, r := range related {
			if i > 0 {
				b.WriteString(",\n")
			}
			fmt.Fprintf(&b, "\\fB%s\\fR(1)", roff(manualName(r)))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// relatedCommands are the one above and those below.
func relatedCommands(c *cobra.Command) (related []*cobra.Command) {
	if c.HasParent() {
		related = append(related, c.Parent())
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			related = append(related, sub)
		}
	}
	return related
}

// shownDefault is a flag's default in that form; "" where it is nothing.
func shownDefault(f *pflag.Flag, form string) string {
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
		return ""
	}
	return fmt.Sprintf(form, f.DefValue)
}

// roff is text without what would be an instruction in a manual page.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// eachCommand visits a command and all below it.
func eachCommand(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, visit)
	}
}

// completeCommands completes the names of commands.
func completeCommands(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	at, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, sub := range at.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name()+"\t"+sub.Short)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
