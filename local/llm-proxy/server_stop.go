package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newServerStopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the running server; requests under way may end first",
		Long: `Asks the running server to stop and waits until it has: requests under way may
end within the server's --shutdown-timeout. The exit code is 4 if none runs.`,
		Args: noArgs,
		RunE: stopServer,
	}
	addSettings(cmd, "data-dir", "db", "pid-file")
	return cmd
}

// stopMargin is what a server may take beyond its own limit to cut what still runs and close its files.
const stopMargin = 15 * time.Second

func stopServer(cmd *cobra.Command, _ []string) error {
	s, running, err := theServer(cmd)
	if err != nil {
		return err
	}
	if err := terminate(running.PID); err != nil {
		return fmt.Errorf("stop process %d: %w", running.PID, err)
	}
	if err := waitUntilGone(cmd.Context(), s.PIDFile, running.PID, running.shutdown()+stopMargin); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "stopped process %d\n", running.PID)
	return nil
}
