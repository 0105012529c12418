package dynamo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// How long and how often a spend asks.
const (
	spendBudget = 800 * time.Millisecond
	spendTries  = 2                      // that the engine fails
	spendWaits  = 250 * time.Millisecond // between tries, all together
	firstWait   = 20 * time.Millisecond  // before the second try, at most; doubled for each further one
)

// How long and how often management asks.
const (
	changeBudget = 5 * time.Second
	manageTries  = 4
	longestWait  = time.Second
)

// patience is how a spend deals with an engine that fails.
type patience struct {
	budget time.Duration // for all tries; one takes at most half of it, so that a second one has the rest
	fresh  func()        // drops idle connections, so that the second try does not meet another dead one
}

// ask calls try until it succeeds or is refused: once more where the engine fails, and as long as the waits allow where it says
// that a transaction holds the row, since then nothing has happened and the row is free in a moment. A try whose answer is lost may
// have counted: then the next one counts again, and the token has one request less.
func (p patience) ask(ctx context.Context, try func(ctx context.Context) error) error {
	waits := spendWaits
	for failures, n := 0, 0; ; n++ {
		one, cancel := context.WithTimeout(ctx, p.budget/2)
		err := try(one)
		cancel()
		if err == nil || !worthAnother(err) {
			return err
		}
		if !isConflict(err) {
			failures++
		}
		wait := jittered(firstWait << n)
		if failures == spendTries || waits < wait || !sleep(ctx, wait) {
			return err
		}
		waits -= wait
		if !isAnswer(err) {
			p.fresh()
		}
	}
}

// worthAnother reports whether another try may end otherwise: a fault on the way, a throttle, a server's error, a row that a
// transaction holds. What the engine has decided stays.
func worthAnother(err error) bool {
	return !isAnswer(err) || isConflict(err) || serverFaults.IsErrorRetryable(err) == aws.TrueTernary
}

// serverFaults are the answers by which the engine says that it failed.
var serverFaults = retry.IsErrorRetryables{
	retry.RetryableHTTPStatusCode{Codes: retry.DefaultRetryableHTTPStatusCodes},
	retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes},
}

// isAnswer reports whether an error is the engine's own answer, and not a fault on the way to it.
func isAnswer(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer)
}

// isConflict reports whether a transaction held the row.
func isConflict(err error) bool {
	var conflict *types.TransactionConflictException
	return errors.As(err, &conflict)
}

// jittered is a random time from half of d to d.
func jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // it spreads tries, it guards nothing
}

// sleep waits, and reports whether ctx lives on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// manageRetryer tries management's calls again. The SDK's own waits begin at a second.
func manageRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = manageTries
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return jittered(min(firstWait<<min(attempt, 10), longestWait)), nil
		})
	})
}
