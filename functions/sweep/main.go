// Sweep is the function that tidies up once an hour: it removes the rows of projects that were deleted long ago, which nothing else
// does, and brings audit events to the bus that management could not.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/auditrelay"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

func main() {
	b, err := join(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "llm-proxy:", err)
		os.Exit(1)
	}
	lambda.Start(b.sweep)
}

// broom is what sweeps.
type broom struct {
	store interface {
		Sweep(ctx context.Context, now time.Time) (removed int64, err error)
	}
	relay interface {
		Now(ctx context.Context) error
	}
	now func() time.Time
	log *zap.Logger
}

// join makes the broom from its parts. It waits for no network.
func join(environ []string) (*broom, error) {
	s, err := base.Settings[settings](environ)
	if err != nil {
		return nil, err
	}
	log, err := base.Log(s.LogLevel)
	if err != nil {
		return nil, err
	}
	aws, err := base.AWS()
	if err != nil {
		return nil, err
	}
	store := dynamo.New(aws, dynamo.Config{Tokens: s.TokensTable, Control: s.ControlTable, Log: log})
	bus := &eventbridge.Audit{Bus: sdkbridge.NewFromConfig(aws), Name: s.EventBus}
	return &broom{store: store, relay: auditrelay.New(store, bus, log), now: time.Now, log: log}, nil
}

// sweep does both, whatever becomes of the other. What is cut short goes on the next time.
func (b *broom) sweep(ctx context.Context) (map[string]int64, error) {
	relayErr := b.relay.Now(ctx) // first: it is soon done
	removed, err := b.store.Sweep(ctx, b.now())
	if removed > 0 {
		b.log.Info("removed what was deleted long ago", zap.Int64("rows", removed))
	}
	return map[string]int64{"removed": removed}, errors.Join(relayErr, err)
}
