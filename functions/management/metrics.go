package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"go.uber.org/zap"
)

const (
	toldFor  = time.Minute // how long what CloudWatch says is used: it has new values each minute, and each that is asked for costs
	patience = time.Second // that it has for an answer: nobody who looks at destinations waits longer for it

	// Batches are added up for as long as queues keep what waits and what is dead, by the hour.
	batchesFor, batchStep = 14 * 24 * time.Hour, time.Hour
	// SQS measures ages each minute, and tells of it some minutes later.
	ageFor, ageStep = 10 * time.Minute, time.Minute
)

// Metrics that are asked for: those that dispatchers write of each batch, and one of SQS.
const (
	delivered = "delivered"
	retried   = "retried"
	dead      = "dead"
	oldestAge = "ApproximateAgeOfOldestMessage" // in seconds
)

// told is what CloudWatch has of a destination. What it has not is zero or nil: it does not tell a queue to which nothing came from one
// whose dispatcher writes no metrics, while a batch of which nothing was delivered is a zero that it has.
type told struct {
	since                    time.Time // when the first hour began of which it has anything
	delivered, retried, dead *int64
	oldest                   time.Duration
}

// metrics reads what CloudWatch has of the queues of destinations. It is safe for concurrent use.
type metrics struct {
	client    *cloudwatch.Client
	namespace string            // that dispatchers write to; empty if they write none
	queues    map[string]string // names of queues, by destination
	log       *zap.Logger
	now       func() time.Time // the clock

	mu    sync.Mutex
	told  map[string]told
	until time.Time
}

// current returns what is known by destination, of the last minute. It never fails: what cannot be had is left out, and logged.
func (m *metrics) current(ctx context.Context) map[string]told {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().Round(0) // on the wall: the monotonic clock may stand still while a function is frozen
	if len(m.queues) == 0 || now.Before(m.until) {
		return m.told
	}
	var err error
	if m.told, err = m.read(ctx, now); err != nil {
		m.log.Warn("metrics of destinations cannot be read, their figures are left out", zap.Error(err))
	}
	m.until = now.Add(toldFor)
	return m.told
}

// read asks CloudWatch. Whoever happens to be the one to wait may leave.
func (m *metrics) read(ctx context.Context, now time.Time) (map[string]told, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	minute, hour := now.Truncate(ageStep), now.Truncate(batchStep)
	calls := []call{{namespace: "AWS/SQS", dimension: "QueueName", metrics: []string{oldestAge}, stat: types.StatisticMaximum, step: ageStep, from: minute.Add(-ageFor), to: minute.Add(ageStep)}}
	if m.namespace != "" {
		calls = append(calls, call{namespace: m.namespace, dimension: "queue", metrics: []string{delivered, retried, dead}, stat: types.StatisticSum, step: batchStep, from: hour.Add(-batchesFor), to: hour.Add(batchStep)})
	}
	answers, errs := make([][]series, len(calls)), make([]error, len(calls))
	var asking sync.WaitGroup
	for i := range calls {
		asking.Go(func() { answers[i], errs[i] = m.ask(ctx, &calls[i]) })
	}
	asking.Wait()
	all := map[string]told{}
	for _, s := range slices.Concat(answers...) {
		t := all[s.destination]
		t.take(s)
		all[s.destination] = t
	}
	return all, errors.Join(errs...)
}

// call is what one call asks for: some metrics of each queue.
type call struct {
	namespace, dimension string
	metrics              []string
	stat                 types.Statistic
	step                 time.Duration
	from, to             time.Time // whole steps; to itself is not asked for
}

// series are the values of a metric of a destination's queue, oldest first. Steps without a value are left out.
type series struct {
	destination, metric string
	times               []time.Time
	values              []float64
	status              types.StatusCode
}

// ask returns the series that are complete and not empty. The error tells of those that are not complete.
func (m *metrics) ask(ctx context.Context, c *call) ([]series, error) {
	var all []series
	var queries []types.MetricDataQuery
	place := map[string]int{} // in all, by the query's id
	for _, destination := range slices.Sorted(maps.Keys(m.queues)) {
		for _, metric := range c.metrics {
			id := fmt.Sprintf("m%d", len(all))
			place[id] = len(all)
			all = append(all, series{destination: destination, metric: metric})
			queries = append(queries, types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{
				Metric: &types.Metric{
					Namespace: &c.namespace, MetricName: &metric, Dimensions: []types.Dimension{{Name: &c.dimension, Value: aws.String(m.queues[destination])}},
				},
				Stat: aws.String(string(c.stat)), Period: aws.Int32(int32(c.step / time.Second)),
			}})
		}
	}
	pages := cloudwatch.NewGetMetricDataPaginator(m.client, &cloudwatch.GetMetricDataInput{
		MetricDataQueries: queries, StartTime: &c.from, EndTime: &c.to, ScanBy: types.ScanByTimestampAscending,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("metrics of %s: %w", c.namespace, err)
		}
		for _, r := range page.MetricDataResults {
			if n, ok := place[aws.ToString(r.Id)]; ok {
				s := &all[n]
				s.times, s.values, s.status = append(s.times, r.Timestamps...), append(s.values, r.Values...), r.StatusCode
			}
		}
	}
	var errs []error
	for _, s := range all {
		if s.status != types.StatusCodeComplete {
			errs = append(errs, fmt.Errorf("%s of %s: %s", s.metric, m.queues[s.destination], s.status))
		}
	}
	all = slices.DeleteFunc(all, func(s series) bool {
		return s.status != types.StatusCodeComplete || len(s.values) == 0 || len(s.times) == 0
	})
	return all, errors.Join(errs...)
}

// take notes a metric of a destination.
func (t *told) take(s series) {
	if s.metric == oldestAge {
		t.oldest = time.Duration(s.values[len(s.values)-1] * float64(time.Second))
		return
	}
	sum := 0.0
	for _, v := range s.values {
		sum += v
	}
	n := int64(math.Round(sum))
	switch s.metric {
	case delivered:
		t.delivered = &n
	case retried:
		t.retried = &n
	case dead:
		t.dead = &n
	}
	if t.since.IsZero() || s.times[0].Before(t.since) {
		t.since = s.times[0]
	}
}
