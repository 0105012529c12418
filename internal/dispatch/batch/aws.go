package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// maxRecord bounds what is read of a record: what capture keeps is far less.
const maxRecord = 8 << 20

// maxReason is how much of a reason stands in an attribute.
const maxReason = 1024

// Queue is an SQS queue that messages come from, and that of its dead letters.
type Queue struct {
	Client *sqs.Client
	URL    string
	Dead   string // URL
}

// Keep implements [Letters]: the body as it came, and why in the attributes reason, destination, event_id and receives.
func (q *Queue) Keep(ctx context.Context, l Letter) error {
	attributes := map[string]sqstypes.MessageAttributeValue{}
	for name, value := range map[string]string{
		"reason": plain(l.Reason), "destination": l.Destination, "event_id": l.EventID, "receives": strconv.Itoa(l.Message.Receives),
	} {
		if value != "" {
			attributes[name] = sqstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
		}
	}
	_, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.Dead, MessageBody: &l.Message.Body, MessageAttributes: attributes})
	return err
}

// maxEntries is how many messages one call names at most.
const maxEntries = 10

// Hidden is a message that others are not to see for a while.
type Hidden struct {
	Handle string // its receipt
	For    time.Duration
}

// Hide hides messages that were received, in whole seconds and for 12 hours at most, from now on. Those that could not be hidden come
// when their time is over; an error names one.
func (q *Queue) Hide(ctx context.Context, messages []Hidden) error {
	var errs []error
	for chunk := range slices.Chunk(messages, maxEntries) {
		in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.URL}
		for i, m := range chunk {
			seconds := int32(min(max(m.For+time.Second-1, 0), maxAfter) / time.Second)
			in.Entries = append(in.Entries, sqstypes.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &m.Handle, VisibilityTimeout: seconds})
		}
		out, err := q.Client.ChangeMessageVisibilityBatch(ctx, in)
		if err == nil && len(out.Failed) > 0 {
			err = entryError(out.Failed[0])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("hide messages: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Delete removes messages that are done, by their receipts. Those that could not be removed come again; an error names one.
func (q *Queue) Delete(ctx context.Context, handles []string) error {
	var errs []error
	for chunk := range slices.Chunk(handles, maxEntries) {
		in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.URL}
		for i := range chunk {
			in.Entries = append(in.Entries, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &chunk[i]})
		}
		out, err := q.Client.DeleteMessageBatch(ctx, in)
		if err == nil && len(out.Failed) > 0 {
			err = entryError(out.Failed[0])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("delete messages: %w", err))
		}
	}
	return errors.Join(errs...)
}

func entryError(e sqstypes.BatchResultErrorEntry) error {
	return fmt.Errorf("%s: %s", aws.ToString(e.Code), aws.ToString(e.Message))
}

// plain is a text that SQS takes as an attribute: no control characters, no broken ones, not too long.
func plain(text string) string {
	var out []rune
	for _, r := range text {
		if len(out) == maxReason {
			break
		}
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}

// Bucket has records in S3.
type Bucket struct {
	Client *s3.Client
	Name   string
}

// Fetch implements [Records].
func (b *Bucket) Fetch(ctx context.Context, key string) ([]byte, error) {
	out, err := b.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Name, Key: &key})
	var gone *s3types.NoSuchKey
	if errors.As(err, &gone) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Body.Close() }() // it was only read
	record, err := io.ReadAll(io.LimitReader(out.Body, maxRecord+1))
	if err == nil && len(record) > maxRecord {
		err = fmt.Errorf("it is larger than %d bytes", maxRecord)
	}
	return record, err
}
