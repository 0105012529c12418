// Redrive is the function that brings events to the bus which did not reach it: from the spill queue, from lines of the proxy's log, and
// hourly those of requests that were lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/events"
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

// handle does what the event is for: a batch of the spill queue, lines of the log, or the hour.
func handle(ctx context.Context, redriver *redrive.Redriver, event []byte) (any, error) {
	var e struct {
		events.SQSEvent
		events.CloudwatchLogsEvent
		Source string `json:"source"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	switch {
	case len(e.Records) > 0:
		return spilled(ctx, redriver, e.Records), nil
	case e.AWSLogs.Data != "":
		return nil, logged(ctx, redriver, e.AWSLogs)
	case e.Source == "aws.scheduler" || e.Source == "aws.events":
		lost, err := redriver.Lost(ctx)
		return map[string]int{"lost": lost}, err
	}
	return nil, errors.New("an event of a kind that is not ours")
}

func spilled(ctx context.Context, redriver *redrive.Redriver, records []events.SQSMessage) events.SQSEventResponse {
	messages := make([]redrive.Message, len(records))
	for i, r := range records {
		messages[i] = redrive.Message{ID: r.MessageId, Body: r.Body}
	}
	answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}} // a list also where it is empty
	for _, id := range redriver.Spilled(ctx, messages) {
		answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	return answer
}

func logged(ctx context.Context, redriver *redrive.Redriver, raw events.CloudwatchLogsRawData) error {
	data, err := raw.Parse()
	if err != nil {
		return fmt.Errorf("lines of the log: %w", err)
	}
	lines := make([]string, len(data.LogEvents))
	for i, e := range data.LogEvents {
		lines[i] = e.Message
	}
	return redriver.Logged(ctx, lines)
}
