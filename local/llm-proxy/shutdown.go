package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/fastpath"
)

// stoppable is what serves requests.
type stoppable interface {
	Shutdown(ctx context.Context) error // takes no new requests, and waits for those under way
	Close() error                       // breaks those off
}

// both serve requests over one listener: plain the plain ones, Server all others.
type both struct {
	*http.Server
	plain *fastpath.Listener
}

func (b both) Shutdown(ctx context.Context) error {
	return errors.Join(b.Server.Shutdown(ctx), b.plain.Shutdown(ctx))
}

func (b both) Close() error {
	b.plain.Abort()
	return b.Server.Close()
}

// afterCut is how long requests may take to end once they were cut.
const afterCut = 5 * time.Second

// shutdown takes no new requests, lets running ones end within the limit, and cuts those that do not: their callers see a broken
// answer and their events say deadline. Afterwards every request has ended.
func shutdown(ctx context.Context, server stoppable, limit time.Duration, cut context.CancelCauseFunc, log *zap.Logger) error {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := server.Shutdown(within)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	log.Warn("requests still run, they are cut")
	cut(context.DeadlineExceeded)
	within, cancelCut := context.WithTimeout(ctx, afterCut)
	defer cancelCut()
	if err := server.Shutdown(within); err != nil {
		return errors.Join(fmt.Errorf("cut what still runs: %w", err), server.Close())
	}
	return nil
}

// closers give parts back in the reverse order of making.
type closers struct {
	steps []func() error
}

func (c *closers) add(what string, closeIt func() error) {
	c.steps = append(c.steps, func() error {
		if err := closeIt(); err != nil {
			return fmt.Errorf("close %s: %w", what, err)
		}
		return nil
	})
}

// run starts work in the background. When its turn to close has come, its context ends and it is waited for.
func (c *closers) run(ctx context.Context, work func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // not by the signal to stop: requests still run then
	var wg sync.WaitGroup
	wg.Go(func() { work(ctx) })
	c.steps = append(c.steps, func() error {
		cancel()
		wg.Wait()
		return nil
	})
}

func (c *closers) close() error {
	var errs []error
	for i := len(c.steps) - 1; i >= 0; i-- {
		errs = append(errs, c.steps[i]())
	}
	c.steps = nil
	return errors.Join(errs...)
}
