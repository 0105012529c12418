package bench

import (
	"errors"
	"net/http"
	"time"
)

// Plan says what a run sends, where to, and how fast.
type Plan struct {
	Method string
	URL    string
	Header http.Header // of each request, the credential among them; results do not have it
	Body   []byte      // of each request; nil for none

	Requests    int64         // sent at most; 0: as many as fit into Duration
	Duration    time.Duration // no request is begun after it; 0: until Requests are done
	Concurrency int           // requests under way at once, each over a connection of its own
	Rate        float64       // requests a second, evenly; 0: each connection sends the next one when it has its answer
	Warmup      int           // requests that are sent before and not counted
	Timeout     time.Duration // of one request; 0: one minute

	Transport http.RoundTripper // nil: HTTP/1.1 over connections that are kept
}

// patient is how long a request may take where a plan does not say.
const patient = time.Minute

// check completes the plan, or names what it lacks.
func (p *Plan) check() error {
	switch {
	case p.URL == "" || p.Method == "":
		return errors.New("a run needs a method and a URL")
	case p.Requests <= 0 && p.Duration <= 0:
		return errors.New("a run needs a number of requests or a duration, or it would not end")
	case p.Concurrency <= 0:
		return errors.New("the concurrency must be at least 1")
	case p.Rate < 0 || p.Warmup < 0 || p.Timeout < 0 || p.Requests < 0 || p.Duration < 0:
		return errors.New("rate, warm-up, time limit, requests and duration must not be negative")
	}
	if p.Timeout == 0 {
		p.Timeout = patient
	}
	if p.Transport == nil {
		p.Transport = keepConnections(p.Concurrency)
	}
	return nil
}

// keepConnections is a transport for that many requests at once, which leaves bodies as they come.
func keepConnections(n int) http.RoundTripper {
	var http1 http.Protocols
	http1.SetHTTP1(true) // each request under way has a connection, as most clients of these APIs do it
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: n,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
		Protocols:           &http1,
	}
}
