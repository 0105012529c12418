package main

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// front tells requests apart by their raw path, as it came: what is the server's own is answered here, everything else is the proxy's
// and reaches it untouched.
type front struct {
	exact map[string]http.Handler // by path
	under []prefixed              // by the beginning of the path
	proxy http.Handler

	bodyWithin time.Duration // how long the body of a request to one of our own may take; 0 is ownBodyWithin
}

type prefixed struct {
	prefix  string // ends in a slash; no provider may have its name
	handler http.Handler
}

// handler is everything that the server answers.
func (p *parts) front() *front {
	checks := p.health
	return &front{
		exact: map[string]http.Handler{
			"/health":       onlyGet(checks.health),
			"/health/live":  onlyGet(checks.live),
			"/health/ready": onlyGet(checks.ready),
			managementPath:  p.api,
			adminPath:       p.admin,
		},
		under: []prefixed{{managementPath + "/", p.api}, {adminPath + "/", p.admin}},
		proxy: p.proxy,
	}
}

// leaves reports whether a request for this target is the proxy's.
func (f *front) leaves(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	if _, own := f.exact[path]; own {
		return false
	}
	return !slices.ContainsFunc(f.under, func(u prefixed) bool { return strings.HasPrefix(path, u.prefix) })
}

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if own, ok := f.exact[path]; ok {
		f.boundBody(w, r)
		own.ServeHTTP(w, r)
		return
	}
	for _, u := range f.under {
		if strings.HasPrefix(path, u.prefix) {
			f.boundBody(w, r)
			u.handler.ServeHTTP(w, r)
			return
		}
	}
	f.proxy.ServeHTTP(w, r) // it bounds bodies itself
}

// ownBodyWithin is more than a small body takes, and than what a handler does with it: the request's context ends with it too.
const ownBodyWithin = 10 * time.Second

// boundBody bounds the wait for a request's body, also for one that no handler reads: the server does, to see where the next request
// begins, and would wait for ever.
func (f *front) boundBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	within := f.bodyWithin
	if within == 0 {
		within = ownBodyWithin
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within)) // the server takes it away again before the next request
}
