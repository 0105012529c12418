// Command llm-proxy runs the proxy on one machine and sets it up.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
)

// version is set when the program is linked.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:]))
}

// run executes a command line and returns its exit code.
func run(ctx context.Context, args []string) int {
	root := newRoot() //nolint:contextcheck // commands get their context from Execute
	root.SetArgs(args)
	err := fang.Execute(ctx, root, fang.WithVersion(version), fang.WithoutManpage(), fang.WithErrorHandler(printError))
	return exitCode(err)
}

// commands is what the program can do.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newSetupCommand(),
		newServerCommand(),
		newLambdaCommand(),
		newManageCommand(),
		newDispatcherCommand(),
		newOpenAICommand(),
		newBenchmarkCommand(),
		newReleaseCommand(),
		newDoctorCommand(),
		newManCommand(),
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "llm-proxy",
		Short: "Withering tokens for any LLM API",
		Long: `llm-proxy holds one provider key and hands out withering tokens: bound to a
project, expiring, limited, revocable at once. Any OpenAI client works through
it by changing base URL and key.

Standard output has data, standard error the talk. Exit codes: 0 done, 1 failed,
2 the command line or a setting cannot be taken, 3 refused or not found,
4 what was to be asked does not answer.`,
		Example: `# try it: a built-in stand-in provider, no key needed
llm-proxy server --demo

# with a real key
llm-proxy setup
llm-proxy server`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command %q", args[0])
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	root.AddCommand(commands()...)
	return root
}

// noArgs refuses arguments as an error of the command line.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("%q takes no argument %q", cmd.CommandPath(), args[0])
	}
	return nil
}
