package proxy

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

// matchPreflight finds the endpoint that a browser's preflight (WHATWG Fetch, section 3.2) asks for. Only providers that list the
// origin answer one; for all others OPTIONS is a method like any that is not allowed.
func (x *exchange) matchPreflight(path string) (provider.Match, bool) {
	wanted := x.r.Header.Get("Access-Control-Request-Method")
	if x.r.Method != http.MethodOptions || wanted == "" {
		return provider.Match{}, false
	}
	match, err := x.h.cfg.Providers.Match(wanted, path)
	if err != nil || !slices.Contains(match.Provider.AllowedOrigins, first(x.r.Header["Origin"])) {
		return provider.Match{}, false
	}
	x.isPreflight = true
	return match, true
}

// preflight answers a browser's preflight without a token, and reports whether it has.
func (x *exchange) preflight() bool {
	if !x.isPreflight {
		return false
	}
	h := x.w.Header()
	h["Access-Control-Allow-Methods"] = []string{strings.Join(x.match.Endpoint.Methods, ", ")}
	if asked := x.r.Header["Access-Control-Request-Headers"]; asked != nil {
		h["Access-Control-Allow-Headers"] = asked
	}
	h["Access-Control-Max-Age"] = []string{"600"}
	x.allowOrigin(h)
	x.event.Status = http.StatusNoContent
	x.answered = true
	x.w.WriteHeader(http.StatusNoContent)
	return true
}

// allowOrigin lets a listed origin read the answer. Without a list the upstream's own headers pass as they came.
func (x *exchange) allowOrigin(h http.Header) {
	if x.match.Provider == nil || len(x.match.Provider.AllowedOrigins) == 0 {
		return
	}
	delete(h, "Access-Control-Allow-Origin")
	delete(h, "Access-Control-Allow-Credentials")
	h.Add("Vary", "Origin")
	if origin := first(x.r.Header["Origin"]); slices.Contains(x.match.Provider.AllowedOrigins, origin) {
		h["Access-Control-Allow-Origin"] = []string{origin}
		h["Access-Control-Expose-Headers"] = []string{"*"}
	}
}
