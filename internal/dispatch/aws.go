package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
)

// AWSConfig finds the account, its region and credentials. Nil is the SDK's own way: environment, files, the instance's role.
type AWSConfig func(ctx context.Context) (aws.Config, error)

// load returns the settings for a destination's client. The loop tries again, so the SDK does not.
func (c AWSConfig) load(ctx context.Context) (aws.Config, error) {
	if c == nil {
		c = func(ctx context.Context) (aws.Config, error) { return config.LoadDefaultConfig(ctx) }
	}
	cfg, err := c(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS settings: %w", err)
	}
	cfg.HTTPClient = awshttp.New(cfg.HTTPClient)
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return cfg, nil
}

// awsFailed is what an error of a client means. Nothing that AWS says about a whole call is an event's fault.
func awsFailed(err error) Result {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil && answer.Response.Response != nil {
		return Retry(err, retryAfter(answer.Response.Header, time.Now()))
	}
	return Retry(err, 0)
}

// isAWS reports whether an error is one of those that AWS calls by these codes.
func isAWS(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}
