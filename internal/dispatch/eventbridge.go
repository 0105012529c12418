package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// EventBridgeConfig says which bus gets the events.
type EventBridgeConfig struct {
	Bus string    // name or ARN
	AWS AWSConfig //
}

// busAPI is what is asked of EventBridge.
type busAPI interface {
	PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, opts ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// EventBridge puts the events of a local proxy on a bus on AWS, as the proxy does that runs there: source llm-proxy, detail type
// request, the record as detail. What follows the bus there tells a repetition by the event's id.
type EventBridge struct {
	cfg    EventBridgeConfig
	client busAPI
}

// NewEventBridge returns the EventBridge destination.
func NewEventBridge(cfg EventBridgeConfig) (*EventBridge, error) {
	if cfg.Bus == "" {
		return nil, errors.New("the eventbridge destination needs a bus")
	}
	return &EventBridge{cfg: cfg}, nil
}

// WantsBodies implements [Destination]: what follows the bus may want them.
func (b *EventBridge) WantsBodies() bool { return true }

// Start implements [Destination].
func (b *EventBridge) Start(ctx context.Context, _ []byte) error {
	cfg, err := b.cfg.AWS.load(ctx)
	if err != nil {
		return err
	}
	b.client = eventbridge.NewFromConfig(cfg)
	return nil
}

const (
	busSource     = "llm-proxy"
	busDetailType = "request"
	busEntries    = 10      // in one call
	busCallBytes  = 900_000 // in one call, which takes less than 1 MB
	busEntryBytes = 200_000 // of a record; a longer one goes without its bodies
	busEntryExtra = len(busSource) + len(busDetailType) + 14
)

// Deliver implements [Destination].
func (b *EventBridge) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	var results []Result
	for rest := events; len(rest) > 0; rest = events[len(results):] {
		var entries []types.PutEventsRequestEntry
		bytes := 0
		for _, e := range rest {
			detail := e.AppendJSON(nil)
			if len(detail) > busEntryBytes {
				detail = e.AppendMeta(nil)
			}
			size := len(detail) + busEntryExtra
			if len(entries) > 0 && (bytes+size > busCallBytes || len(entries) == busEntries) {
				break
			}
			bytes += size
			entries = append(entries, types.PutEventsRequestEntry{
				EventBusName: &b.cfg.Bus, Source: aws.String(busSource), DetailType: aws.String(busDetailType), Detail: aws.String(string(detail)), Time: aws.Time(e.Time),
			})
		}
		results = append(results, b.put(ctx, entries)...)
	}
	return results
}

// busPoison are the codes with which EventBridge refuses one entry for what it is.
var busPoison = []string{"MalformedDetail", "InvalidArgument", "ValidationException"}

func (b *EventBridge) put(ctx context.Context, entries []types.PutEventsRequestEntry) []Result {
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
