package batch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/zap"
)

// ReceiverConfig joins the parts of a [Receiver]. Queue and Consumer are required.
type ReceiverConfig struct {
	Queue    *Queue
	Consumer *Consumer
	Size     int           // messages delivered together at most; 0 is 10
	Linger   time.Duration // how long a batch that is not full waits for more messages
	Hidden   time.Duration // for which others do not see what is in hand; it is prolonged while that is under way; 0 is a minute
	Timeout  time.Duration // of one batch; 0 is a minute
	Grace    time.Duration // that a batch has left when the receiver is to end; 0 is 10 s
	Log      *zap.Logger   // nil logs nothing
}

// Receiver takes messages from a queue and has them delivered, as Lambda does for a function. Several may empty one queue.
type Receiver struct {
	cfg       ReceiverConfig
	delivered uint64
	left      uint64
}

// NewReceiver returns a receiver. It does no I/O.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&cfg.Hidden, time.Minute}, {&cfg.Timeout, time.Minute}, {&cfg.Grace, 10 * time.Second}} {
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
	return &Receiver{cfg: cfg}
}

// Delivered and Left return how many messages are done, those that went to the dead letters included, and how often one was left to come
// again. They are for when Run has ended.
func (r *Receiver) Delivered() uint64 { return r.delivered }

// Left is told of by Delivered.
func (r *Receiver) Left() uint64 { return r.left }

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
	failures := 0
	for ctx.Err() == nil {
		messages, err := r.collect(ctx, once)
		switch {
		case len(messages) > 0:
			failures = 0
			r.deliver(ctx, messages)
		case ctx.Err() != nil:
		case err != nil:
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
		}
	}
	return nil
}

// received is a message in hand.
type received struct {
	Message
	handle string
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
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameApproximateReceiveCount},
	})
	if err != nil {
		return nil, fmt.Errorf("receive messages: %w", err)
	}
	messages := make([]received, len(out.Messages))
	for i, m := range out.Messages {
		receives, _ := strconv.Atoi(m.Attributes[string(sqstypes.MessageSystemAttributeNameApproximateReceiveCount)]) // 0 where it is not told
		messages[i] = received{Message{ID: aws.ToString(m.MessageId), Body: aws.ToString(m.Body), Receives: receives}, aws.ToString(m.ReceiptHandle)}
	}
	return messages, nil
}

// deliver has a batch delivered, deletes what is done and hides the rest for as long as it is best left alone.
func (r *Receiver) deliver(ctx context.Context, batch []received) {
	delivering, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(r.cfg.Grace, cancel) })
	prolonged := make(chan struct{})
	go func() {
		defer close(prolonged)
		r.prolong(delivering, batch)
	}()
	messages := make([]Message, len(batch))
	for i, m := range batch {
		messages[i] = m.Message
	}
	again := map[string]time.Duration{}
	for _, left := range r.cfg.Consumer.Deliver(delivering, messages) {
		again[left.ID] = left.After
	}
	stop()
	cancel()
	<-prolonged // it would hide anew what is to be seen soon

	var done []string
	var hide []Hidden
	for _, m := range batch {
		after, left := again[m.ID]
		switch {
		case !left:
			done = append(done, m.handle)
		case ctx.Err() != nil: // it had no fair try
			hide = append(hide, Hidden{Handle: m.handle})
		default:
			hide = append(hide, Hidden{Handle: m.handle, For: after})
		}
	}
	r.delivered += uint64(len(done))
	r.left += uint64(len(hide))
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
