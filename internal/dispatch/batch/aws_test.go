package batch_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
	"github.com/sofatutor/llm-proxy/internal/dispatch/batch"
)

// cloud is AWS as far as a handler plays it.
func cloud(t *testing.T, h http.HandlerFunc) aws.Config {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: awshttp.New(nil), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""),
	}
}

func TestADeadLetterSaysWhyInItsAttributes(t *testing.T) {
	var sent struct {
		QueueURL          string `json:"QueueUrl"`
		MessageBody       string
		MessageAttributes map[string]struct{ DataType, StringValue string }
	}
	cfg := cloud(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &sent)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{"MessageId":"1"}`)
	})
	q := &batch.Queue{Client: sqs.NewFromConfig(cfg), Dead: *cfg.BaseEndpoint + "/1/dead"}
	require.NoError(t, q.Keep(t.Context(), batch.Letter{
		Message: batch.Message{ID: "1", Body: "junk", Receives: 2}, Destination: "s3", Reason: "a\nreason \x00" + strings.Repeat("ä", 2000),
	}))
	require.Equal(t, "junk", sent.MessageBody)
	require.Equal(t, q.Dead, sent.QueueURL)
	require.Equal(t, "s3", sent.MessageAttributes["destination"].StringValue)
	require.Equal(t, "2", sent.MessageAttributes["receives"].StringValue)
	require.NotContains(t, sent.MessageAttributes, "event_id", "SQS takes no empty attribute")
	reason := sent.MessageAttributes["reason"].StringValue
	require.True(t, strings.HasPrefix(reason, "a reason  ä"), reason)
	require.Len(t, []rune(reason), 1024)
}

func TestARecordIsFetchedFromTheBucket(t *testing.T) {
	cfg := cloud(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bucket/events/a.json":
			_, _ = io.WriteString(w, "{}")
		case "/bucket/events/large.json":
			_, _ = w.Write(make([]byte, 9<<20))
		case "/bucket/events/broken.json":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code></Error>`)
		}
	})
	b := &batch.Bucket{Client: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }), Name: "bucket"}
	record, err := b.Fetch(t.Context(), "events/a.json")
	require.NoError(t, err)
	require.Equal(t, "{}", string(record))
	_, err = b.Fetch(t.Context(), "events/b.json")
	require.ErrorIs(t, err, batch.ErrGone)
	_, err = b.Fetch(t.Context(), "events/broken.json")
	require.Error(t, err)
	require.NotErrorIs(t, err, batch.ErrGone)
	_, err = b.Fetch(t.Context(), "events/large.json")
	require.ErrorContains(t, err, "larger than")
}
