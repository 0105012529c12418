package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

// deliverer delivers events to a destination in the server's process. Of several servers over one data folder one does it, for all;
// when it ends another takes over.
type deliverer struct {
	name        string // of cursor and dead letters
	kind        string // of the destination
	title       string // what people call it
	deadLetters string
	open        func() (dispatch.Destination, error)
	spool       *spool.Spool
	prices      *price.Table
	log         *zap.Logger

	delivery atomic.Pointer[delivery] // nil while another process delivers
	trouble  atomic.Pointer[string]   // why this process cannot; nil if it can, or need not
	redrive  chan struct{}            // asks to send the dead letters again
}

// delivery is the work of the process that delivers.
type delivery struct {
	follower *spool.Follower
	loop     *dispatch.Loop
}

const (
	takeOverEvery = time.Second     // how often a server that does not deliver looks whether it is to
	drainWithin   = 2 * time.Second // how long the end of the server waits for what was published to be delivered
	drainPoll     = 5 * time.Millisecond
)

// openEventLog delivers to the file that the settings name.
func openEventLog(ctx context.Context, s *settings, from *spool.Spool, prices *price.Table, log *zap.Logger, closers *closers) (*deliverer, error) {
	if info, err := os.Stat(filepath.Dir(s.EventLog)); err != nil || !info.IsDir() {
		return nil, usageError("%s: the folder %s is not there, make it first", settingName("LLM_PROXY_EVENT_LOG"), filepath.Dir(s.EventLog))
	}
	return startDeliverer(ctx, &deliverer{
		name: eventLogName, kind: eventLogName, title: "event log", deadLetters: dispatch.DeadLettersPath(s.DataDir, eventLogName), spool: from, prices: prices, log: log,
		open: func() (dispatch.Destination, error) {
			return dispatch.Open(eventLogName, dispatch.Settings{File: dispatch.FileConfig{Path: s.EventLog}})
		},
	}, closers)
}

// ledgerName is the follower that keeps the ledger.
const ledgerName = "ledger"

// openLedger delivers to the ledger, wherever that is kept.
func openLedger(ctx context.Context, s *settings, store dispatch.LedgerStore, from *spool.Spool, prices *price.Table, log *zap.Logger, closers *closers) (*deliverer, error) {
	return startDeliverer(ctx, &deliverer{
		name: ledgerName, kind: ledgerName, title: "ledger", deadLetters: dispatch.DeadLettersPath(s.DataDir, ledgerName), spool: from, prices: prices, log: log,
		open: func() (dispatch.Destination, error) {
			return dispatch.Open(ledgerName, dispatch.Settings{Ledger: dispatch.LedgerConfig{Store: store}})
		},
	}, closers)
}

func startDeliverer(ctx context.Context, e *deliverer, closers *closers) (*deliverer, error) {
	e.redrive = make(chan struct{}, 1)
	if err := e.takeOver(); err != nil {
		return nil, err
	}
	if e.delivery.Load() == nil {
		e.log.Info("another process writes the " + e.title + "; this one takes over when that ends")
	}
	closers.run(ctx, e.run)
	closers.add(e.title, func() error { e.drain(); return nil }) // before run ends
	return e, nil
}

// takeOver makes this process the one that delivers, unless another is.
func (e *deliverer) takeOver() error {
	destination, err := e.open()
	if err != nil {
		return err
	}
	follower, err := e.spool.Follow(e.name)
	if errors.Is(err, spool.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	e.delivery.Store(&delivery{follower, dispatch.New(dispatch.Config{
		Name: e.name, Kind: e.kind, Source: follower, Destination: destination, DeadLetters: e.deadLetters, Log: e.log, Meter: dispatch.Meter(e.prices),
	})})
	return nil
}

// run delivers until ctx ends, once it is this process's turn.
func (e *deliverer) run(ctx context.Context) {
	tick := time.NewTicker(takeOverEvery)
	defer tick.Stop()
	for e.delivery.Load() == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.report("the "+e.title+" cannot be taken over; it will be tried again", e.takeOver())
	}
	d := e.delivery.Load()
	running, stop := context.WithCancel(ctx)
	var redrives sync.WaitGroup
	redrives.Go(func() { e.redriveOnDemand(running, d.loop) })
	err := d.loop.Run(running)
	stop()
	redrives.Wait()
	e.report("the "+e.title+" has ended; the next start tries again", errors.Join(err, d.follower.Close()))
}

// redriveOnDemand sends dead letters again whenever that is asked for, until ctx ends. What the end interrupts stays a dead letter.
func (e *deliverer) redriveOnDemand(ctx context.Context, loop *dispatch.Loop) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.redrive:
		}
		taken, dead, err := loop.Redrive(ctx)
		log := e.log.With(zap.String("destination", e.name), zap.Uint64("delivered", taken), zap.Uint64("dead", dead))
		switch {
		case err == nil:
			log.Info("dead letters were sent again")
		case ctx.Err() != nil:
			log.Info("sending dead letters again was interrupted; what is left is kept")
		default:
			log.Error("dead letters could not all be sent again; what is left is kept", zap.Error(err))
		}
	}
}

// report logs trouble when it is new, and degrades health while it lasts.
func (e *deliverer) report(what string, err error) {
	if err == nil {
		e.trouble.Store(nil)
		return
	}
	text := err.Error()
	if before := e.trouble.Swap(&text); before == nil || *before != text {
		e.log.Error(what, zap.Error(err))
	}
}

// drain waits until what was published is delivered, or until that is not to be expected. What is not stays in the spool.
func (e *deliverer) drain() {
	d := e.delivery.Load()
	if d == nil {
		return
	}
	for end := time.Now().Add(drainWithin); time.Now().Before(end); time.Sleep(drainPoll) {
		backlog, _, err := d.follower.Backlog()
		if err != nil || backlog == 0 || d.loop.Stats().Failing {
			return
		}
	}
}

// stats are those of this process's deliveries.
func (e *deliverer) stats() dispatch.Stats {
	var stats dispatch.Stats
	if d := e.delivery.Load(); d != nil {
		stats = d.loop.Stats()
	}
	if trouble := e.trouble.Load(); trouble != nil {
		stats.Failing, stats.LastError = true, *trouble
	}
	return stats
}
