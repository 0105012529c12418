package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/sofatutor/llm-proxy/internal/emf"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// CloudWatchConfig says where in CloudWatch Logs events are kept.
type CloudWatchConfig struct {
	Group     string    // of the logs; made if it is not there
	Stream    string    // in the group; "" is "events"
	Namespace string    // of the metrics; "" is "LlmProxy"
	Bodies    bool      // records have the captured bodies
	AWS       AWSConfig //
}

// logsAPI is what is asked of CloudWatch Logs.
type logsAPI interface {
	PutLogEvents(ctx context.Context, in *cloudwatchlogs.PutLogEventsInput, opts ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutLogEventsOutput, error)
	CreateLogGroup(ctx context.Context, in *cloudwatchlogs.CreateLogGroupInput, opts ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogGroupOutput, error)
	CreateLogStream(ctx context.Context, in *cloudwatchlogs.CreateLogStreamInput, opts ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogStreamOutput, error)
}

// CloudWatch writes each event as one line of a log group, from which CloudWatch also makes metrics (embedded metric format): the
// record, then what the metrics are made of. An event that is older than CloudWatch takes, or newer, goes to the dead letters. A
// line may come twice; queries tell it by the event's id.
type CloudWatch struct {
	cfg    CloudWatchConfig
	client logsAPI
}

// NewCloudWatch returns the CloudWatch destination.
func NewCloudWatch(cfg CloudWatchConfig) (*CloudWatch, error) {
	if cfg.Group == "" {
		return nil, errors.New("the cloudwatch destination needs a log group")
	}
	if cfg.Stream == "" {
		cfg.Stream = "events"
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "LlmProxy"
	}
	return &CloudWatch{cfg: cfg}, nil
}

// WantsBodies implements [Destination].
func (c *CloudWatch) WantsBodies() bool { return c.cfg.Bodies }

// Batch implements [Batcher].
func (c *CloudWatch) Batch() (int, time.Duration) { return 1000, 2 * time.Second }

// Start implements [Destination]. It makes the stream, and the group if it is not there.
func (c *CloudWatch) Start(ctx context.Context, _ []byte) error {
	cfg, err := c.cfg.AWS.load(ctx)
	if err != nil {
		return err
	}
	c.client = cloudwatchlogs.NewFromConfig(cfg)
	return c.makeStream(ctx)
}

func (c *CloudWatch) makeStream(ctx context.Context) error {
	stream := &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &c.cfg.Group, LogStreamName: &c.cfg.Stream}
	_, err := c.client.CreateLogStream(ctx, stream)
	if isAWS(err, "ResourceNotFoundException") {
		if _, err := c.client.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &c.cfg.Group}); err != nil && !isAWS(err, "ResourceAlreadyExistsException") {
			return fmt.Errorf("make the log group %s: %w", c.cfg.Group, err)
		}
		_, err = c.client.CreateLogStream(ctx, stream)
	}
	if err != nil && !isAWS(err, "ResourceAlreadyExistsException") {
		return fmt.Errorf("make the log stream %s in %s: %w", c.cfg.Stream, c.cfg.Group, err)
	}
	return nil
}

// What one call of PutLogEvents takes.
const (
	logCallBytes  = 1_048_576
	logCallEvents = 10_000
	logCallSpan   = 24 * time.Hour
	logEventExtra = 26        // bytes that each event counts beside its message
	logEventBytes = 1_000_000 // of a message; a longer record goes without its bodies
)

// Deliver implements [Destination].
func (c *CloudWatch) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	order := make([]int, len(events)) // by time, or the call fails
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return events[a].Time.Compare(events[b].Time) })
	results := make([]Result, len(events))
	for len(order) > 0 {
		var lines []types.InputLogEvent
		bytes, n := 0, 0
		for n < len(order) {
			e := events[order[n]]
			line := c.line(e)
			size := len(line) + logEventExtra
			if n > 0 && (bytes+size > logCallBytes || n == logCallEvents || e.Time.Sub(events[order[0]].Time) >= logCallSpan) {
				break
			}
			lines = append(lines, types.InputLogEvent{Message: &line, Timestamp: aws.Int64(e.Time.UnixMilli())})
			bytes += size
			n++
		}
		for i, r := range c.put(ctx, lines) {
			results[order[i]] = r
		}
		order = order[n:]
	}
	return results
}

