package cloud_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
	"github.com/sofatutor/llm-proxy/internal/demo/cloud"
)

// serve starts an account and returns how AWS's own SDK reaches it.
func serve(t *testing.T, c *cloud.Cloud) aws.Config {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("fake", "fake", ""),
		HTTPClient: awshttp.New(nil), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
}

func TestTheSDKFindsBusQueueBucketAndSecrets(t *testing.T) {
	var told atomic.Int64
	c := &cloud.Cloud{Secrets: map[string]string{"sealing": "fake"}, Took: func(cloud.Place, cloud.Record) { told.Add(1) }}
	config := serve(t, c)

	sent, err := eventbridge.NewFromConfig(config).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{
		{EventBusName: aws.String("mine"), Detail: aws.String(`{"id":1}`)},
		{Detail: aws.String(`{"id":2}`)},
		{Detail: aws.String(`{"id":4}`), DetailType: aws.String("audit")},
	}})
	require.NoError(t, err)
	require.Len(t, sent.Entries, 3)
	require.JSONEq(t, `{"id":4}`, string(c.Records(cloud.Audit)[0].JSON))
	require.NotNil(t, sent.Entries[1].EventId)
	require.Len(t, c.Records(cloud.Bus), 2)
	require.Equal(t, "mine", c.Records(cloud.Bus)[0].By)
	require.JSONEq(t, `{"id":2}`, string(c.Records(cloud.Bus)[1].JSON))

	_, err = sqs.NewFromConfig(config).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String("http://queue"), MessageBody: aws.String(`{"detail":{"id":3}}`)})
	require.NoError(t, err, "the SDK checks the sum of the message")
	require.JSONEq(t, `{"id":3}`, string(c.Records(cloud.Queue)[0].JSON))
	require.Equal(t, "http://queue", c.Records(cloud.Queue)[0].By)
	require.EqualValues(t, 4, told.Load())

	buckets := s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true })
	_, err = buckets.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bodies"), Key: aws.String("events/a.json"), Body: bytes.NewReader([]byte("body"))})
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"bodies/events/a.json": []byte("body")}, c.Objects())

	secrets := secretsmanager.NewFromConfig(config)
	value, err := secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("sealing")})
	require.NoError(t, err)
	require.Equal(t, "fake", *value.SecretString)
	for name, stage := range map[string]string{"other": "AWSCURRENT", "sealing": "AWSPREVIOUS"} {
		_, err = secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &stage})
		require.ErrorContains(t, err, "ResourceNotFoundException")
	}
	_, err = secrets.ListSecrets(t.Context(), nil)
	require.ErrorContains(t, err, "UnknownOperationException")
}

func TestABucketKeepsWhatItIsGivenUntilItIsDeleted(t *testing.T) {
	c := &cloud.Cloud{}
	client := s3.NewFromConfig(serve(t, c), func(o *s3.Options) { o.UsePathStyle = true })
	bucket := aws.String("site")
	for _, key := range []string{"index.html", "assets/a&b.js"} {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: bucket, Key: &key, Body: bytes.NewReader([]byte(key)), ContentType: aws.String("text/x-fake"), CacheControl: aws.String("no-cache"),
		})
		require.NoError(t, err)
	}
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("other"), Key: aws.String("k")})
	require.NoError(t, err)
	got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("assets/a&b.js")})
	require.NoError(t, err)
	body, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	require.Equal(t, []string{"assets/a&b.js", "text/x-fake", "no-cache"}, []string{string(body), *got.ContentType, *got.CacheControl})
	_, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("not-there")})
	require.ErrorContains(t, err, "AccessDenied")

	listed, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket})
	require.NoError(t, err)
	require.Len(t, listed.Contents, 2)
	versions, err := client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: bucket})
	require.NoError(t, err)
	require.Len(t, versions.Versions, 2)
	require.Equal(t, "assets/a&b.js", *versions.Versions[0].Key)
	_, err = client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: bucket, Delete: &s3types.Delete{Objects: []s3types.ObjectIdentifier{{Key: versions.Versions[0].Key, VersionId: versions.Versions[0].VersionId}}}})
	require.NoError(t, err)
	require.Equal(t, []string{"other/k", "site/index.html"}, slices.Sorted(maps.Keys(c.Objects())))
}

func TestWhatIsIllAnswersNothingAndTakesNothing(t *testing.T) {
	c := &cloud.Cloud{Secrets: map[string]string{"sealing": "fake"}}
	config := serve(t, c)
	c.Make(cloud.Illness{Bus: true, Queue: true, Bucket: true, Secrets: true})
	_, err := eventbridge.NewFromConfig(config).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{Detail: aws.String("{}")}}})
	require.Error(t, err)
	_, err = sqs.NewFromConfig(config).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String("http://queue"), MessageBody: aws.String(`{}`)})
	require.Error(t, err)
	_, err = s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true }).PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	require.Error(t, err)
	_, err = secretsmanager.NewFromConfig(config).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("sealing")})
	require.Error(t, err)
	require.Empty(t, c.Records(cloud.Bus))
	require.Empty(t, c.Records(cloud.Queue))
	require.Empty(t, c.Objects())

	held := make(chan struct{})
	c.Make(cloud.Illness{Hold: held})
	done := make(chan error, 1)
	go func() {
		_, err := eventbridge.NewFromConfig(config).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{Detail: aws.String("{}")}}})
		done <- err
	}()
	require.Empty(t, c.Records(cloud.Bus))
	close(held)
	require.NoError(t, <-done)
	require.Len(t, c.Records(cloud.Bus), 1)
}

func TestACallThatIsNoneIsRefused(t *testing.T) {
	c := &cloud.Cloud{}
	for target, body := range map[string]string{"AWSEvents.PutEvents": "{", "AmazonSQS.SendMessage": "{", "secretsmanager.GetSecretValue": "{"} {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte(body)))
		r.Header.Set("X-Amz-Target", target)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		require.Equal(t, http.StatusBadRequest, w.Code, target)
	}
	r := httptest.NewRequest(http.MethodPut, "/bucket/key", bytes.NewReader([]byte("4\r\nbody")))
	r.Header.Set("Content-Encoding", "aws-chunked")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	require.Equal(t, http.StatusNotImplemented, w.Code, "it would keep what is no body")
}
