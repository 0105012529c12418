package lambdahttp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Event is an HTTP request as Lambda is given it: payload version 2.0, of a function URL or of an API Gateway HTTP API. Fields that
// no request is made of are left out.
type Event struct {
	RawPath         string       `json:"rawPath"`
	RawQueryString  string       `json:"rawQueryString"`
	Cookies         []string     `json:"cookies"`
	Headers         Headers      `json:"headers"`
	RequestContext  eventContext `json:"requestContext"`
	Body            string       `json:"body"`
	IsBase64Encoded bool         `json:"isBase64Encoded"`
}

type eventContext struct {
	DomainName string    `json:"domainName"`
	HTTP       eventHTTP `json:"http"`
}

type eventHTTP struct {
	Method   string `json:"method"`
	SourceIP string `json:"sourceIp"`
}

// ofFunctionURL reports whether the event came through a function URL: the one door that takes an answer as a stream.
func (e *Event) ofFunctionURL() bool {
	return strings.Contains(e.RequestContext.DomainName, ".lambda-url.")
}

// errMalformed is an event that net/http would not have read as a request either.
var errMalformed = errors.New("malformed request")

// request makes the request that a server would have read from the connection.
func (e *Event) request(ctx context.Context) (*http.Request, error) {
	if !httpguts.ValidHeaderFieldName(e.RequestContext.HTTP.Method) { // a method is a token, as a field name is
		return nil, fmt.Errorf("%w: method %q", errMalformed, e.RequestContext.HTTP.Method)
	}
	r := (&http.Request{
		Method:     e.RequestContext.HTTP.Method,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Host:       e.host(),
		RemoteAddr: net.JoinHostPort(e.RequestContext.HTTP.SourceIP, "0"), // the caller's port is not told
	}).WithContext(ctx)
	var err error
	if r.URL, r.RequestURI, err = e.target(); err != nil {
		return nil, err
	}
	if r.Header, err = e.header(); err != nil {
		return nil, err
	}
	if r.Body, r.ContentLength, err = e.body(); err != nil {
		return nil, err
	}
	return r, nil
}

// host is what the caller asked for, as the platform saw it. Nothing else in an event changes it.
func (e *Event) host() string {
	if host := e.Headers.host; httpguts.ValidHostHeader(host) && host != "" {
		return host
	}
	return e.RequestContext.DomainName
}

// target makes the URL and the raw target. The URL has no host, as that of any origin-form target, so a path that begins with two
// slashes or looks like a URL stays a path.
func (e *Event) target() (*url.URL, string, error) {
	u := &url.URL{Path: e.RawPath, RawQuery: e.RawQueryString}
	raw := e.RawPath
	if e.ofFunctionURL() {
		path, err := url.PathUnescape(e.RawPath)
		if err != nil {
			return nil, "", fmt.Errorf("%w: path: %w", errMalformed, err)
		}
		u.Path = path
		if u.EscapedPath() != raw {
			u.RawPath = raw
		}
	} else {
		raw = u.EscapedPath() // an HTTP API has decoded the path, and it must not be decoded twice
	}
	if e.RawQueryString != "" {
		raw += "?" + e.RawQueryString
	}
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] == 0x7f {
			return nil, "", fmt.Errorf("%w: a control character or space in the target", errMalformed)
		}
	}
	return u, raw, nil
}

// header has the header lines, with the cookies that the event tells apart from them.
func (e *Event) header() (http.Header, error) {
	if e.Headers.malformed {
		return nil, fmt.Errorf("%w: a header", errMalformed)
	}
	h := e.Headers.lines
	if h == nil {
		h = http.Header{}
	}
	if len(e.Cookies) > 0 {
		cookie := strings.Join(e.Cookies, "; ")
		if !httpguts.ValidHeaderFieldValue(cookie) {
			return nil, fmt.Errorf("%w: cookies", errMalformed)
		}
		h["Cookie"] = []string{cookie}
	}
	return h, nil
}

// body is decoded here, once, so that its length is known.
func (e *Event) body() (io.ReadCloser, int64, error) {
	text := e.Body
	if e.IsBase64Encoded {
		raw, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: body: %w", errMalformed, err)
		}
		return newBody(raw)
	}
	return newBody(text)
}

func newBody[T string | []byte](content T) (io.ReadCloser, int64, error) {
	if len(content) == 0 {
		return http.NoBody, 0, nil
	}
	return &requestBody[T]{content: content}, int64(len(content)), nil
}

// errBodyClosed is what reading gives after Close, as of a request read from a connection.
var errBodyClosed = http.ErrBodyReadAfterClose

// requestBody is a body that is all there.
type requestBody[T string | []byte] struct {
	content T
	closed  bool
}

// Read implements [io.Reader].
func (b *requestBody[T]) Read(p []byte) (int, error) {
	if b.closed {
		return 0, errBodyClosed
	}
	n := copy(p, b.content)
	b.content = b.content[n:]
	if len(b.content) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Close implements [io.Closer].
func (b *requestBody[T]) Close() error {
	b.closed = true
	return nil
}
