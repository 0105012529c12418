// Admin is the function behind /admin/api of the HTTP API: operators sign in and out there, by the same handler that the local server
// has. Their sessions, and the failures that count against them, are rows of the control table.
package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/functions/internal/signin"
	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

// settings come from the environment, which the template fills in.
type settings struct {
	ControlTable string `env:"LLM_PROXY_CONTROL_TABLE,notEmpty" help:"table of sessions and audit"`

	AdminSecret   string `env:"LLM_PROXY_ADMIN_SECRET" help:"name or ARN of the secret that holds user and password"`
	AdminUser     string `env:"ADMIN_USER" envDefault:"admin" help:"who may sign in, for development"`
	AdminPassword string `env:"ADMIN_PASSWORD" help:"the password itself, for development; user and password then win over the secret"`

	SiteURL  string        `env:"LLM_PROXY_SITE_URL" help:"origin of the admin site, whose pages may change things"`
	LogLevel zapcore.Level `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" help:"least severe level that is logged: debug, info, warn or error"`
}

func main() {
	handler, refusals, err := join(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "llm-proxy:", err)
		os.Exit(1)
	}
	// Refusals that are still to be told of are stored before Lambda ends the process.
	lambda.StartWithOptions(lambdahttp.Buffered(handler, nil), lambda.WithEnableSIGTERM(refusals.Close))
}

// join makes the handler from its parts. It waits for no network.
func join(environ []string) (http.Handler, *manage.Refusals, error) {
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
	store := dynamo.New(aws, dynamo.Config{Control: s.ControlTable, Log: log})
	refusals := manage.NewRefusals(manage.New(manage.Config{Store: store}), log)
	handler, err := signin.New(signin.Config{
		Secrets: secretsmanager.NewFromConfig(aws), SecretID: s.AdminSecret, User: s.AdminUser, Password: llmproxy.NewSecret(s.AdminPassword),
		Admin: admin.Config{Store: store, Refusals: refusals, Origins: base.Origins(s.SiteURL), Log: log},
	})
	return handler, refusals, err
}
