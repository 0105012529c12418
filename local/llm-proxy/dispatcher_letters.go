package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func newDeadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead-letters",
		Short: "Show what a service has not taken",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &cobra.Command{
		Use:     "list",
		Short:   "List a dispatcher's dead letters: time, event, attempts, reason",
		Example: "llm-proxy dispatcher dead-letters list --service webhook",
		Args:    noArgs,
		RunE:    listDeadLetters,
	}
	show := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one dead letter with its event",
		Example: "llm-proxy dispatcher dead-letters show --service webhook 019345ab-0000-7000-8000-000000000001",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("give the id of one event")
			}
			return nil
		},
		RunE: showDeadLetter,
	}
	for _, c := range []*cobra.Command{list, show} {
		addSettings(c, dispatcherBase...)
		c.Flags().String("service", "", "whose dead letters")
		c.Flags().String("name", "", "name of the dispatcher (default: the service)")
		addQueueSettings(c)
		cmd.AddCommand(c)
	}
	return cmd
}

// deadLetters calls do with each of a dispatcher's dead letters until it says that this is enough, or nobody reads what it prints any more.
func deadLetters(cmd *cobra.Command, do func(dispatch.DeadLetter) (more bool, err error)) error {
	signal.Ignore(syscall.SIGPIPE) // as in "list | head": letters of a queue are still to be shown to others then
	err := eachDeadLetter(cmd, do)
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

func eachDeadLetter(cmd *cobra.Command, do func(dispatch.DeadLetter) (more bool, err error)) error {
	s, err := parseDispatcherSettings(cmd)
	if err != nil {
		return err
	}
	if s.From == busEventBridge {
		return lettersOfQueue(cmd.Context(), &s, do)
	}
	if s.Name == s.Service && !isService(s.Service) {
		return usageError("--service: %q is none of the services", s.Service)
	}
	files, err := dispatch.DeadLetterFiles(dispatch.DeadLettersPath(s.base.DataDir, s.Name))
	if err != nil {
		return err
	}
	for _, file := range files {
		for letter, err := range dispatch.ReadDeadLetters(file) {
			if err != nil {
				return err
			}
			if more, err := do(letter); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

func listDeadLetters(cmd *cobra.Command, _ []string) error {
	return deadLetters(cmd, func(l dispatch.DeadLetter) (bool, error) {
		reason := string(llmproxy.AppendString(nil, l.Reason)) // it is what a service has said, and may hold anything
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\t%d\t%s\n", l.Time.UTC().Format(llmproxy.TimeFormat), gjson.GetBytes(l.Event, "id").Str, l.Attempts, reason)
		return true, err
	})
}

func showDeadLetter(cmd *cobra.Command, args []string) error {
	found := false
	err := deadLetters(cmd, func(l dispatch.DeadLetter) (bool, error) {
		if gjson.GetBytes(l.Event, "id").Str != args[0] {
			return true, nil
		}
		found = true
		letter, err := json.Marshal(l)
		if err != nil {
			return false, err
		}
		var shown bytes.Buffer
		if err := json.Indent(&shown, letter, "", "  "); err != nil {
			return false, err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), shown.String())
		return false, err
	})
	if err == nil && !found {
		return &exitError{exitRefused, fmt.Errorf("there is no dead letter of the event %q", args[0])}
	}
	return err
}
