package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

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

// Queue keeps dead letters in an SQS queue: the body as it came, and why in the attributes reason, destination, event_id and receives.
type Queue struct {
	Client *sqs.Client
	URL    string
}

// Keep implements [Letters].
func (q *Queue) Keep(ctx context.Context, l Letter) error {
	attributes := map[string]sqstypes.MessageAttributeValue{}
	for name, value := range map[string]string{
		"reason": plain(l.Reason), "destination": l.Destination, "event_id": l.EventID, "receives": strconv.Itoa(l.Message.Receives),
	} {
		if value != "" {
			attributes[name] = sqstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
		}
	}
	_, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: &l.Message.Body, MessageAttributes: attributes})
	return err
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
