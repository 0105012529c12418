package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func newServerCommand() *cobra.Command {
	server := &cobra.Command{
		Use:   "server",
		Short: "Run the proxy on this machine",
		Long: `Runs the proxy over a SQLite database. With --demo it needs no key and no
account: a stand-in provider is built in, a project and a token are made at the
first start and kept for the next ones.

With --store dynamodb and --bus eventbridge it shares tables and bus with the
functions of a stack on AWS and with any number of further servers. Region and
credentials are found as the AWS CLI finds them.

Standard output has what to paste, standard error the log. SIGINT and SIGTERM
let running requests end within --shutdown-timeout; a second one ends at once.

MANAGEMENT_TOKEN, ADMIN_USER and ADMIN_PASSWORD are read from the environment
only; llm-proxy setup and --demo make token and password where they are missing.`,
		Example: `llm-proxy server --demo
llm-proxy server --addr 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
llm-proxy server -d && llm-proxy server health && llm-proxy server stop
llm-proxy server --addr 0.0.0.0:8080 --store dynamodb --bus eventbridge`,
		Args: noArgs,
		RunE: startServer,
	}
	start := &cobra.Command{Use: "start", Short: "Run the proxy (the same as server alone)", Args: noArgs, RunE: startServer}
	for _, cmd := range []*cobra.Command{server, start} {
		addSettings(cmd)
		cmd.Flags().Bool("demo", false, "run with the built-in stand-in provider")
		cmd.Flags().BoolP("daemon", "d", false, "run in the background; the log goes to server.log in the data folder unless --log-file says otherwise")
	}
	server.AddCommand(start, newServerStopCommand(), newServerHealthCommand())
	return server
}

func startServer(cmd *cobra.Command, _ []string) error {
	s, err := loadSettings(cmd)
	if err != nil {
		return err
	}
	demo, err := cmd.Flags().GetBool("demo")
	if err != nil {
		return err
	}
	daemon, err := cmd.Flags().GetBool("daemon")
	if err != nil {
		return err
	}
	if demo && (s.Store != storeSQLite || s.Bus != busSpool) {
		return usageError("--demo keeps all it needs on this machine: leave --store and --bus out, or run without --demo")
	}
	if daemon && s.Bus == busEventBridge {
		return usageError("with --bus eventbridge standard output has the events that neither bus nor queue takes, and a server in the background has none: leave -d out")
	}
	if demo && s.Providers != "" {
		return usageError("--demo brings its own provider: leave --providers (LLM_PROXY_PROVIDERS) out, or run without --demo")
	}
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	announce := func(text string) error {
		_, err := fmt.Fprint(cmd.OutOrStdout(), text)
		return err
	}
	if daemon {
		if !isDaemon() {
			return startDaemon(cmd, &s)
		}
		announce = tellStarter
		if s.LogFile == "" {
			s.LogFile = s.daemonLog()
		}
	}
	return serve(cmd.Context(), &s, demo, announce, cmd.ErrOrStderr())
}

// theServer is the one that runs with the settings of a command. Its absence is the exit code of what cannot be reached.
func theServer(cmd *cobra.Command) (*settings, runningServer, error) {
	s, err := loadSettings(cmd)
	if err != nil {
		return nil, runningServer{}, err
	}
	running, err := findServer(s.PIDFile)
	if errors.Is(err, errNotRunning) {
		err = &exitError{exitUnreachable, err}
	}
	return &s, running, err
}
