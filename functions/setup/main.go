// Setup is the function behind the stack's custom resources. It derives the public key that management seals provider keys with, and makes
// a new sealing secret when the stack's SealingKeyVersion is raised; it brings the admin site to its bucket; and it empties the buckets of
// a stack that goes for good.
package main

import (
	"context"
	"io/fs"
	"os"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/seal/rotate"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

// settings come from the environment, which the template fills in.
type settings struct {
	ControlTable  string        `env:"LLM_PROXY_CONTROL_TABLE,notEmpty" help:"table of projects, listings and audit"`
	SealingSecret string        `env:"LLM_PROXY_SEALING_SECRET,notEmpty" help:"name or ARN of the secret that provider keys are opened with"`
	LogLevel      zapcore.Level `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" help:"least severe level that is logged: debug, info, warn or error"`
}

func main() { lambda.Start(cfn.LambdaWrap(resource(os.Environ(), admin.Site()))) }

// resource serves the custom resources; files are the admin site. What cannot be joined is told with each request: an exit would let CloudFormation wait for an hour.
func resource(environ []string, files fs.FS) cfn.CustomResourceFunction {
	keeper, client, err := join(environ)
	return func(ctx context.Context, e cfn.Event) (string, map[string]any, error) {
		switch {
		case e.RequestType == cfn.RequestDelete && err != nil:
			return e.PhysicalResourceID, nil, nil // a stack that never came up can go
		case err != nil:
			return physicalID, nil, err
		case e.ResourceType == "Custom::Contents":
			return contentsID, nil, contents(ctx, client, &e)
		case e.ResourceType == "Custom::Site":
			id, err := site(ctx, client, files, &e)
			return id, nil, err
		case e.RequestType == cfn.RequestDelete:
			return e.PhysicalResourceID, nil, nil // tables and secrets are the stack's
		}
		data, err := change(ctx, keeper, &e)
		return physicalID, data, err
	}
}

func join(environ []string) (*rotate.Keeper, *s3.Client, error) {
	s, err := base.Settings[settings](environ)
	if err != nil {
		return nil, nil, err
	}
	log, err := base.Log(s.LogLevel)
	if err != nil {
		return nil, nil, err
	}
	aws, err := base.AWS()
	if err != nil {
		return nil, nil, err
	}
	keeper := rotate.New(rotate.Config{
		Secrets: secretsmanager.NewFromConfig(aws), SecretID: s.SealingSecret, Log: log,
		Store: dynamo.New(aws, dynamo.Config{Control: s.ControlTable, Log: log}),
	})
	return keeper, s3.NewFromConfig(aws, func(o *s3.Options) { o.UsePathStyle = base.PathStyle(aws) }), nil
}
