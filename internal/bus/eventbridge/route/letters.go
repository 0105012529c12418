package route

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/tidwall/gjson"
)

// Letter is an event that the destination did not take.
type Letter struct {
	Time    time.Time // when it came into the queue of dead letters
	EventID string    // empty if the message is no event
	Reason  string    // empty if it came in vain too often: the dispatcher's log then has why
	Tries   int       // how often it had come by then; 0 is unknown
	Event   string    // as JSON; the message itself if it is no event

	handle string
	body   string
}

const (
	maxReceived = 10               // messages of one call
	looking     = 30 * time.Second // for which a letter that is looked at is hidden from others
	lookWait    = 1                // seconds for which a queue may look for letters: all of its parts are then asked
)

// Letters returns the dead letters. SQS shows messages only by handing them out, so each is hidden from others until the end, and
// nothing is to take dead letters away meanwhile.
func (r *Route) Letters(ctx context.Context) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		handles := map[string]string{} // by message: one that comes again, because reading takes long, has a new one
		defer func() { r.release(context.WithoutCancel(ctx), slices.Collect(maps.Values(handles))) }()
		for {
			letters, ids, err := r.receive(ctx, looking)
			if err != nil {
				yield(Letter{}, err)
				return
			}
			var fresh []Letter
			for i, l := range letters {
				if _, seen := handles[ids[i]]; !seen {
					fresh = append(fresh, l)
				}
				handles[ids[i]] = l.handle
			}
			for _, l := range fresh {
				if !yield(l, nil) {
					return
				}
			}
			if fresh == nil {
				return
			}
		}
	}
}

// receive takes some letters out for a while.
func (r *Route) receive(ctx context.Context, hidden time.Duration) (letters []Letter, ids []string, err error) {
	out, err := r.clients.Queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &r.Dead, MaxNumberOfMessages: maxReceived, WaitTimeSeconds: lookWait, VisibilityTimeout: int32(hidden / time.Second),
		MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameSentTimestamp},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look at dead letters in %s: %w", r.Dead, err)
	}
	for _, m := range out.Messages {
		l := Letter{handle: aws.ToString(m.ReceiptHandle), body: aws.ToString(m.Body), Event: aws.ToString(m.Body)}
		if detail := gjson.Get(l.body, "detail"); detail.IsObject() {
			l.Event, l.EventID = detail.Raw, detail.Get("id").Str
		}
		if a := m.MessageAttributes["reason"]; a.StringValue != nil {
			l.Reason = *a.StringValue
		}
		if a := m.MessageAttributes["receives"]; a.StringValue != nil {
			l.Tries, _ = strconv.Atoi(*a.StringValue) // 0 is unknown
		}
		if ms, err := strconv.ParseInt(m.Attributes[string(sqstypes.MessageSystemAttributeNameSentTimestamp)], 10, 64); err == nil {
			l.Time = time.UnixMilli(ms).UTC()
		}
		letters, ids = append(letters, l), append(ids, aws.ToString(m.MessageId))
	}
	return letters, ids, nil
}

// releaseIn is how long letters that were looked at may take to be shown again: a program that is to end waits for that.
const releaseIn = 10 * time.Second

// release shows letters again at once. Those that it fails at are shown again a little later, and keep no others from it.
func (r *Route) release(ctx context.Context, handles []string) {
	ctx, cancel := context.WithTimeout(ctx, releaseIn)
	defer cancel()
	for chunk := range slices.Chunk(handles, maxReceived) {
		in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &r.Dead}
		for i := range chunk {
			in.Entries = append(in.Entries, sqstypes.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &chunk[i], VisibilityTimeout: 0})
		}
		_, _ = r.clients.Queues.ChangeMessageVisibilityBatch(ctx, in)
	}
}

// What a task says of itself.
const (
	taskRunning   = "RUNNING"
	taskCompleted = "COMPLETED"
)

// pollEvery is how often a task of AWS is asked how far it is.
var pollEvery = 2 * time.Second

// StartRedrive begins to move the dead letters back into the queue and returns about how many there are. Where SQS has no such task, as
// what stands in for it on a laptop, they are moved by hand before it returns.
func (r *Route) StartRedrive(ctx context.Context) (letters int64, err error) {
	if letters, err = r.count(ctx, r.Dead); err != nil || letters == 0 {
		return 0, err
	}
	_, err = r.clients.Queues.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: &r.deadARN, DestinationArn: &r.queueARN})
	if unknownAction(err) {
		moved, err := r.moveByHand(ctx, letters)
		return moved, err
	}
	if err != nil {
		return 0, fmt.Errorf("move dead letters from %s: %w", r.Dead, err)
	}
	return letters, nil
}

// AwaitRedrive waits until the dead letters are moved, and tells now and then how many are. When ctx ends the task goes on.
func (r *Route) AwaitRedrive(ctx context.Context, progress func(moved int64)) error {
	for {
		task, err := r.task(ctx)
		switch {
		case unknownAction(err), err == nil && task == nil: // it was done by hand
			return nil
		case err != nil:
			return err
		}
		progress(task.ApproximateNumberOfMessagesMoved)
		switch status := aws.ToString(task.Status); status {
		case taskRunning:
		case taskCompleted:
			return nil
		default:
			return fmt.Errorf("moving dead letters from %s: %s: %s", r.Dead, status, aws.ToString(task.FailureReason))
		}
		if err := wait(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// task is the newest move of dead letters; nil if there never was one.
func (r *Route) task(ctx context.Context) (*sqstypes.ListMessageMoveTasksResultEntry, error) {
	out, err := r.clients.Queues.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: &r.deadARN, MaxResults: aws.Int32(1)})
	if err != nil {
		return nil, fmt.Errorf("ask how far dead letters from %s are: %w", r.Dead, err)
	}
	if len(out.Results) == 0 {
		return nil, nil
	}
	return &out.Results[0], nil
}

// moveByHand moves as many dead letters as there were: what comes back meanwhile stays. A kill leaves a letter in both queues at worst.
func (r *Route) moveByHand(ctx context.Context, most int64) (moved int64, err error) {
	for moved < most {
		letters, _, err := r.receive(ctx, looking)
		if err != nil || len(letters) == 0 {
			return moved, err
		}
		for i, l := range letters {
			if err := r.moveOne(ctx, l); err != nil {
				var left []string
				for _, l := range letters[i:] {
					left = append(left, l.handle)
				}
				r.release(context.WithoutCancel(ctx), left)
				return moved, err
			}
			moved++
		}
	}
	return moved, nil
}

func (r *Route) moveOne(ctx context.Context, l Letter) error {
	if _, err := r.clients.Queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &r.Queue, MessageBody: &l.body}); err != nil {
		return fmt.Errorf("move a dead letter to %s: %w", r.Queue, err)
	}
	if _, err := r.clients.Queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &r.Dead, ReceiptHandle: &l.handle}); err != nil {
		return fmt.Errorf("move a dead letter from %s: %w", r.Dead, err)
	}
	return nil
}

// unknownAction reports whether SQS has no such call.
func unknownAction(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "InvalidAction" || api.ErrorCode() == "UnknownOperationException")
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
