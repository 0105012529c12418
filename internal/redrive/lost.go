package redrive

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

const (
	// Settled is how old a begin must be to count as lost where it has no end: a function runs for 15 minutes at most, and CloudWatch
	// takes its time.
	Settled = 20 * time.Minute
	// lookBack is from when begins are read. A run is due every hour, and so makes up for two before it that failed.
	lookBack = 3*time.Hour + Settled
	// early is how much older than its begin an end's line may seem.
	early = time.Minute
)

// pattern finds what tells of requests, and nothing else, in the log.
const pattern = `{ ($.begin = "*") || ($.end = "*") || ($.event.id = "*") }`

// Logs is what is asked of CloudWatch Logs.
type Logs interface {
	FilterLogEvents(ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput, opts ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error)
}

// Lost publishes an event for each request that began and has no end in the log, and returns how many there were. Such a request is not
// found again by the next run.
func (r *Redriver) Lost(ctx context.Context) (int, error) {
	now := r.cfg.Now()
	begun, err := r.readLogs(ctx, now.Add(-lookBack), now)
	if err != nil {
		return 0, err
	}
	var entries []entry
	for _, b := range begun {
		if now.Sub(b.Time) > Settled {
			entries = append(entries, entry{id: b.ID, time: b.Time, detail: string(b.Lost().AppendJSON(nil))})
		}
	}
	left := r.publish(ctx, entries)
	open := map[llmproxy.EventID]bool{}
	for _, e := range left {
		open[e.id] = true
	}
	for _, e := range entries {
		if open[e.id] {
			continue
		}
		r.cfg.Log.Warn("a request was lost", zap.Stringer("request_id", e.id), zap.Time("begun", e.time))
		if err := r.end(e.id); err != nil {
			return len(entries), err
		}
	}
	if len(left) > 0 {
		return len(entries), fmt.Errorf("the bus did not take %d of %d lost events", len(left), len(entries))
	}
	return len(entries), nil
}

// readLogs returns the begins without an end.
func (r *Redriver) readLogs(ctx context.Context, from, to time.Time) (map[llmproxy.EventID]llmproxy.Begin, error) {
	begun := map[llmproxy.EventID]llmproxy.Begin{}
	ended := map[llmproxy.EventID]bool{}
	for _, group := range r.cfg.Groups {
		in := &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: &group, FilterPattern: aws.String(pattern), StartTime: aws.Int64(from.Add(-early).UnixMilli()), EndTime: aws.Int64(to.UnixMilli()),
		}
		for {
			out, err := r.cfg.Logs.FilterLogEvents(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("read the log %s: %w", group, err)
			}
			for _, line := range out.Events {
				note(aws.ToString(line.Message), from, begun, ended)
			}
			if aws.ToString(out.NextToken) == "" {
				break
			}
			in.NextToken = out.NextToken
		}
	}
	return begun, nil
}

// note reads a line. Lines come in any order, and an end may stand in another log than its begin.
func note(line string, from time.Time, begun map[llmproxy.EventID]llmproxy.Begin, ended map[llmproxy.EventID]bool) {
	var kind struct {
		Begin string `json:"begin"`
		End   string `json:"end"`
		Event struct {
			ID string `json:"id"`
		} `json:"event"`
	}
	if json.Unmarshal([]byte(line), &kind) != nil {
		return // no line of ours
	}
	for _, text := range []string{kind.End, kind.Event.ID} {
		if id, err := llmproxy.ParseUUID(text); err == nil {
			ended[llmproxy.EventID{UUID: id}] = true
			delete(begun, llmproxy.EventID{UUID: id})
		}
	}
	var b llmproxy.Begin
	if kind.Begin == "" || json.Unmarshal([]byte(line), &b) != nil || b.Time.Before(from) || ended[b.ID] {
		return
	}
	begun[b.ID] = b
}
