package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// maxBody is how many bytes of a request are read.
const maxBody = 64 << 20

// New returns the stand-in provider. It is safe for concurrent use.
func New(opts ...Option) http.Handler { return newProvider(opts) }

// Option is a setting of the stand-in provider.
type Option func(*provider)

type provider struct {
	usual  behaviour       // what every request asks for, before its own header
	hold   <-chan struct{} // see [Hold]
	born   int64           // when it began, Unix seconds: the time of all answers, so that the same question gets the same bytes
	number atomic.Int64
	files  files
	turns  turns
	err    error // of an option
}

func newProvider(opts []Option) *provider {
	p := &provider{born: time.Now().Unix()}
	for _, o := range opts {
		o(p)
	}
	return p
}

// route is an endpoint and where it stands. A {segment} of its path matches any one.
type route struct {
	method, path string
	answer       func(*provider, *call) answer
	anthropic    bool // errors have Anthropic's shape
}

var routes = []route{
	{method: "POST", path: "/v1/chat/completions", answer: chat},
	{method: "POST", path: "/v1/responses", answer: responses},
	{method: "POST", path: "/v1/completions", answer: completions},
	{method: "POST", path: "/v1/embeddings", answer: embeddings},
	{method: "POST", path: "/v1/moderations", answer: moderations},
	{method: "GET", path: "/v1/models", answer: listModels},
	{method: "GET", path: "/v1/models/{id}", answer: oneModel},
	{method: "POST", path: "/v1/files", answer: uploadFile},
	{method: "GET", path: "/v1/files", answer: listFiles},
	{method: "GET", path: "/v1/files/{id}", answer: oneFile},
	{method: "GET", path: "/v1/files/{id}/content", answer: fileContent},
	{method: "DELETE", path: "/v1/files/{id}", answer: deleteFile},
	{method: "POST", path: "/v1/audio/transcriptions", answer: transcription},
	{method: "POST", path: "/v1/audio/translations", answer: transcription},
	{method: "POST", path: "/v1/audio/speech", answer: speech},
	{method: "POST", path: "/v1/images/generations", answer: images},
	{method: "POST", path: "/v1/images/edits", answer: images},
	{method: "POST", path: "/v1/messages", answer: messages, anthropic: true},
	{method: "POST", path: "/v1/messages/count_tokens", answer: countTokens, anthropic: true},
}

// match returns the route and the segment that stands for its {segment}.
func match(method, path string) (*route, string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(path, "/")
next:
	for i := range routes {
		wanted := strings.Split(routes[i].path, "/")
		if routes[i].method != method || len(wanted) != len(segments) {
			continue
		}
		var id string
		for j, w := range wanted {
			if strings.HasPrefix(w, "{") && segments[j] != "" {
				id = segments[j]
			} else if w != segments[j] {
				continue next
			}
		}
		return &routes[i], id
	}
	return nil, ""
}

// ServeHTTP reads a request, lets its endpoint answer and delivers that as well or as badly as it was asked to.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	h := w.Header()
	h.Set("X-Request-Id", fmt.Sprintf("req_demo_%06d", p.number.Add(1)))
	h.Set("Openai-Version", "2020-10-01")

	target, id := match(r.Method, r.URL.EscapedPath())
	c := &call{Request: r, id: id, key: keyOf(r), anthropic: target != nil && target.anthropic}
	a := p.answer(c, target)
	h.Set("Openai-Processing-Ms", fmt.Sprint(time.Since(began).Milliseconds()))
	if c.sum != "" {
		h.Set("X-Demo-Body-Sha256", c.sum)
	}
	for _, f := range c.files {
		h.Add("X-Demo-File-Sha256", f.SHA256)
	}
	keepFiles(r.Context(), c.files)
	if c.unread && http.NewResponseController(w).EnableFullDuplex() != nil {
		abort() // else the head would wait for the body
	}
	p.deliver(r.Context(), w, c, a)
}

// answer is the endpoint's answer, or the error that stands in its place.
func (p *provider) answer(c *call, target *route) answer {
	var err error
	if c.behaviour, err = p.usual.with(c.Header.Get(Header)); err != nil {
		return c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_x_demo", err.Error())
	}
	if p.err != nil {
		return c.fail(http.StatusInternalServerError, "server_error", "invalid_option", p.err.Error())
	}
	if !p.turns.mine(c.Header.Get(Header), c.first) {
		c.behaviour = behaviour{}
	}
	if c.early {
		c.unread = true
		return c.misbehave(text(http.StatusOK, "answered before the request was read\n"))
	}
	if err := c.read(); err != nil {
		return c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_body", err.Error())
	}
	if c.key == "" {
		return c.fail(http.StatusUnauthorized, "invalid_request_error", "", "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).")
	}
	if target == nil {
		return c.misbehave(c.fail(http.StatusNotFound, "invalid_request_error", "unknown_url", fmt.Sprintf("Unknown request URL: %s %s. Please check the URL for typos.", c.Method, c.URL.Path)))
	}
	return c.misbehave(target.answer(p, c))
}

// keyOf returns the key of a request, wherever a provider's client puts it.
func keyOf(r *http.Request) string {
	if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && key != "" {
		return key
	}
	if key := r.Header.Get("X-Api-Key"); key != "" {
		return key
	}
	return r.Header.Get("Api-Key")
}

// call is one request as the endpoints see it.
type call struct {
	*http.Request
	behaviour
	id        string // the segment of the path that names a thing
	key       string
	anthropic bool
	body      []byte            // of a request that is not multipart
	form      map[string]string // the fields of a multipart request
	files     []uploaded        // its files
	unread    bool              // the body is left where it is
	sum       string            // SHA-256 of the whole body, in hex; empty until it is read
}

// read reads the whole body.
func (c *call) read() error {
	hash := sha256.New()
	body := io.TeeReader(http.MaxBytesReader(nil, c.Request.Body, maxBody), hash)
	if err := c.readForm(body); err != nil {
		return err
	}
	rest, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if c.form == nil {
		c.body = rest
	}
	c.sum = hex.EncodeToString(hash.Sum(nil))
	return nil
}
