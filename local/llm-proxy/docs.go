package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
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
			root := cmd.Root()
			shown, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageError("there is no command %q", args)
			}
			eachCommand(root, func(c *cobra.Command) { c.DisableAutoGenTag = true })
			if dir == "" {
				return doc.GenMan(shown, manHeader(), cmd.OutOrStdout())
			}
			if len(args) > 0 {
				return usageError("--dir takes all commands: leave %q out", args)
			}
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // manual pages are for everybody
				return err
			}
			if err := doc.GenManTree(root, manHeader(), dir); err != nil {
				return fmt.Errorf("write manual pages: %w", err)
			}
			return nil
		},
		ValidArgsFunction: completeCommands,
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder to write a page of each command to")
	return cmd
}

// manHeader has no date of its own: it is that of SOURCE_DATE_EPOCH, so that packing twice gives the same, or today's.
func manHeader() *doc.GenManHeader {
	return &doc.GenManHeader{Section: "1", Source: "llm-proxy " + version, Manual: "llm-proxy"}
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
