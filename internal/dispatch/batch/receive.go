package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
)

// ReceiverConfig joins the parts of a [Receiver]. Queue and Consumer are required.
type ReceiverConfig struct {
	Queue    *Queue
	Consumer *Consumer
	Size     int           // messages delivered together at most; 0 is 10
	Linger   time.Duration // how long a batch that is not full waits for more messages
	Hidden   time.Duration // for which others do not see what is in hand; it is prolonged while that is under way; 0 is a minute
	Timeout  time.Duration // of one batch; 0 is a minute
	Grace    time.Duration // that a batch has left when the receiver is to end; 0 is [dispatch.DefaultGrace]
	Log      *zap.Logger   // nil logs nothing

	Now func() time.Time // for what is told of times; nil is time.Now
}

// Receiver takes messages from a queue and has them delivered, as Lambda does for a function. Several may empty one queue.
type Receiver struct {
	cfg ReceiverConfig

	mu        sync.Mutex
	stats     dispatch.Stats     // but Dead and Retried, which the consumer counts
	delivered uint64             // messages done, dead letters among them
	left      uint64             // how often one was left to come again
	waiting   map[string]waiting // messages in hand or left to come again, by id
}

// waiting is a message that this receiver has seen and that is not done.
type waiting struct {
	since time.Time // when it came into the queue
	until time.Time // when it should have come again, had nobody else taken it
}

// NewReceiver returns a receiver. It does no I/O.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&cfg.Hidden, time.Minute}, {&cfg.Timeout, time.Minute}, {&cfg.Grace, dispatch.DefaultGrace}} {
		if *d.value == 0 {
			*d.value = d.otherwise
		}
	}
	if cfg.Size == 0 {
		cfg.Size = maxEntries
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Receiver{cfg: cfg, waiting: map[string]waiting{}}
}

// Delivered and Left return how many messages are done, those that went to the dead letters included, and how often one was left to come
// again.
func (r *Receiver) Delivered() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delivered
}

// Left is told of by Delivered.
func (r *Receiver) Left() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}

// Stats tells how it goes, at any time and as a loop tells it. Oldest is when the oldest message came into the queue of those that this
// receiver has in hand or has left to come again: what it has not seen yet, or another one has taken meanwhile, it does not know.
func (r *Receiver) Stats() dispatch.Stats {
	dead := r.cfg.Consumer.Dead() // before what is done, which has them
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Dead, s.Retried = dead, r.cfg.Consumer.Retried()
	s.Delivered = r.delivered - min(dead, r.delivered)
	r.forget()
	for _, w := range r.waiting {
		if s.Oldest.IsZero() || w.since.Before(s.Oldest) {
			s.Oldest = w.since
		}
	}
	return s
}

const (
	maxWaiting = 10_000          // bounds what is remembered of messages
	overdue    = 5 * time.Minute // after which a message that has not come again is another's, or a dead letter by the queue's own doing
)

// forget lets go of messages that have not come again.
func (r *Receiver) forget() {
	now := r.cfg.Now()
	maps.DeleteFunc(r.waiting, func(_ string, w waiting) bool { return now.After(w.until) })
}

// taken notes that messages are in hand.
func (r *Receiver) taken(batch []received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Pending = len(batch)
	r.forget()
	for _, m := range batch {
		if len(r.waiting) < maxWaiting && !m.since.IsZero() {
			r.waiting[m.ID] = waiting{m.since, r.cfg.Now().Add(r.cfg.Timeout + overdue)}
		}
	}
}

// ended notes what became of a batch: what is not in again is done.
func (r *Receiver) ended(batch []received, again map[string]Left) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	r.delivered += uint64(len(batch) - len(again))
	r.left += uint64(len(again))
	r.stats.Pending, r.stats.Failing = 0, len(again) > 0
	if len(batch) > len(again) {
		r.stats.LastDelivery = now
	}
	for _, m := range batch {
		left, ok := again[m.ID]
		if !ok {
			delete(r.waiting, m.ID)
			continue
		}
		r.stats.LastError, r.stats.LastErrorAt = left.Err.Error(), now
		if w, ok := r.waiting[m.ID]; ok {
			w.until = now.Add(left.After + overdue)
			r.waiting[m.ID] = w
		}
	}
}

// silent notes that the queue does not answer.
func (r *Receiver) silent(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Failing, r.stats.LastError, r.stats.LastErrorAt = true, err.Error(), r.cfg.Now()
}

// nothing notes that the queue has nothing to show. What was left may be hidden still: it is remembered until it is done.
func (r *Receiver) nothing() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forget(); len(r.waiting) == 0 {
		r.stats.Failing = false
	}
}

const (
	pollWait   = 20 * time.Second // for which a queue waits for a message, as long as SQS has it
	onceWait   = time.Second      // the same where nothing more is expected
	minBackoff = 500 * time.Millisecond
	maxBackoff = 30 * time.Second
	deleteIn   = 30 * time.Second // deleting and hiding may take so long, also when the receiver is to end
)

