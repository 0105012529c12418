// Management is the function behind the HTTP API: projects, tokens and audit, by the same handler that the local server has. It seals
// provider keys with the public key and can open none.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/auditrelay"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/seal"
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
	sealer, err := seal.NewSealer(s.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	secrets := secretsmanager.NewFromConfig(aws)
	store := dynamo.New(aws, dynamo.Config{Tokens: s.TokensTable, Control: s.ControlTable, Log: log})
	service := manage.New(manage.Config{
		Store:  store,
		Sealer: sealer, Providers: slices.Sorted(maps.Keys(providers.Providers)), Default: providers.Default,
		KeyRefPrefix: s.KeysPrefix, DefaultMaxRequests: s.MaxRequests,
	})
	refusals := manage.NewRefusals(service, log)
	authenticators, err := s.authenticators(secrets, store, refusals, log)
	if err != nil {
		return nil, nil, err
	}
	handler, err := manage.NewHandler(manage.HandlerConfig{
		Service: service, Refusals: refusals, Authenticators: authenticators,
		Ledger:       s.ledger(aws, log),
		Destinations: s.destinations(aws, log),
		Providers:    providers, Version: version, Store: "dynamodb", Bus: "eventbridge", Region: aws.Region, PublicURL: strings.TrimRight(s.PublicURL, "/"),
		Limits:    limits,
		Retention: manage.Retention{EventDays: s.RequestDays, LogDays: s.LogDays},
		Log:       log,
	})
	if err != nil {
		return nil, nil, err
	}
	handler.Prepare() // while it starts it may use more than its share of a processor
	return handler, auditrelay.New(store, &eventbridge.Audit{Bus: sdkbridge.NewFromConfig(aws), Name: s.EventBus}, log), nil
}
