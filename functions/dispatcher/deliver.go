package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/dispatch/batch"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

// dispatcher delivers batches. Lambda has it work on one at a time.
type dispatcher struct {
	settings settings
	environ  []string
	aws      aws.Config
	secrets  secretsReader
	queue    *batch.Queue
	metrics  metrics
	log      *zap.Logger

	consumer *batch.Consumer
	since    time.Time // when its secret was read
}

// open makes the consumer for the destination that the settings name.
func (d *dispatcher) open(s settings) (*batch.Consumer, error) {
	destination, err := dispatch.Open(s.Destination, s.destination(d.aws))
	if err != nil {
		return nil, err
	}
	return batch.New(batch.Config{
		Name: s.Destination, Destination: destination, Meter: dispatch.Meter(price.Embedded()), Pause: s.Pause, Log: d.log, Letters: d.queue,
		Records: &batch.Bucket{Client: s3.NewFromConfig(d.aws, func(o *s3.Options) { o.UsePathStyle = base.PathStyle(d.aws) }), Name: s.EventBucket},
	}), nil
}

// ready makes the consumer if its settings stand in a secret that has not been read yet, or not for a while. One that cannot be read
// again leaves things as they are.
func (d *dispatcher) ready(ctx context.Context) error {
	if d.settings.Secret == "" || time.Since(d.since) < secretFor {
		return nil
	}
	told, err := readSecret(ctx, d.secrets, d.settings.Secret)
	var s settings
	if err == nil {
		s, err = loadSettings(slices.Concat(told, d.environ))
	}
	var consumer *batch.Consumer
	if err == nil {
		consumer, err = d.open(s)
	}
	switch {
	case err == nil && d.consumer != nil:
		err = d.consumer.Close()
	case err != nil && d.consumer != nil:
		d.log.Warn("the destination's secret cannot be read again, what it said before is used", zap.Error(err))
		return nil
	case err != nil:
		return err
	}
	d.consumer, d.since = consumer, time.Now()
	return err
}

// handle delivers a batch. What has to come again is hidden for as long as it is best left alone. An error brings all of it again.
func (d *dispatcher) handle(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}} // a list also where it is empty
	if err := d.ready(ctx); err != nil {
		return answer, err
	}
	messages := make([]batch.Message, len(e.Records))
	handles := make(map[string]string, len(e.Records))
	for i, r := range e.Records {
		receives, _ := strconv.Atoi(r.Attributes["ApproximateReceiveCount"]) // 0 where it is not told
		messages[i] = batch.Message{ID: r.MessageId, Body: r.Body, Receives: receives}
		handles[r.MessageId] = r.ReceiptHandle
	}
	dead, retried := d.consumer.Dead(), d.consumer.Retried()
	again := d.consumer.Deliver(ctx, messages)
	dead, retried = d.consumer.Dead()-dead, d.consumer.Retried()-retried
	if err := d.metrics.tell(time.Now(), uint64(len(messages)-len(again))-dead, retried, dead); err != nil {
		d.log.Warn("metrics of a batch are not written", zap.Error(err))
	}
	var hide []batch.Hidden
	for _, left := range again {
		answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: left.ID})
		hide = append(hide, batch.Hidden{Handle: handles[left.ID], For: left.After})
	}
	if err := d.queue.Hide(ctx, hide); err != nil && !errors.Is(err, context.Canceled) { // they come when the queue's own time is over
		d.log.Warn("events that are to come later may come sooner", zap.Error(err))
	}
	return answer, nil
}
