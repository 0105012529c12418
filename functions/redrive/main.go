// Redrive is the function that brings events to the bus which did not reach it: from the spill queue, from lines of the proxy's log, and
// hourly those of requests that were lost.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/redrive"
)

// settings come from the environment, which the template fills in.
type settings struct {
	EventBus  string        `env:"LLM_PROXY_EVENT_BUS,notEmpty" help:"bus that events are published to"`
	LogGroups []string      `env:"LLM_PROXY_LOG_GROUPS,notEmpty" help:"log groups of the proxy and of this function, with a comma between them"`
	LogLevel  zapcore.Level `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" help:"least severe level that is logged: debug, info, warn or error"`
}

func main() {
	redriver, err := join(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "llm-proxy:", err)
		os.Exit(1)
	}
	lambda.Start(func(ctx context.Context, event json.RawMessage) (any, error) { return handle(ctx, redriver, event) })
}

// join makes the redriver from its parts. It waits for no network.
func join(environ []string) (*redrive.Redriver, error) {
	s, err := base.Settings[settings](environ)
	if err != nil {
		return nil, err
	}
	log, err := base.Log(s.LogLevel)
	if err != nil {
		return nil, err
	}
	aws, err := base.AWS()
	if err != nil {
		return nil, err
	}
	return redrive.New(redrive.Config{
		Bus: eventbridge.NewFromConfig(aws), BusName: s.EventBus, Logs: cloudwatchlogs.NewFromConfig(aws), Groups: s.LogGroups, Lines: os.Stdout, Log: log,
	}), nil
}
