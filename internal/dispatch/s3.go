package dispatch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// S3Config says where in S3 events are kept.
type S3Config struct {
	Bucket    string
	Prefix    string        // of the keys; "" is "events/"
	Bodies    bool          // records have the captured bodies
	Linger    time.Duration // how long events wait to be put together; 0 is 1 minute
	AWS       AWSConfig     //
	PathStyle bool          // for stores that speak S3 and know no names of buckets in hosts
}

// putObject is what is asked of S3.
type putObject interface {
	PutObject(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// S3 writes events as lines of JSON, compressed, one object for the events of a batch that share an hour: prefix, dt=2026-11-22/hour=08/,
// a name made from the ids of its events, .jsonl.gz. The hour is that of the event's time, in UTC. The same batch writes the same
// object again; an event may stand in two of them, which readers tell by its id.
type S3 struct {
	cfg    S3Config
	client putObject
}

// NewS3 returns the S3 destination.
func NewS3(cfg S3Config) (*S3, error) {
	if cfg.Bucket == "" {
		return nil, errors.New("the s3 destination needs a bucket")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "events/"
	}
	if !strings.HasSuffix(cfg.Prefix, "/") {
		cfg.Prefix += "/"
	}
	cfg.Linger = orDefault(cfg.Linger, time.Minute)
	return &S3{cfg: cfg}, nil
}

// WantsBodies implements [Destination].
func (s *S3) WantsBodies() bool { return s.cfg.Bodies }

// Batch implements [Batcher]: few objects are read sooner than many.
func (s *S3) Batch() (int, time.Duration) { return 10_000, s.cfg.Linger }

// Start implements [Destination].
func (s *S3) Start(ctx context.Context, _ []byte) error {
	cfg, err := s.cfg.AWS.load(ctx)
	if err != nil {
		return err
	}
	s.client = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = s.cfg.PathStyle })
	return nil
}

// Deliver implements [Destination].
func (s *S3) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	results := make([]Result, len(events))
	hours := map[string][]int{} // places of the events of each hour
	var order []string
	for i, e := range events {
		hour := e.Time.UTC().Format("dt=2006-01-02/hour=15/")
		if hours[hour] == nil {
			order = append(order, hour)
		}
		hours[hour] = append(hours[hour], i)
	}
	for _, hour := range order {
		r := s.put(ctx, hour, events, hours[hour])
		for _, i := range hours[hour] {
			results[i] = r
		}
	}
	return results
}

func (s *S3) put(ctx context.Context, hour string, events []*llmproxy.Event, places []int) Result {
	var object bytes.Buffer
	z := gzip.NewWriter(&object)
	var line []byte
	picked := make([]*llmproxy.Event, 0, len(places))
	for _, i := range places {
		e := events[i]
		picked = append(picked, e)
		if line = line[:0]; s.cfg.Bodies {
			line = e.AppendJSON(line)
		} else {
			line = e.AppendMeta(line)
		}
		if _, err := z.Write(append(line, '\n')); err != nil {
			return Retry(err, 0)
		}
	}
	if err := z.Close(); err != nil {
		return Retry(err, 0)
	}
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.cfg.Bucket, Key: aws.String(s.cfg.Prefix + hour + nameOf(picked) + ".jsonl.gz"),
		Body: bytes.NewReader(object.Bytes()), ContentType: aws.String("application/gzip"),
	})
	if err != nil {
		return awsFailed(fmt.Errorf("put events into s3://%s: %w", s.cfg.Bucket, err))
	}
	return Result{}
}

// Note implements [Destination].
func (s *S3) Note() []byte { return nil }

// Close implements [Destination].
func (s *S3) Close() error { return nil }
