package eventbridge

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Bus is what a publisher asks of EventBridge.
type Bus interface {
	PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, opts ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// Queue is what a publisher asks of SQS.
type Queue interface {
	SendMessage(ctx context.Context, in *sqs.SendMessageInput, opts ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

// Bucket is what a publisher asks of S3.
type Bucket interface {
	PutObject(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Config joins the parts of a [Publisher]. All of them are required but Patience and Log.
type Config struct {
	Bus        Bus
	BusName    string
	Queue      Queue
	QueueURL   string
	Bucket     Bucket
	BucketName string
	Lines      io.Writer // the log: standard output on Lambda. Each line is one write

	// Patience is how long one call waits for its answer, where a flush has three times as long; else a third of that. The zero value
	// is a second.
	Patience time.Duration
	// Log is told why events did not reach the bus. Nil tells nobody.
	Log *zap.Logger
}

// Publisher takes events and sends them to a bus. Its methods are safe for concurrent use.
type Publisher struct {
	cfg    Config
	insist time.Duration // how long the bus is asked again after it first refused

	linesMu sync.Mutex

	mu     sync.Mutex
	queue  []*llmproxy.Event
	queued int // bytes of bodies in it
	stats  Stats
}

// Stats counts what became of events.
type Stats struct {
	Published int64 // taken by the bus
	Spilled   int64 // taken by the queue
	Logged    int64 // left in the log, without their bodies
	Failed    int64 // lines that the log did not take
	Stripped  int64 // published without their bodies, which were too large for the bus and could not be stored
}

// maxQueued is how many bytes of bodies wait for a flush at most. An event beyond it goes to the log at once.
const maxQueued = 32 << 20

// New returns a publisher; an error names what the configuration lacks.
func New(cfg Config) (*Publisher, error) {
	var missing []string
	for name, is := range map[string]bool{
		"Bus": cfg.Bus != nil, "BusName": cfg.BusName != "", "Queue": cfg.Queue != nil, "QueueURL": cfg.QueueURL != "",
		"Bucket": cfg.Bucket != nil, "BucketName": cfg.BucketName != "", "Lines": cfg.Lines != nil,
	} {
		if !is {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		slices.Sort(missing)
		return nil, fmt.Errorf("event publisher lacks %s", strings.Join(missing, ", "))
	}
	if cfg.Patience == 0 {
		cfg.Patience = time.Second
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Publisher{cfg: cfg, insist: insist}, nil
}

// Begin notes in the log that a request was admitted.
func (p *Publisher) Begin(b *llmproxy.Begin) { p.line(b.AppendJSON(make([]byte, 0, 384))) }

// Publish takes the event of a request that has ended, to be sent by the next flush.
func (p *Publisher) Publish(e *llmproxy.Event) {
	size := bodyBytes(e)
	p.mu.Lock()
	if p.queued+size > maxQueued {
		p.mu.Unlock()
		p.leaveInLog(e)
		return
	}
	p.queued += size
	p.mu.Unlock()
	c := clone(e) // not under the lock
	p.mu.Lock()
	p.queue = append(p.queue, c)
	p.mu.Unlock()
}

// Stats returns the counts since the publisher was made.
func (p *Publisher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

func (p *Publisher) count(add func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add(&p.stats)
}

// take empties the queue.
func (p *Publisher) take() []*llmproxy.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.queue
	p.queue, p.queued = nil, 0
	return all
}

// line writes one line to the log. It may be called from within a request: the log is a pipe or a file.
func (p *Publisher) line(b []byte) {
	p.linesMu.Lock()
	_, err := p.cfg.Lines.Write(append(b, '\n'))
	p.linesMu.Unlock()
	if err != nil {
		p.count(func(s *Stats) { s.Failed++ })
	}
}

func bodyBytes(e *llmproxy.Event) int {
	n := 0
	for _, b := range []*llmproxy.Body{e.Request.Body, e.Response.Body} {
		if b != nil {
			n += len(b.Head) + len(b.Tail)
		}
	}
	return n
}

// clone copies an event with all that is its caller's again later.
func clone(e *llmproxy.Event) *llmproxy.Event {
	c := *e
	for _, m := range []*llmproxy.Message{&c.Request, &c.Response} {
		m.Headers = slices.Clone(m.Headers)
		if b := m.Body; b != nil {
			m.Body = &llmproxy.Body{Head: slices.Clone(b.Head), Tail: slices.Clone(b.Tail), Size: b.Size, S3: b.S3}
		}
	}
	if c.Usage != nil {
		usage := *c.Usage
		c.Usage = &usage
	}
	return &c
}