// Run delivers until ctx ends; the batch in hand then has the grace, and what is not delivered by its end is shown to others at once.
// With once it ends when the queue has nothing to show.
func (r *Receiver) Run(ctx context.Context, once bool) error {
	r.mu.Lock()
	r.stats.Since = r.cfg.Now()
	r.mu.Unlock()
	failures := 0
	for ctx.Err() == nil {
		messages, err := r.collect(ctx, once)
		switch {
		case len(messages) > 0:
			failures = 0
			r.deliver(ctx, messages)
		case ctx.Err() != nil:
		case err != nil:
			r.silent(err)
			if failures++; failures == 1 {
				r.cfg.Log.Warn("the queue does not answer; it is asked again", zap.String("queue", r.cfg.Queue.URL), zap.Error(err))
			}
			if once && failures >= tries {
				return err
			}
			wait(ctx, min(minBackoff<<min(failures, 10), maxBackoff))
		case once:
			return nil
		default:
			failures = 0
			r.nothing()
		}
	}
	return nil
}

// received is a message in hand.
type received struct {
	Message
	handle string
	since  time.Time // when it came into the queue; zero is unknown
}

// collect receives a batch. The first message is waited for; more are waited for until the batch is full or the time to linger is over.
// An error comes after the messages before it.
func (r *Receiver) collect(ctx context.Context, once bool) ([]received, error) {
	patience := pollWait
	if once {
		patience = onceWait
	}
	batch, err := r.receive(ctx, min(r.cfg.Size, maxEntries), patience)
	if len(batch) == 0 {
		return nil, err
	}
	full := len(batch) == maxEntries
	for end := time.Now().Add(r.cfg.Linger); len(batch) < r.cfg.Size; {
		left := max(time.Until(end), 0)
		if left == 0 && !full { // a call that was full may have left some, which need not be waited for
			break
		}
		more, err := r.receive(ctx, r.cfg.Size-len(batch), min(left, pollWait))
		if err != nil || len(more) == 0 && left < time.Second {
			break // the next batch says what is wrong
		}
		batch, full = append(batch, more...), len(more) == maxEntries
	}
	return batch, nil
}

func (r *Receiver) receive(ctx context.Context, most int, patience time.Duration) ([]received, error) {
	out, err := r.cfg.Queue.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &r.cfg.Queue.URL, MaxNumberOfMessages: int32(min(most, maxEntries)), WaitTimeSeconds: int32(patience / time.Second), VisibilityTimeout: int32(r.cfg.Hidden / time.Second),
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{
			sqstypes.MessageSystemAttributeNameApproximateReceiveCount, sqstypes.MessageSystemAttributeNameSentTimestamp,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("receive messages: %w", err)
	}
	messages := make([]received, len(out.Messages))
	for i, m := range out.Messages {
		receives, _ := strconv.Atoi(m.Attributes[string(sqstypes.MessageSystemAttributeNameApproximateReceiveCount)]) // 0 where it is not told
		messages[i] = received{Message: Message{ID: aws.ToString(m.MessageId), Body: aws.ToString(m.Body), Receives: receives}, handle: aws.ToString(m.ReceiptHandle)}
		if ms, err := strconv.ParseInt(m.Attributes[string(sqstypes.MessageSystemAttributeNameSentTimestamp)], 10, 64); err == nil {
			messages[i].since = time.UnixMilli(ms)
		}
	}
	return messages, nil
}

// deliver has a batch delivered, deletes what is done and hides the rest for as long as it is best left alone.
func (r *Receiver) deliver(ctx context.Context, batch []received) {
	r.taken(batch)
	delivering, cancel := dispatch.Ending(ctx, r.cfg.Timeout, r.cfg.Grace)
	defer cancel()
	prolonged := make(chan struct{})
	go func() {
		defer close(prolonged)
		r.prolong(delivering, batch)
	}()
	messages := make([]Message, len(batch))
	for i, m := range batch {
		messages[i] = m.Message
	}
	again := map[string]Left{}
	for _, left := range r.cfg.Consumer.Deliver(delivering, messages) {
		again[left.ID] = left
	}
	cancel()
	<-prolonged // it would hide anew what is to be seen soon

	var done []string
	var hide []Hidden
	for _, m := range batch {
		come, left := again[m.ID]
		switch {
		case !left:
			done = append(done, m.handle)
		case ctx.Err() != nil: // it had no fair try
			hide = append(hide, Hidden{Handle: m.handle})
		default:
			hide = append(hide, Hidden{Handle: m.handle, For: come.After})
		}
	}
	r.ended(batch, again)
	ending, cancelEnding := context.WithTimeout(context.WithoutCancel(ctx), deleteIn)
	defer cancelEnding()
	if err := r.cfg.Queue.Delete(ending, done); err != nil {
		r.cfg.Log.Warn("what was delivered could not be taken from the queue, and comes again", zap.Error(err))
	}
	if err := r.cfg.Queue.Hide(ending, hide); err != nil {
		r.cfg.Log.Warn("events that are to come later may come sooner", zap.Error(err))
	}
}

// prolong keeps a batch hidden from others until ctx ends.
func (r *Receiver) prolong(ctx context.Context, batch []received) {
	hide := make([]Hidden, len(batch))
	for i, m := range batch {
		hide[i] = Hidden{m.handle, r.cfg.Hidden}
	}
	for wait(ctx, r.cfg.Hidden/3) {
		if err := r.cfg.Queue.Hide(ctx, hide); err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			r.cfg.Log.Warn("others may see events that are being delivered here", zap.Error(err))
		}
	}
}
