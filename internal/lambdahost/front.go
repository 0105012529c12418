package lambdahost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// door is one of the two ways a request comes to a function.
type door struct {
	host     *Host
	domain   string
	api      bool          // API Gateway: the path is decoded, the answer is sent as a whole
	failure  int           // the status of an invocation that failed before it answered
	patience time.Duration // how long the answer is waited for; 0: as long as the function may take
}

// FunctionURL serves the function as its URL does with the invoke mode RESPONSE_STREAM.
func (h *Host) FunctionURL() http.Handler {
	return &door{host: h, domain: "lambdahostlambdahostlambdahost00.lambda-url." + h.cfg.Region + ".on.aws", failure: http.StatusBadGateway}
}

// ServeHTTP implements [http.Handler].
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.RequestURI, "/") { // a URL, an authority or an asterisk names no path of this function
		d.fail(w, http.StatusBadRequest)
		return
	}
	d.pass(w, r, target(r, d.api), route{key: defaultRoute})
}

// pass invokes the function with a request and answers with what it says.
func (d *door) pass(w http.ResponseWriter, r *http.Request, path string, to route) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		d.fail(w, http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		d.fail(w, http.StatusBadRequest)
		return
	}
	inv := newInvocation(d.host, nil, d.api)
	inv.payload = d.event(r, body, inv, path, to)
	w.Header().Set("X-Amzn-Requestid", inv.id)
	w.Header().Set("X-Amzn-Trace-Id", inv.trace)
	if err := d.host.begin(r.Context(), inv); err != nil {
		d.fail(w, d.statusOf(err))
		return
	}
	if !d.await(w, inv) {
		return
	}
	answer, err := inv.answer()
	if err != nil {
		d.fail(w, d.statusOf(err))
		return
	}
	if d.api {
		d.sendWhole(w, answer)
	} else {
		d.sendStream(w, answer)
	}
}

// await waits until the function answers. Where that takes too long it answers itself: the function goes on, and nobody learns what it
// says.
func (d *door) await(w http.ResponseWriter, inv *invocation) bool {
	var late <-chan time.Time
	if d.patience > 0 {
		timer := time.NewTimer(d.patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-inv.known:
		return true
	case <-late:
		d.fail(w, http.StatusServiceUnavailable)
		return false
	}
}

// statusOf is the status of a request that the function did not answer.
func (d *door) statusOf(err error) int {
	switch {
	case errors.Is(err, ErrThrottled):
		return http.StatusTooManyRequests
	case errors.Is(err, ErrPayloadTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrClosed):
		return http.StatusServiceUnavailable
	}
	d.host.log.printf("a request was not answered: %v", err)
	return d.failure
}

// fail answers in the platform's words.
func (d *door) fail(w http.ResponseWriter, status int) {
	if status == http.StatusBadGateway {
		http.Error(w, "Internal Server Error", status)
		return
	}
	writeJSON(w, status, map[string]string{"message": http.StatusText(status)})
}

// eventV2 is a request as a function gets it.
type eventV2 struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	PathParameters  map[string]string `json:"pathParameters,omitempty"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext  contextV2         `json:"requestContext"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type contextV2 struct {
	AccountID    string `json:"accountId"`
	APIID        string `json:"apiId"`
	DomainName   string `json:"domainName"`
	DomainPrefix string `json:"domainPrefix"`
	HTTP         httpV2 `json:"http"`
	RequestID    string `json:"requestId"`
	RouteKey     string `json:"routeKey"`
	Stage        string `json:"stage"`
	Time         string `json:"time"`
	TimeEpoch    int64  `json:"timeEpoch"`
}

type httpV2 struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// target is the path that a request names: as it came, or decoded as an API has it.
func target(r *http.Request, decoded bool) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if decoded {
		if plain, err := url.PathUnescape(path); err == nil {
			path, _, _ = strings.Cut(plain, "?")
		}
	}
	return path
}

// event makes the function's event of a request.
func (d *door) event(r *http.Request, body []byte, inv *invocation, path string, to route) []byte {
	now := time.Now().UTC()
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = r.RemoteAddr
	}
	_, query, _ := strings.Cut(r.RequestURI, "?") // as it came
	prefix, _, _ := strings.Cut(d.domain, ".")
	e := eventV2{
		Version: "2.0", RouteKey: to.key, RawPath: path, RawQueryString: query, PathParameters: to.parameters,
		Headers: d.headers(r, peer, inv), Cookies: cookies(r.Header["Cookie"]), Query: parameters(query),
		RequestContext: contextV2{
			AccountID: "anonymous", APIID: prefix, DomainName: d.domain, DomainPrefix: prefix,
			HTTP:      httpV2{Method: r.Method, Path: path, Protocol: "HTTP/1.1", SourceIP: peer, UserAgent: r.UserAgent()},
			RequestID: inv.id, RouteKey: to.key, Stage: "$default",
			Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
		},
	}
	if len(body) > 0 {
		if isText(r.Header) && utf8.Valid(body) {
			e.Body = string(body)
		} else {
			e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
		}
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(&e) // strings and numbers: it cannot fail
	return bytes.TrimSuffix(encoded.Bytes(), []byte("\n"))
}

// hopByHop are the headers that end at the platform. Upgrade is passed on, so that a function can refuse it in its own words, and so
// is what Connection names; whether AWS does is not known.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Expect": true,
}

// headers are in lower case, lines of one name joined. Where the request came from is the platform's word.
func (d *door) headers(r *http.Request, peer string, inv *invocation) map[string]string {
	h := make(map[string]string, len(r.Header)+6)
	for name, values := range r.Header {
		if !hopByHop[name] {
			h[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	if cookie := r.Header["Cookie"]; len(cookie) > 0 {
		h["cookie"] = strings.Join(cookie, "; ")
	}
	if r.ContentLength > 0 {
		h["content-length"] = r.Header.Get("Content-Length")
	}
	h["host"] = d.domain
	h["x-forwarded-for"], h["x-forwarded-port"], h["x-forwarded-proto"] = peer, "443", "https"
	h["x-amzn-trace-id"] = inv.trace
	return h
}

// cookies are those of all Cookie lines, one by one.
func cookies(lines []string) []string {
	var all []string
	for _, line := range lines {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				all = append(all, cookie)
			}
		}
	}
	return all
}

// parameters are the query's, decoded, with those of one name joined.
func parameters(query string) map[string]string {
	values, _ := url.ParseQuery(query) // what can be read of it
	if len(values) == 0 {
		return nil
	}
	all := make(map[string]string, len(values))
	for name, v := range values {
		all[name] = strings.Join(v, ",")
	}
	return all
}

// isText reports whether a body of that kind goes into the event as it is.
func isText(h http.Header) bool {
	if h.Get("Content-Encoding") != "" {
		return false
	}
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return false
	}
	switch {
	case strings.HasPrefix(kind, "text/"), strings.HasSuffix(kind, "+json"), strings.HasSuffix(kind, "+xml"):
		return true
	}
	return kind == "application/json" || kind == "application/javascript" || kind == "application/xml"
}
