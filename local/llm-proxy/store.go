package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/admin"
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
	// Ping says whether it answers.
	Ping(ctx context.Context) error
	Close() error
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

// sweepEvery is how often what ended long ago is removed. DynamoDB does that by itself.
const sweepEvery = time.Hour

func sweepLoop(ctx context.Context, store *sqlite.Store, log *zap.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		removed, err := store.Sweep(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			log.Warn("old tokens could not be removed", zap.Error(err))
		} else if removed > 0 {
			log.Info("removed what ended long ago", zap.Int64("rows", removed))
		}
	}
}
