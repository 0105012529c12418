package main

import (
	"context"
	"path"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge/route"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// queues are the destinations behind the bus as SQS tells of them.
type queues = route.Destinations

// destinations are those with what CloudWatch has of them besides. It implements [manage.Destinations].
type destinations struct {
	*queues
	metrics *metrics
}

func (s *settings) destinations(cfg aws.Config, log *zap.Logger) *destinations {
	names := make(map[string]string, len(s.Destinations))
	for destination, url := range s.Destinations {
		names[destination] = path.Base(url)
	}
	return &destinations{
		route.NewDestinations(route.NewClients(cfg), s.Destinations),
		&metrics{client: cloudwatch.NewFromConfig(cfg), namespace: s.DeliveryNamespace, queues: names, log: log, now: time.Now},
	}
}

// Destinations implements [manage.Destinations]. SQS and CloudWatch are asked at the same time.
func (d *destinations) Destinations(ctx context.Context) ([]llmproxy.Destination, error) {
	metrics := make(chan map[string]told, 1)
	go func() { metrics <- d.metrics.current(ctx) }()
	all, err := d.queues.Destinations(ctx)
	known := <-metrics
	for i := range all {
		known[all[i].Name].tell(&all[i])
	}
	return all, err
}

// tell fills in what is known. An age is of some minutes ago: where nothing waits any more it is of something else.
func (t told) tell(d *llmproxy.Destination) {
	d.Since, d.Delivered, d.Retried, d.Dead = t.since, t.delivered, t.retried, t.dead
	if d.Backlog == nil || *d.Backlog > 0 {
		d.OldestAge = t.oldest
	}
}
