package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/auditrelay"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/proxy"
)

// openBus opens what takes the events of requests.
func (p *parts) openBus(ctx context.Context, s *settings, cloud *cloud, log *zap.Logger, closers *closers) (_ proxy.Publisher, err error) {
	if s.Bus == busEventBridge {
		if p.bus, err = cloud.openBus(ctx, s, log, closers); err != nil {
			return nil, err
		}
		p.metrics.watchBus(p.bus.Stats)
		return p.bus, nil
	}
	if p.spool, err = spool.Open(s.spool(log)); err != nil {
		return nil, err
	}
	closers.add("spool", p.spool.Close)
	p.metrics.watchSpool(p.spool.Stats)
	if s.EventLog != "" {
		if p.eventLog, err = openEventLog(ctx, s, p.spool, p.prices(), log, closers); err != nil {
			return nil, err
		}
		p.metrics.watchDestination(eventLogName, p.eventLog.stats, p.destinations)
	}
	if p.books != nil && s.Ledger {
		if p.ledger, err = openLedger(ctx, s, p.books, p.spool, p.prices(), log, closers); err != nil {
			return nil, err
		}
		p.metrics.watchDestination(ledgerName, p.ledger.stats, p.destinations)
	}
	p.destinations.mine = p.deliverers()
	return p.spool, nil
}

// auditBus is what takes the events of changes.
func (p *parts) auditBus(s *settings, cloud *cloud) auditrelay.Bus {
	if p.spool != nil {
		return p.spool
	}
	return &eventbridge.Audit{Bus: sdkbridge.NewFromConfig(cloud.config), Name: s.EventBus}
}

// spool is how the settings want the spool.
func (s *settings) spool(log *zap.Logger) spool.Config {
	return spool.Config{Dir: spoolDir(s.DataDir), Sync: s.SpoolSync, Log: log}
}

const (
	// flushEvery is how often waiting events are sent.
	flushEvery = 100 * time.Millisecond
	// flushers is how many calls of the bus run at once at most, so that a busy server's events do not queue behind one answer.
	flushers = 4
	// lastFlush is how long sending may take once the server has stopped. What is not sent by then is left in the log.
	lastFlush = 10 * time.Second
)

// cloudBus sends events to the bus of a stack while the server runs.
type cloudBus struct {
	*eventbridge.Publisher

	mu   sync.Mutex
	seen eventbridge.Stats
	why  string // what became of the last events, where it was not the bus
}

func (c *cloud) openBus(ctx context.Context, s *settings, log *zap.Logger, closers *closers) (*cloudBus, error) {
	lines := s.eventLines
	if lines == nil {
		lines = os.Stdout
	}
	publisher, err := eventbridge.New(eventbridge.Config{
		Bus: sdkbridge.NewFromConfig(c.config), BusName: s.EventBus,
		Queue: sqs.NewFromConfig(c.config), QueueURL: s.SpillQueue,
		Bucket:     s3.NewFromConfig(c.config, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }), // another endpoint has no name for each bucket
		BucketName: s.EventBucket,
		Lines:      lines, Log: log,
	})
	if err != nil {
		return nil, err
	}
	b := &cloudBus{Publisher: publisher}
	for range flushers {
		closers.run(ctx, b.flushLoop)
	}
	return b, nil
}

// flushLoop sends what waits until ctx ends, and then what still does.
func (b *cloudBus) flushLoop(ctx context.Context) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastFlush, cancel) })()
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done(): // requests have ended before: this flush is the last
			ended = true
		case <-tick.C:
		}
		b.Flush(sending)
		b.look()
	}
}

// look notes whether the bus takes events.
func (b *cloudBus) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, before := b.Stats(), b.seen
	b.seen = now
	switch {
	case now.Failed > before.Failed:
		b.why = fmt.Sprintf("%d lines could not be written to standard output", now.Failed)
	case now.Logged > before.Logged:
		b.why = fmt.Sprintf("neither bus nor spill queue took events, standard output has %d without their bodies", now.Logged)
	case now.Spilled > before.Spilled:
		b.why = fmt.Sprintf("the bus did not take events, the spill queue has got %d", now.Spilled)
	case now.Stripped > before.Stripped:
		b.why = fmt.Sprintf("the bucket did not take bodies, %d events went without theirs", now.Stripped)
	case now.Published > before.Published:
		b.why = ""
	}
}

// trouble says why events do not reach the bus as they should; "" if they do, as far as it is known.
func (b *cloudBus) trouble() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}
