// Dispatcher is the function behind the queue of one destination: it delivers events there, and tells SQS which of a batch have to come
// again.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/dispatch/batch"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

func main() {
	consumer, err := join(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "llm-proxy:", err)
		os.Exit(1)
	}
	lambda.Start(func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		return handle(ctx, consumer, e), nil
	})
}

// join makes the consumer from its parts. It waits for no network.
func join(environ []string) (*batch.Consumer, error) {
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
	destination, err := dispatch.Open(s.Destination, s.destination(aws))
	if err != nil {
		return nil, err
	}
	return batch.New(batch.Config{
		Name: s.Destination, Destination: destination, Meter: dispatch.Meter(price.Embedded()), Log: log,
		Letters: &batch.Queue{Client: sqs.NewFromConfig(aws), URL: s.DeadLetters},
		Records: &batch.Bucket{Client: s3.NewFromConfig(aws, func(o *s3.Options) { o.UsePathStyle = base.PathStyle(aws) }), Name: s.EventBucket},
	}), nil
}

// handle delivers a batch.
func handle(ctx context.Context, consumer *batch.Consumer, e events.SQSEvent) events.SQSEventResponse {
	messages := make([]batch.Message, len(e.Records))
	for i, r := range e.Records {
		receives, _ := strconv.Atoi(r.Attributes["ApproximateReceiveCount"]) // 0 where it is not told
		messages[i] = batch.Message{ID: r.MessageId, Body: r.Body, Receives: receives}
	}
	var answer events.SQSEventResponse
	for _, id := range consumer.Deliver(ctx, messages) {
		answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	return answer
}
