// Command llm-proxy runs the proxy on one machine and sets it up.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
)

// version is set when the program is linked.
var version = "dev"

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // the command line or a setting cannot be taken
	exitRefused     = 3 // refused, or not found
	exitUnreachable = 4 // what was to be asked does not answer
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes a command line and returns its exit code.
func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := fang.Execute(ctx, root, fang.WithVersion(version), fang.WithoutManpage())
	return exitCode(err)
}

// exitError carries the exit code of an error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError is an error of the command line or the settings.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode is that of an error. One that comes before a command has begun is the command line's.
func exitCode(err error) int {
	var coded *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "llm-proxy",
		Short: "Withering tokens for any LLM API",
		Long: `llm-proxy holds one provider key and hands out withering tokens: bound to a
project, expiring, limited, revocable at once. Any OpenAI client works through
it by changing base URL and key.`,
		Example: `# try it: a built-in stand-in provider, no key needed
llm-proxy server --demo

# with a real key
llm-proxy setup
llm-proxy server`,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	root.AddCommand(newServerCommand(), newSetupCommand())
	return root
}

// noArgs refuses arguments as an error of the command line.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("unknown argument %q for %q, see %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}
