package main

import (
	"net/http"
	"strings"
)

// front tells requests apart by their raw path, as it came: what is the server's own is answered here, everything else is the proxy's
// and reaches it untouched.
type front struct {
	exact map[string]http.Handler // by path
	under []prefixed              // by the beginning of the path
	proxy http.Handler
}

type prefixed struct {
	prefix  string // ends in a slash; no provider may have its name
	handler http.Handler
}

// handler is everything that the server answers.
func (p *parts) handler() http.Handler {
	checks := p.health
	return &front{
		exact: map[string]http.Handler{
			"/health":       onlyGet(checks.health),
			"/health/live":  onlyGet(checks.live),
			"/health/ready": onlyGet(checks.ready),
			managementPath:  p.api,
		},
		under: []prefixed{{managementPath + "/", p.api}},
		proxy: p.proxy,
	}
}

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if own, ok := f.exact[path]; ok {
		own.ServeHTTP(w, r)
		return
	}
	for _, u := range f.under {
		if strings.HasPrefix(path, u.prefix) {
			u.handler.ServeHTTP(w, r)
			return
		}
	}
	f.proxy.ServeHTTP(w, r)
}
