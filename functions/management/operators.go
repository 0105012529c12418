package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

const (
	fresh        = 5 * time.Minute // how long a token is used without reading its secret again: a changed one holds after that
	askAgain     = time.Second     // how soon a secret that could not be read is read again
	readPatience = 3 * time.Second
)

// secretsReader is what is asked of Secrets Manager.
type secretsReader interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// operators authenticates by the management token in the operators secret, {"management_token": "..."}. It implements
// [manage.Authenticator].
type operators struct {
	secrets secretsReader
	id      string

	mu      sync.Mutex
	bearer  manage.Authenticator
	until   time.Time // bearer or failure hold
	failure error
}

// Authenticate implements [manage.Authenticator]. Where the secret cannot be read, nobody can tell who asks.
func (o *operators) Authenticate(r *http.Request) (string, error) {
	if len(r.Header.Values("Authorization")) == 0 {
		return "", manage.ErrNoCredential
	}
	bearer, err := o.current(r.Context())
	if err != nil {
		return "", err
	}
	return bearer.Authenticate(r)
}

func (o *operators) current(ctx context.Context) (manage.Authenticator, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Now().Before(o.until) {
		return o.bearer, o.failure
	}
	bearer, err := o.read(ctx)
	if err != nil {
		err = fmt.Errorf("%w: operators secret: %w", llmproxy.ErrUnavailable, err)
		o.bearer, o.failure, o.until = nil, err, time.Now().Add(askAgain)
		return nil, err
	}
	o.bearer, o.failure, o.until = bearer, nil, time.Now().Add(fresh)
	return bearer, nil
}

func (o *operators) read(ctx context.Context) (manage.Authenticator, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	out, err := o.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &o.id})
	if err != nil {
		return nil, err
	}
	var content struct {
		ManagementToken string `json:"management_token"`
	}
	if json.Unmarshal([]byte(aws.ToString(out.SecretString)), &content) != nil || content.ManagementToken == "" { // its text is in no error
		return nil, errors.New(`it is not {"management_token": "..."}`)
	}
	return manage.NewBearer(llmproxy.NewSecret(content.ManagementToken))
}
