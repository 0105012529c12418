package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/auditrelay"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// store is what the server asks of its storage.
type store interface {
	proxy.Store
	manage.Store
	admin.Store
	auditrelay.Store
	// Ping says whether it answers.
	Ping(ctx context.Context) error
	Close() error
}

// books are where the ledger of requests is kept, and read from.
type books interface {
	manage.Ledger
	dispatch.LedgerStore
}

// openBooks finds them: in a table of their own, else in the store if that has a place for them. Nil is no ledger.
func (p *parts) openBooks(s *settings, cloud *cloud, log *zap.Logger, closers *closers) books {
	if s.LedgerTable == "" {
		own, _ := p.store.(books)
		return own
	}
	table := dynamo.NewLedger(cloud.config, dynamo.LedgerConfig{Table: s.LedgerTable, Log: log})
	closers.add("ledger table", table.Close)
	return table
}

// keyring seals and opens provider keys.
type keyring struct {
	sealer manage.Sealer
	opener proxy.Keys
}

// openStore opens the store with the keys that belong to it, and finds the operators.
func (p *parts) openStore(ctx context.Context, s *settings, cloud *cloud, fill func(*keyFile) error, log *zap.Logger, closers *closers) (ring keyring, err error) {
	if s.Store == storeDynamoDB {
		if p.operators, err = findOperators(s, keyFile{}); err != nil { // all servers have the same: none is made here
			return keyring{}, err
		}
		p.store = dynamo.New(cloud.config, dynamo.Config{Tokens: s.TokensTable, Control: s.ControlTable, Log: log})
		closers.add("database", p.store.Close)
		return cloud.keyring(ctx, s, log, closers), nil
	}
	keys, err := loadKeys(s.DataDir, fill)
	if err != nil {
		return keyring{}, err
	}
	if p.operators, err = findOperators(s, keys); err != nil {
		return keyring{}, err
	}
	ring.opener = seal.NewOpener(seal.Static(llmproxy.NewSecret(keys.SealingSecret)))
	if ring.sealer, err = newSealer(keys); err != nil {
		return keyring{}, err
	}
	database, err := sqlite.Open(ctx, s.sqlite(log))
	if err != nil {
		return keyring{}, err
	}
	closers.add("database", database.Close)
	closers.run(ctx, func(ctx context.Context) { sweepLoop(ctx, database, log) })
	p.store = database
	return ring, nil
}

// sqlite is how the settings want the database.
func (s *settings) sqlite(log *zap.Logger) sqlite.Config {
	return sqlite.Config{Path: s.DB, FullSync: bool(s.SQLiteSync), Log: log}
}

// newSealer seals with the secret of the key file.
func newSealer(keys keyFile) (manage.Sealer, error) {
	public, err := seal.PublicKey(llmproxy.NewSecret(keys.SealingSecret))
	if err != nil {
		return nil, fmt.Errorf("the sealing secret in the key file: %w", err)
	}
	return seal.NewSealer(public)
}

// When what ended long ago is removed. With DynamoDB a function of the stack does that.
const (
	firstSweep = time.Minute // after the start, when that is over: a server that never runs for long gets rid of it too
	sweepEvery = time.Hour
)

// sweeper is a store that has something to remove.
type sweeper interface {
	Sweep(ctx context.Context, now time.Time) (removed int64, err error)
}

func sweepLoop(ctx context.Context, store sweeper, log *zap.Logger) {
	next := time.NewTimer(firstSweep)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			next.Reset(sweepEvery)
		}
		removed, err := store.Sweep(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			log.Warn("old tokens could not be removed", zap.Error(err))
		} else if removed > 0 {
			log.Info("removed what ended long ago", zap.Int64("rows", removed))
		}
	}
}