// put sends lines that fit into one call.
func (c *CloudWatch) put(ctx context.Context, lines []types.InputLogEvent) []Result {
	out, err := c.client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &c.cfg.Group, LogStreamName: &c.cfg.Stream, LogEvents: lines})
	if isAWS(err, "ResourceNotFoundException") { // it was deleted under us
		err = errors.Join(err, c.makeStream(ctx))
	}
	if err != nil {
		return all(len(lines), awsFailed(fmt.Errorf("put events into the log group %s: %w", c.cfg.Group, err)))
	}
	results := make([]Result, len(lines))
	if rejected := out.RejectedLogEventsInfo; rejected != nil {
		refuse := func(from, to int, why string) {
			for i := max(0, from); i < min(to, len(lines)); i++ {
				results[i] = Poison(errors.New(why))
			}
		}
		if end := rejected.ExpiredLogEventEndIndex; end != nil {
			refuse(0, int(*end), "older than the log group keeps events")
		}
		if end := rejected.TooOldLogEventEndIndex; end != nil {
			refuse(0, int(*end), "too old for CloudWatch Logs, which takes events of the last 14 days")
		}
		if start := rejected.TooNewLogEventStartIndex; start != nil {
			refuse(int(*start), len(lines), "too far in the future for CloudWatch Logs")
		}
	}
	return results
}

// line is the record of an event, and what its metrics are made of.
func (c *CloudWatch) line(e *llmproxy.Event) string {
	if c.cfg.Bodies {
		if line := c.withMetrics(e, e.AppendJSON(nil)); len(line) <= logEventBytes {
			return line
		}
	}
	return c.withMetrics(e, e.AppendMeta(nil))
}

// withMetrics adds the metrics to a record: each is a member beside the record's own, and "_aws" says which there are. The dimensions
// are project and model, since each combination is billed; a model that only a caller has named is none of them.
func (c *CloudWatch) withMetrics(e *llmproxy.Event, record []byte) string {
	if e.Test {
		return string(record) // it counts nowhere
	}
	values := record[:len(record)-1] // its closing brace comes last
	d := emf.Directive{Namespace: c.cfg.Namespace, Dimensions: [][]string{{}}}
	if !e.ProjectID.IsZero() {
		d.Dimensions = append(d.Dimensions, []string{"project_id"})
		if e.Model != "" && e.Status >= 200 && e.Status <= 299 {
			d.Dimensions = append(d.Dimensions, []string{"project_id", "model"})
		}
	}
	add := func(name, unit, value string) {
		d.Metrics = append(d.Metrics, emf.Metric{Name: name, Unit: unit})
		values = append(values, `,"`+name+`":`+value...)
	}
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	add("requests", "Count", "1")
	failed := int64(0)
	if e.Outcome != llmproxy.Complete || e.Status >= 500 {
		failed = 1
	}
	add("errors", "Count", count(failed))
	if e.Timing.Total > 0 {
		add("latency", "Milliseconds", count(e.Timing.Total.Milliseconds()))
	}
	if e.Timing.FirstByte > 0 {
		add("first_byte", "Milliseconds", count(e.Timing.FirstByte.Milliseconds()))
	}
	if u := e.Usage; u != nil {
		if u.Input != nil {
			add("input_units", "Count", count(*u.Input))
		}
		if u.Output != nil {
			add("output_units", "Count", count(*u.Output))
		}
		if u.CostUSD != nil {
			add("cost_usd", "None", strconv.FormatFloat(*u.CostUSD, 'f', -1, 64))
		}
	}
	directive, _ := json.Marshal(emf.Metadata{Timestamp: e.Time.UnixMilli(), CloudWatchMetrics: []emf.Directive{d}}) // strings and a number: it cannot fail
	values = append(values, `,"`+emf.Member+`":`...)
	return string(append(append(values, directive...), '}'))
}

// Note implements [Destination].
func (c *CloudWatch) Note() []byte { return nil }

// Close implements [Destination].
func (c *CloudWatch) Close() error { return nil }
