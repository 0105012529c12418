// Proxy is the function behind the function URL: it carries requests to their provider, and publishes their events when the caller
// has its answer.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

func main() {
	handler, after, err := join(context.Background(), os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "llm-proxy:", err)
		os.Exit(1)
	}
	lambda.Start(lambdahttp.Stream(handler, after))
}

// join makes the handler from its parts, and what runs after each answer. It waits for no network.
func join(ctx context.Context, environ []string) (http.Handler, func(context.Context), error) {
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
	events, err := eventbridge.New(s.events(aws, log))
	if err != nil {
		return nil, nil, err
	}
	keys := s.keys(aws, log)
	providers, err := base.Providers(s.Providers)
	if err != nil {
		return nil, nil, err
	}
	store := dynamo.New(aws, dynamo.Config{Tokens: s.TokensTable, Control: s.ControlTable, Log: log})
	observe, after := s.metrics(events.Flush)
	handler, err := proxy.New(proxy.Config{
		Providers: providers,
		Store:     store,
		Keys:      keys,
		Events:    events,
		Observe:   observe,
		Capture:   s.Capture,
		Log:       log,
	})
	if err != nil {
		return nil, nil, err
	}
	go func() { // INIT goes on meanwhile, and so does the first request until it needs the key
		if err := keys.Warm(ctx); err != nil {
			log.Warn("the sealing secret cannot be read yet, it is tried again when a key is needed", zap.Error(err))
		}
	}()
	return &healthFront{next: handler, ping: store.Ping}, after, nil
}
