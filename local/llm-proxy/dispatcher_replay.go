package main

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge/route"
	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func newReplayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Deliver the events of a time once more",
		Long: `Delivers the events of requests that arrived between two times to one service once
more, and to no other, also while its dispatcher runs. What is delivered again has
the same id, by which services and readers tell a repetition.

The spool keeps events until every dispatcher has passed them. Older ones are read
from the server's event log (--file-event-log), without their bodies unless it has them.

With --bus eventbridge the archive of the bus brings the events to the rule of this
--name, and so into its queue; this waits until all are there. Events of the last
ten minutes may not be in the archive yet.`,
		Example: `llm-proxy dispatcher replay --service webhook --from 2026-11-22T08:00:00Z --to 2026-11-22T09:00:00Z
llm-proxy dispatcher replay --service ledger --from 2026-11-20 --to 2026-11-21 --file-event-log events.jsonl
llm-proxy dispatcher replay --service s3 --from 2026-11-22 --bus eventbridge --event-bus llm-proxy-events`,
		Args: noArgs,
		RunE: runReplay,
	}
	addDispatcherSettings(cmd, "metrics-addr", "give-up", "pause")
	cmd.Flags().String("from", "", "first time, RFC 3339 or a day in UTC")
	cmd.Flags().String("to", "", "time before which it ends, likewise (default: now)")
	addSettings(cmd, eventLogFlag)
	return cmd
}

// eventLogFlag is the server's, whose log is read here.
const eventLogFlag = "file-event-log"

func runReplay(cmd *cobra.Command, _ []string) (err error) {
	from, to, err := replayTimes(cmd)
	if err != nil {
		return err
	}
	s, err := loadDispatcherSettings(cmd)
	if err != nil {
		return err
	}
	if s.From == busEventBridge {
		return replayFromArchive(cmd, &s, from, to)
	}
	d, err := newDispatcher(cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	free, err := d.alone()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, free()) }()
	if d.config.MaxAttempts == 0 {
		d.config.MaxAttempts = redriveAttempts
	}
	stats, err := dispatch.Replay(cmd.Context(), d.config, d.kept(from, to))
	if _, printErr := fmt.Fprintf(cmd.OutOrStdout(), "delivered %d, dead %d\n", stats.Delivered, stats.Dead); err == nil {
		err = printErr
	}
	return err
}

// kept are the events of a time: those in the spool, with all they have, and of the rest what the event log says.
func (d *dispatcher) kept(from, to time.Time) iter.Seq2[*llmproxy.Event, error] {
	return func(yield func(*llmproxy.Event, error) bool) {
		for e, err := range spool.Kept(d.spool, from, to) {
			if !yield(e, err) || err != nil {
				return
			}
		}
		if log := d.settings.base.EventLog; log != "" {
			for e, err := range dispatch.EventLog(log, from, to) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// replayFromArchive has the bus's archive bring the events, and tells how far it is.
func replayFromArchive(cmd *cobra.Command, s *dispatcherSettings, from, to time.Time) error {
	if s.Bus == "" || s.Queue != "" {
		return usageError("--event-bus (LLM_PROXY_EVENT_BUS): name the bus and no --queue: a replay goes by the rule that has the dispatcher's --name")
	}
	if time.Since(to) < route.Settled {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "events of the last %d minutes may not be in the archive yet\n", int(route.Settled.Minutes()))
	}
	r, _, err := s.route(cmd.Context())
	if err != nil {
		return err
	}
	var last route.Progress
	err = r.Replay(cmd.Context(), from, to, func(p route.Progress) {
		if p != last {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), strings.TrimSpace(p.Name+" "+strings.ToLower(p.State)+" "+untilText(p.Until)))
		}
		last = p
	})
	if errors.Is(err, route.ErrNotFound) {
		return &exitError{exitRefused, err}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: the events are in the queue of %s\n", last.Name, s.Name)
	return err
}

func untilText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "until " + t.UTC().Format(llmproxy.TimeFormat)
}

// replayTimes are those of --from and --to.
func replayTimes(cmd *cobra.Command) (from, to time.Time, err error) {
	to = time.Now()
	for name, at := range map[string]*time.Time{"from": &from, "to": &to} {
		text, err := cmd.Flags().GetString(name)
		if err != nil {
			return from, to, err
		}
		if text == "" {
			continue
		}
		if *at, err = time.Parse(time.RFC3339, text); err != nil {
			if *at, err = time.Parse(time.DateOnly, text); err != nil {
				return from, to, usageError("--%s: %q is neither a time such as 2026-11-22T08:00:00Z nor a day such as 2026-11-22", name, text)
			}
		}
	}
	if from.IsZero() {
		return from, to, usageError("--from: name the first time")
	}
	if !from.Before(to) {
		return from, to, usageError("--from: must be before --to")
	}
	return from, to, nil
}
