// Package awshttp is how the clients of AWS's SDK send their requests.
//
// The SDK closes a request's body as soon as the answer's head is there, and a body of its that is closed ends with an error where
// net/http asks it for more than it announced (io.EOF from WriteTo, which no [io.WriterTo] may return; smithy-go 1.28). An answer that is
// quicker than that question then loses its connection while it is read: "use of closed network connection". What comes of it is a call
// that was done and is not known to be, which a spend must not be for such a reason.
package awshttp

import (
	"bytes"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awstransport "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// maxCopied is the largest body that is copied: net/http knows the copy as one that does not block, and writes it behind the request's head
// without a write of its own for that. Larger ones pass as they are read.
const maxCopied = 64 << 10

// New returns a client that sends through c, or in the SDK's own way if c is nil.
func New(c aws.HTTPClient) aws.HTTPClient {
	switch c := c.(type) {
	case nil:
		return client{awstransport.NewBuildableClient()}
	case client:
		return c
	default:
		return client{c}
	}
}

type client struct{ aws.HTTPClient }

// Do implements [aws.HTTPClient].
func (c client) Do(r *http.Request) (*http.Response, error) {
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case 0 < r.ContentLength && r.ContentLength <= maxCopied:
		whole := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, whole); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(whole))
	default:
		r.Body = onlyRead{r.Body}
	}
	return c.HTTPClient.Do(r)
}

// onlyRead hides that a body may also be an [io.WriterTo].
type onlyRead struct{ io.ReadCloser }
