package dispatch

import (
	"context"
	"errors"
	"time"
)

// DefaultGrace is how long what is under way has when a process is to end. A container engine kills ten seconds after it has asked, and
// what was done is still to be noted then.
const DefaultGrace = 8 * time.Second

// endingKey is where the context of a delivery has that of whoever asked for it.
type endingKey struct{}

// errEnding is why an event was not tried: the process is to end.
var errEnding = errors.New("not tried, since this process is to end")

// Ending returns the context of a delivery that may go on for the grace when ctx ends, and for the timeout in any case: what a service
// is being told can then be told to its end, and is not sent again by the next process. Nothing more is begun meanwhile.
func Ending(ctx context.Context, timeout, grace time.Duration) (context.Context, context.CancelFunc) {
	delivering, cancel := context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), endingKey{}, ctx), timeout)
	stop := context.AfterFunc(ctx, func() {
		left := time.NewTimer(grace)
		defer left.Stop()
		select {
		case <-left.C:
			cancel()
		case <-delivering.Done():
		}
	})
	return delivering, func() { stop(); cancel() }
}

// mayBegin returns why no call may be begun any more, nil if one may.
func mayBegin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if asked, ok := ctx.Value(endingKey{}).(context.Context); ok && asked.Err() != nil {
		return errEnding
	}
	return nil
}
