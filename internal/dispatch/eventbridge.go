package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// EventBridgeConfig says which bus gets the events.
type EventBridgeConfig struct {
	Bus       string    // name or ARN
	Bucket    string    // for the records that are too large for the bus; "" leaves out their bodies
	AWS       AWSConfig //
	PathStyle bool      // for stores that speak S3 and know no names of buckets in hosts
}

// busAPI is what is asked of EventBridge.
type busAPI interface {
	PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, opts ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// EventBridge puts the events of a local proxy on a bus on AWS, as the proxy does that runs there: source llm-proxy, detail type
// request or audit, the record as detail. Of a record that is too large the whole lies in a bucket, and the detail names it. What follows the
// bus there tells a repetition by the event's id.
type EventBridge struct {
	cfg    EventBridgeConfig
	client busAPI
	bucket putObject
}

// NewEventBridge returns the EventBridge destination.
func NewEventBridge(cfg EventBridgeConfig) (*EventBridge, error) {
	if cfg.Bus == "" {
		return nil, errors.New("the eventbridge destination needs a bus")
	}
	return &EventBridge{cfg: cfg}, nil
}

// TakesAudit implements [Auditor]: what follows the bus tells them by their detail type.
func (b *EventBridge) TakesAudit() bool { return true }

// WantsBodies implements [Destination]: what follows the bus may want them.
func (b *EventBridge) WantsBodies() bool { return true }

// Start implements [Destination].
func (b *EventBridge) Start(ctx context.Context, _ []byte) error {
	cfg, err := b.cfg.AWS.load(ctx)
	if err != nil {
		return err
	}
	b.client = eventbridge.NewFromConfig(cfg)
	b.bucket = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = b.cfg.PathStyle })
	return nil
}

const (
	busSource     = "llm-proxy"
	busRequest    = "request" // detail types
	busAudit      = "audit"
	busEntries    = 10      // in one call
	busCallBytes  = 900_000 // in one call, which takes less than 1 MB
	busEntryExtra = len(busSource) + len(busRequest) + 14
)

// Deliver implements [Destination].
func (b *EventBridge) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	results := make([]Result, len(events))
	var call busCall
	flush := func() {
		for i, r := range b.put(ctx, call.entries) {
			results[call.of[i]] = r
		}
		call = busCall{}
	}
	for i, e := range events {
		detail, err := b.detail(ctx, e)
		if err != nil {
			results[i] = awsFailed(err)
			continue
		}
		if !call.fits(detail) {
			flush()
		}
		kind := busRequest
		if e.Audit != nil {
			kind = busAudit
		}
		call.add(i, types.PutEventsRequestEntry{
			EventBusName: &b.cfg.Bus, Source: aws.String(busSource), DetailType: &kind, Detail: aws.String(string(detail)), Time: aws.Time(e.Time),
		}, len(detail))
	}
	flush()
	return results
}

// busCall is one call that is being put together.
type busCall struct {
	entries []types.PutEventsRequestEntry
	of      []int // places of their events
	bytes   int
}

func (c *busCall) fits(detail []byte) bool {
	return len(c.entries) == 0 || len(c.entries) < busEntries && c.bytes+len(detail)+busEntryExtra <= busCallBytes
}

func (c *busCall) add(of int, entry types.PutEventsRequestEntry, detail int) {
	c.entries, c.of, c.bytes = append(c.entries, entry), append(c.of, of), c.bytes+detail+busEntryExtra
}

// detail is the record. One that is too large for the bus goes to the bucket first, and what goes to the bus names it.
func (b *EventBridge) detail(ctx context.Context, e *llmproxy.Event) ([]byte, error) {
	record := e.AppendJSON(nil)
	switch {
	case len(record) <= llmproxy.MaxOnBus:
		return record, nil
	case b.cfg.Bucket == "":
		return e.AppendMeta(nil), nil
	}
	key := e.ClaimKey()
	if _, err := b.bucket.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.cfg.Bucket, Key: &key, Body: bytes.NewReader(record), ContentType: aws.String("application/json"),
	}); err != nil {
		return nil, fmt.Errorf("put a record too large for the bus into s3://%s: %w", b.cfg.Bucket, err)
	}
	claimed := *e // the event is the loop's
	claimed.Claim()
	return claimed.AppendJSON(nil), nil
}

// busPoison are the codes with which EventBridge refuses one entry for what it is.
var busPoison = []string{"MalformedDetail", "InvalidArgument", "ValidationException"}

func (b *EventBridge) put(ctx context.Context, entries []types.PutEventsRequestEntry) []Result {
	if len(entries) == 0 {
		return nil
	}
	out, err := b.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
	if err != nil {
		return all(len(entries), awsFailed(fmt.Errorf("put events on the bus %s: %w", b.cfg.Bus, err)))
	}
	if len(out.Entries) != len(entries) {
		return all(len(entries), Retry(fmt.Errorf("the bus answered for %d of %d events", len(out.Entries), len(entries)), 0))
	}
	results := make([]Result, len(entries))
	for i, entry := range out.Entries {
		code := aws.ToString(entry.ErrorCode)
		switch err := fmt.Errorf("%s: %s", code, aws.ToString(entry.ErrorMessage)); {
		case code == "" && aws.ToString(entry.EventId) != "":
		case slices.Contains(busPoison, code):
			results[i] = Poison(err)
		default:
			results[i] = Retry(err, 0)
		}
	}
	return results
}

// Note implements [Destination].
func (b *EventBridge) Note() []byte { return nil }

// Close implements [Destination].
func (b *EventBridge) Close() error { return nil }
