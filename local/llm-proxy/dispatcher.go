package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

func newDispatcherCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dispatcher",
		Short: "Deliver events to a destination",
		Long: `Follows the spool in the data folder, that of a running server or of one that
has ended, and delivers each event to the service. Each dispatcher has a name and
a durable cursor of its own, so any number run beside each other and none misses
an event; of several with one name, one delivers.

With --bus eventbridge it empties a queue behind the bus of a stack on AWS instead,
as the stack's own functions do; any number empty one queue.

Services: ` + strings.Join(dispatch.Names(), ", ") + `.

Credentials are read from the environment only, since others can read a process's
arguments. What a service never takes goes to the dead letters, with its reason.`,
		Example: `llm-proxy dispatcher --service file --file events.jsonl
LLM_PROXY_WEBHOOK_URL=https://example.com/hook llm-proxy dispatcher --service webhook
llm-proxy dispatcher --service s3 --s3-bucket my-events --once
llm-proxy dispatcher --service webhook --bus eventbridge --event-bus llm-proxy-events
llm-proxy dispatcher dead-letters list --service webhook
llm-proxy dispatcher redrive --service webhook
llm-proxy dispatcher replay --service webhook --from 2026-11-22T08:00:00Z --to 2026-11-22T09:00:00Z
llm-proxy dispatcher test --service webhook`,
		Args: noArgs,
		RunE: runDispatcher,
	}
	addDispatcherSettings(cmd)
	cmd.Flags().Bool("once", false, "end when all events that are there are delivered")
	cmd.AddCommand(newDeadLettersCommand(), newRedriveCommand(), newReplayCommand(), newDispatcherTestCommand())
	return cmd
}

// dispatcher is one that the settings describe.
type dispatcher struct {
	settings *dispatcherSettings
	config   dispatch.Config
	letters  string // path of its dead letters
	spool    string // folder
	log      *zap.Logger
	close    func() error
}

// newDispatcher reads what a command was told.
func newDispatcher(cmd *cobra.Command) (*dispatcher, error) {
	s, err := loadDispatcherSettings(cmd)
	if err != nil {
		return nil, err
	}
	prices, err := s.prices()
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	log, closeAll := newLogger(&s.base, cmd.ErrOrStderr())
	to := s.destination()
	if s.Service == ledgerName {
		kept, closeKept, err := s.ledger(cmd.Context(), log)
		if err != nil {
			return nil, errors.Join(err, closeAll())
		}
		closeLog := closeAll
		to.Ledger.Store, closeAll = kept, func() error { return errors.Join(closeKept(), closeLog()) }
	}
	destination, err := dispatch.Open(s.Service, to)
	if err != nil {
		return nil, errors.Join(&exitError{exitUsage, err}, closeAll())
	}
	d := &dispatcher{log: log, close: closeAll, settings: &s, letters: dispatch.DeadLettersPath(s.base.DataDir, s.Name), spool: spoolDir(s.base.DataDir)}
	d.config = dispatch.Config{
		Name: s.Name, Kind: s.Service, Destination: destination, DeadLetters: d.letters, Meter: dispatch.Meter(prices),
		MaxAttempts: s.MaxAttempts, BatchSize: s.BatchSize, Linger: s.Linger, Log: d.log,
	}
	return d, nil
}

// ledger opens what the ledger is kept in: a table on AWS where one is named, else the database.
func (s *dispatcherSettings) ledger(ctx context.Context, log *zap.Logger) (kept dispatch.LedgerStore, closeIt func() error, err error) {
	if s.base.LedgerTable == "" {
		database, err := sqlite.Open(ctx, s.base.sqlite(log))
		if err != nil {
			return nil, nil, err
		}
		return database, database.Close, nil
	}
	cfg, err := awsConfig(ctx)
	if err != nil {
		return nil, nil, err
	}
	table := dynamo.NewLedger(cfg, dynamo.LedgerConfig{Table: s.base.LedgerTable, Log: log})
	return table, table.Close, nil
}

// drainedEvery is how often a dispatcher that is to end looks whether it may.
const drainedEvery = 20 * time.Millisecond

