package awshttp_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
)

// An upstream that answers before the connection's writer has seen the body's end, every time: the write of the body's last byte returns
// only when the answer is being read.
type quick struct {
	net.Conn
	left   int           // bytes that the request still has
	answer chan struct{} // closed when the answer is being read
}

func (c *quick) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.left -= bytes.Count(p[:n], []byte("*")); c.left == 0 {
		<-c.answer
	}
	return n, err
}

type told struct {
	io.ReadCloser
	tell func()
}

func (b told) Read(p []byte) (int, error) {
	b.tell()
	return b.ReadCloser.Read(p)
}

// call puts an object of so many bytes and returns what the SDK says of the answer.
func call(t *testing.T, size int, wrap func(aws.HTTPClient) aws.HTTPClient) error {
	t.Helper()
	answer := make(chan struct{})
	tell := sync.OnceFunc(func() { close(answer) })
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(io.LimitReader(r.Body, int64(size)))
		if err != nil || strings.Trim(string(got), "*") != "" || len(got) != size {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusConflict) // an error has a body that is read
		w.(http.Flusher).Flush()
		<-answer
		time.Sleep(20 * time.Millisecond) // so long a writer has to break the connection that nobody is to break
		_, _ = io.WriteString(w, "<Error><Code>Told</Code></Error>")
	}))
	defer upstream.Close()
	defer tell()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &quick{Conn: c, left: size, answer: answer}, err
	}}
	defer transport.CloseIdleConnections()
	sender := wrap(doer(func(r *http.Request) (*http.Response, error) {
		resp, err := transport.RoundTrip(r)
		if err == nil {
			resp.Body = told{resp.Body, tell}
		}
		return resp, err
	}))
	objects := s3.New(s3.Options{
		Region: "eu-central-1", BaseEndpoint: &upstream.URL, UsePathStyle: true, HTTPClient: sender, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""), RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
	_, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader(strings.Repeat("*", size))})
	return err
}

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnAnswerThatIsQuickerThanTheBodysEndIsReadWhole(t *testing.T) {
	for _, size := range []int{1, 1 << 10, 64 << 10, 64<<10 + 1, 300 << 10} {
		require.ErrorContains(t, call(t, size, awshttp.New), "Told", size)
	}
}

// When this fails the SDK has been mended, and this package may go.
func TestTheSDKAloneLosesSuchAnAnswer(t *testing.T) {
	itself := func(c aws.HTTPClient) aws.HTTPClient { return c }
	require.ErrorContains(t, call(t, 1<<10, itself), "use of closed network connection")
}

func TestASmallBodyGoesOutWithItsHeadInOneWrite(t *testing.T) {
	var writes int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &counted{c, &writes}, err
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, struct{ io.Reader }{strings.NewReader("body")})
	require.NoError(t, err)
	r.ContentLength = 4
	resp, err := awshttp.New(&http.Client{Transport: transport}).Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "body", string(body))
	require.Equal(t, 1, writes)
}

type counted struct {
	net.Conn
	writes *int
}

func (c *counted) Write(p []byte) (int, error) {
	*c.writes++
	return c.Conn.Write(p)
}

func TestABodyThatEndsEarlyIsNotSent(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:1/", strings.NewReader("four"))
	r.ContentLength = 5
	_, err := awshttp.New(nil).Do(r)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestAClientIsWrappedOnce(t *testing.T) {
	c := awshttp.New(nil)
	require.Equal(t, c, awshttp.New(c))
}
