// Management is the function behind the HTTP API: projects, tokens and audit, by the same handler that the local server has. It seals
// provider keys with the public key and can open none.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/auditrelay"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

var version = "dev" // set by the linker

func main() {
	handler, relay, err := join(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "llm-proxy:", err)
		os.Exit(1)
	}
	// Refusals that are still to be told of are stored before Lambda ends the process.
	lambda.StartWithOptions(lambdahttp.Buffered(handler, relay.AfterChange), lambda.WithEnableSIGTERM(handler.Close))
}

// join makes the handler from its parts, and what brings its changes to the bus. It waits for no network.
func join(environ []string) (*manage.Handler, *auditrelay.Relay, error) {
	s, err := loadSettings(environ)
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
	providers, err := base.Providers(s.Providers)
	if err != nil {
		return nil, nil, err
	}
	store := dynamo.New(aws, dynamo.Config{Tokens: s.TokensTable, Control: s.ControlTable, Log: log})
	service, err := s.service(store, providers)
	if err != nil {
		return nil, nil, err
	}
	refusals := manage.NewRefusals(service, log)
	authenticators, err := s.authenticators(secretsmanager.NewFromConfig(aws), store, refusals, log)
	if err != nil {
		return nil, nil, err
	}
	config := s.stack(aws, log)
	config.Service, config.Refusals, config.Authenticators, config.Providers, config.Version = service, refusals, authenticators, providers, version
	handler, err := manage.NewHandler(config)
	if err != nil {
		return nil, nil, err
	}
	handler.Prepare() // while it starts it may use more than its share of a processor
	return handler, auditrelay.New(store, &eventbridge.Audit{Bus: sdkbridge.NewFromConfig(aws), Name: s.EventBus}, log), nil
}