func runDispatcher(cmd *cobra.Command, _ []string) (err error) {
	once, err := cmd.Flags().GetBool("once")
	if err != nil {
		return err
	}
	d, err := newDispatcher(cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if d.settings.From == busEventBridge {
		return d.emptyQueue(cmd.Context(), once)
	}
	follower, err := spool.Follow(d.spool, d.settings.Name, d.log)
	if errors.Is(err, spool.ErrLocked) {
		return &exitError{exitRefused, fmt.Errorf("another process delivers as %q; give this one a --name of its own to deliver beside it", d.settings.Name)}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, follower.Close()) }()
	d.config.Source = follower
	if once && d.config.Linger == 0 {
		d.config.Linger = drainedEvery // nothing more is to come
	}
	loop := dispatch.New(d.config)
	d.log.Info("delivers events", zap.String("destination", d.settings.Name), zap.String("service", d.settings.Service), zap.String("spool", d.spool))
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	var closers closers
	if err := d.serveInside(ctx, loop.Stats, inSpool(d.settings.Name, newDestinations(d.settings.base.DataDir)), &closers); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closers.close()) }()
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	if once {
		err = d.untilDrained(ctx, follower, loop)
		cancel()
	}
	err = errors.Join(err, <-ended)
	stats := loop.Stats()
	d.log.Info("has ended", zap.Uint64("delivered", stats.Delivered), zap.Uint64("dead", stats.Dead), zap.Uint64("duplicates", stats.Duplicates))
	return err
}

// untilDrained waits until each event that is there is delivered or among the dead letters, or the service has failed for too long.
func (d *dispatcher) untilDrained(ctx context.Context, follower *spool.Follower, loop *dispatch.Loop) error {
	tick := time.NewTicker(drainedEvery)
	defer tick.Stop()
	var failingSince time.Time
	for {
		_, oldest, err := follower.Backlog()
		if err != nil || oldest.IsZero() {
			return err
		}
		switch stats := loop.Stats(); {
		case !stats.Failing:
			failingSince = time.Time{}
		case failingSince.IsZero():
			failingSince = time.Now()
		case time.Since(failingSince) > d.settings.GiveUp:
			return &exitError{exitUnreachable, fmt.Errorf("%s does not take events, they stay in the spool: %s", d.settings.Service, stats.LastError)}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func newRedriveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redrive",
		Short: "Deliver dead letters again",
		Long: `Delivers a dispatcher's dead letters again, also while it runs. Those that are
refused again are dead letters again.

With --bus eventbridge they are moved back into the queue, whose dispatcher
delivers them; this waits until all are moved.`,
		Example: `llm-proxy dispatcher redrive --service webhook
llm-proxy dispatcher redrive --service webhook --bus eventbridge --event-bus llm-proxy-events`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if s, err := loadDispatcherSettings(cmd); err != nil || s.From == busEventBridge { // its own dispatcher has the credentials
				return errors.Join(err, redriveQueue(cmd, &s))
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
			taken, dead, err := dispatch.Redrive(cmd.Context(), d.config, d.letters)
			if _, printErr := fmt.Fprintf(cmd.OutOrStdout(), "delivered %d, dead again %d\n", taken, dead); err == nil {
				err = printErr
			}
			return err
		},
	}
	addDispatcherSettings(cmd, "metrics-addr", "give-up")
	return cmd
}

// alone makes sure that no other process writes the file, where it is one: two cannot write one log. Free ends it.
func (d *dispatcher) alone() (free func() error, err error) {
	if d.settings.Service != "file" {
		return func() error { return nil }, nil
	}
	follower, err := spool.Follow(d.spool, d.settings.Name, d.log)
	if err != nil {
		return nil, &exitError{exitRefused, fmt.Errorf("the process that writes the file must have ended: %w", err)}
	}
	return follower.Close, nil
}

func newDispatcherTestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Send a service a test event",
		Long: `Sends a service one event the way that it gets all others, also while a dispatcher
runs. The event is marked ("test":true, model llm-proxy-test), belongs to no project
and counts nowhere. Exit code 4 if the service did not take it.`,
		Example: "llm-proxy dispatcher test --service webhook",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			d, err := newDispatcher(cmd)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.close()) }()
			if d.settings.Service == ledgerName {
				return &exitError{exitRefused, errors.New("the ledger is made of requests, and a test is none: llm-proxy manage requests list shows what it takes")}
			}
			free, err := d.alone()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, free()) }()
			ctx, cancel := context.WithTimeout(cmd.Context(), testWithin)
			defer cancel()
			test, err := dispatch.Test(ctx, d.config)
			if err != nil {
				return err
			}
			if test.Result != llmproxy.TestDelivered {
				return &exitError{exitUnreachable, fmt.Errorf("%s did not take the test event %s (%s): %s", d.settings.Service, test.ID, test.Result, shown(test.Error))}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "delivered %s in %d ms\n", test.ID, test.Took.Milliseconds())
			return err
		},
	}
	addDispatcherSettings(cmd, "metrics-addr", "give-up", "max-attempts", "batch-size", "linger", "prices", "bus", "queue", "pause")
	return cmd
}

// redriveAttempts are the tries of an event that is sent again.
const redriveAttempts = 5

// isService reports whether there is a service of that name.
func isService(name string) bool { return slices.Contains(dispatch.Names(), name) }
