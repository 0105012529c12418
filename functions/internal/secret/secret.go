// Package secret keeps what is made of a secret in Secrets Manager, so that it is not read for each request.
package secret

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

const (
	fresh        = 5 * time.Minute // how long a value is used without reading its secret again: a changed one holds after that
	askAgain     = time.Second     // how soon a secret that could not be read is read again
	readPatience = 3 * time.Second
)

// Reader is what is asked of Secrets Manager.
type Reader interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Value is what is made of a secret. It is safe for concurrent use.
type Value[T any] struct {
	Reader Reader
	ID     string // name or ARN of the secret
	// Make makes the value of the secret's text. Its error goes to the log, so it must not repeat the text.
	Make func(text string) (T, error)
	Now  func() time.Time // the clock; nil is time.Now

	mu      sync.Mutex
	value   T
	failure error
	until   time.Time // value or failure hold
}

// Current returns the value. One that cannot be read wraps [llmproxy.ErrUnavailable].
func (v *Value[T]) Current(ctx context.Context) (T, error) {
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now().Before(v.until) {
		return v.value, v.failure
	}
	value, err := v.read(ctx)
	if err != nil {
		var none T
		v.value, v.failure, v.until = none, fmt.Errorf("%w: secret %s: %w", llmproxy.ErrUnavailable, v.ID, err), now().Add(askAgain)
		return none, v.failure
	}
	v.value, v.failure, v.until = value, nil, now().Add(fresh)
	return value, nil
}

func (v *Value[T]) read(ctx context.Context) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	out, err := v.Reader.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &v.ID})
	if err != nil {
		var none T
		return none, err
	}
	return v.Make(aws.ToString(out.SecretString))
}
