package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge/route"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/dispatch/batch"
)

// awsConfig finds region and credentials as the AWS CLI does. Nothing is asked over the network yet.
func awsConfig(ctx context.Context) (aws.Config, error) {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return c, usageError("AWS settings: %v", err)
	}
	if c.Region == "" {
		return c, usageError("AWS settings: there is no region: set AWS_REGION to that of the stack")
	}
	c.HTTPClient = awshttp.New(c.HTTPClient)
	return c, nil
}

// route finds the queue that the settings name, and its dead letters.
func (s *dispatcherSettings) route(ctx context.Context) (*route.Route, aws.Config, error) {
	if problems := s.checkBus(); problems != nil {
		return nil, aws.Config{}, usageError("%s", strings.Join(problems, "\n"))
	}
	cfg, err := awsConfig(ctx)
	if err != nil {
		return nil, cfg, err
	}
	clients := route.NewClients(cfg)
	var r *route.Route
	if s.Queue != "" {
		r, err = route.ByQueue(ctx, clients, s.Queue)
	} else {
		r, err = route.ByRule(ctx, clients, s.Bus, s.Name)
	}
	if errors.Is(err, route.ErrNotFound) {
		err = &exitError{exitRefused, err}
	}
	return r, cfg, err
}

// emptyQueue delivers what is in the queue, and with once ends when that is all; else when ctx does.
func (d *dispatcher) emptyQueue(ctx context.Context, once bool) (err error) {
	s := d.settings
	r, cfg, err := s.route(ctx)
	if err != nil {
		return err
	}
	size, linger := s.BatchSize, s.Linger
	if b, ok := d.config.Destination.(dispatch.Batcher); ok {
		most, wait := b.Batch()
		if size == 0 {
			size = most
		}
		if linger == 0 && !once {
			linger = wait
		}
	}
	queue := &batch.Queue{Client: sqs.NewFromConfig(cfg), URL: r.Queue, Dead: r.Dead}
	consumer := batch.New(batch.Config{
		Name: s.Name, Destination: d.config.Destination, Meter: d.config.Meter, Letters: queue, Pause: s.Pause, Log: d.log,
		Records: &batch.Bucket{Client: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }), Name: s.EventBucket},
	})
	defer func() { err = errors.Join(err, consumer.Close()) }()
	var closers closers
	receiver := batch.NewReceiver(batch.ReceiverConfig{Queue: queue, Consumer: consumer, Size: size, Linger: linger, Log: d.log})
	d.log.Info("delivers events", zap.String("destination", s.Name), zap.String("service", s.Service), zap.String("queue", r.Queue))
	if err := d.serveInside(ctx, receiver.Stats, inQueue(ctx, r, d.log), &closers); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closers.close()) }()
	err = receiver.Run(ctx, once)
	d.log.Info("has ended", zap.Uint64("delivered", receiver.Delivered()-consumer.Dead()), zap.Uint64("dead", consumer.Dead()), zap.Uint64("left", receiver.Left()))
	if err == nil && once && receiver.Left() > 0 {
		err = &exitError{exitUnreachable, fmt.Errorf("%s did not take %d events, they stay in the queue", s.Service, receiver.Left())}
	}
	return err
}

// lookEvery is how old what a queue has said of itself may be; SQS itself knows it of a minute ago.
var lookEvery = 15 * time.Second

// lookWithin is how long it may take to say it.
const lookWithin = 5 * time.Second

// inQueue is what waits in a queue, as its attributes tell. How old the oldest message is, none of them tells: it is known of those that
// this process has seen.
func inQueue(ctx context.Context, r *route.Route, log *zap.Logger) func(dispatch.Stats) waiting {
	var mu sync.Mutex
	var looked time.Time
	var last waiting
	return func(stats dispatch.Stats) waiting {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(looked) > lookEvery {
			ctx, cancel := context.WithTimeout(ctx, lookWithin)
			defer cancel()
			last = waiting{}
			if n, err := r.Waiting(ctx); err != nil {
				log.Warn("how much is in the queue is not known", zap.Error(err))
			} else {
				last.events = &n
			}
			if n, err := r.DeadLetters(ctx); err != nil {
				log.Warn("how many dead letters there are is not known", zap.Error(err))
			} else {
				last.letters = &n
			}
			looked = time.Now()
		}
		now := last
		now.age = ageOf(stats.Oldest)
		return now
	}
}

// redriveQueue moves the dead letters of a queue back into it.
func redriveQueue(cmd *cobra.Command, s *dispatcherSettings) error {
	r, _, err := s.route(cmd.Context())
	if err != nil {
		return err
	}
	letters, err := r.StartRedrive(cmd.Context())
	if err != nil {
		return err
	}
	if letters > 0 {
		if err := r.AwaitRedrive(cmd.Context(), func(moved int64) {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "moved %d of about %d\n", moved, letters)
		}); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "moved %d dead letters back to %s\n", letters, r.Queue)
	return err
}

// lettersOfQueue calls do with each dead letter of a queue until it says that this is enough.
func lettersOfQueue(ctx context.Context, s *dispatcherSettings, do func(dispatch.DeadLetter) (more bool, err error)) error {
	r, _, err := s.route(ctx)
	if err != nil {
		return err
	}
	for letter, err := range r.Letters(ctx) {
		if err != nil {
			return err
		}
		l := dispatch.DeadLetter{Time: letter.Time, Destination: s.Name, Reason: letter.Reason, Attempts: letter.Tries, Event: json.RawMessage(letter.Event)}
		if l.Reason == "" {
			l.Reason = "came in vain too often; the dispatcher's log has why"
		}
		if letter.EventID == "" { // no event, and maybe no JSON
			if l.Event, err = json.Marshal(letter.Event); err != nil {
				return err
			}
		}
		if more, err := do(l); err != nil || !more {
			return err
		}
	}
	return nil
}
