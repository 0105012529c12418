package dispatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Destination is where events go. It is used by one goroutine.
type Destination interface {
	// WantsBodies reports whether the destination is to see captured bodies. If not, they are gone before Deliver.
	WantsBodies() bool
	// Start makes the destination ready; it comes before all other calls, and again after an error. Note is what Note returned
	// at the last commit, by this process or one before; nil if there was none. What was delivered after that may come again: a
	// destination that can tell, recognizes it.
	Start(ctx context.Context, note []byte) error
	// Deliver hands over events, in order, and returns what became of each: result i is that of event i. Delivered means that the
	// event will not be lost any more, as far as the destination can promise it. Deliver returns soon after ctx ends. An event may
	// come again with the same id, and the events are the loop's again afterwards.
	Deliver(ctx context.Context, events []*llmproxy.Event) []Result
	// Note returns what Start needs to recognize what comes again, as JSON; nil if nothing. It is kept in one step with the mark
	// that all events so far are done.
	Note() []byte
	// Close gives back what Start took. Nothing is lost without it.
	Close() error
}

// Auditor is a destination that may take audit events beside those of requests. All others get none: they are passed over as if they
// had not been there.
type Auditor interface {
	// TakesAudit reports whether it does.
	TakesAudit() bool
}

// TakesAudit reports whether a destination gets audit events.
func TakesAudit(d Destination) bool {
	a, ok := d.(Auditor)
	return ok && a.TakesAudit()
}

// Batcher is a destination that has a size of batch of its own.
type Batcher interface {
	// Batch returns how many events are best delivered together, and how long fewer may wait for more.
	Batch() (size int, linger time.Duration)
}

// Result is what became of one event. The zero Result means delivered.
type Result struct {
	Err    error         // why it was not delivered
	After  time.Duration // the destination asks not to be tried before that (Retry-After); 0 leaves it to the loop
	Poison bool          // this event will never be taken, others may be: it goes to the dead letters
}

// Retry is the result of an event that may be delivered later, not before after has passed.
func Retry(err error, after time.Duration) Result { return Result{Err: err, After: after} }

// Poison is the result of an event that the destination will never take.
func Poison(reason error) Result { return Result{Err: reason, Poison: true} }

// all is one result for n events.
func all(n int, r Result) []Result { return slices.Repeat([]Result{r}, n) }

// Settings are those of all destinations; each reads its own.
type Settings struct {
	File        FileConfig
	Webhook     WebhookConfig
	Helicone    HeliconeConfig
	Lunary      LunaryConfig
	S3          S3Config
	CloudWatch  CloudWatchConfig
	EventBridge EventBridgeConfig
	Ledger      LedgerConfig
}

// destinations is the table of what there is.
var destinations = []struct {
	name string
	open func(Settings) (Destination, error)
}{
	{"file", func(s Settings) (Destination, error) { return NewFile(s.File) }},
	{"webhook", func(s Settings) (Destination, error) { return NewWebhook(s.Webhook) }},
	{"helicone", func(s Settings) (Destination, error) { return NewHelicone(s.Helicone) }},
	{"lunary", func(s Settings) (Destination, error) { return NewLunary(s.Lunary) }},
	{"s3", func(s Settings) (Destination, error) { return NewS3(s.S3) }},
	{"cloudwatch", func(s Settings) (Destination, error) { return NewCloudWatch(s.CloudWatch) }},
	{"eventbridge", func(s Settings) (Destination, error) { return NewEventBridge(s.EventBridge) }},
	{"ledger", func(s Settings) (Destination, error) { return NewLedger(s.Ledger) }},
}

// Names returns the names of all destinations.
func Names() []string {
	var names []string
	for _, d := range destinations {
		names = append(names, d.name)
	}
	return names
}

// Open returns the destination of that name. It does no I/O.
func Open(name string, s Settings) (Destination, error) {
	for _, d := range destinations {
		if d.name == name {
			return d.open(s)
		}
	}
	return nil, fmt.Errorf("there is no destination %q; there are: %s", name, strings.Join(Names(), ", "))
}
