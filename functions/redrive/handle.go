package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sofatutor/llm-proxy/internal/redrive"
)

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
