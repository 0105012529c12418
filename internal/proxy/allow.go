package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// allow finds the endpoint that the request's method and raw path name, and refuses everything else before any I/O is done.
func (x *exchange) allow() *refusal {
	r := x.r
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		x.w.Header().Set("Connection", "close")
		return refuseMethod
	}
	if !r.ProtoAtLeast(1, 1) {
		// HTTP/1.0 has no Transfer-Encoding, and net/http passes over one: whatever follows the head must not become a next request.
		x.w.Header().Set("Connection", "close")
	}
	// The request target as it came: a path that net/url has decoded or a host from an absolute form must not decide anything.
	path, query, hasQuery := strings.Cut(r.RequestURI, "?")
	if path == "" || path[0] != '/' {
		x.w.Header().Set("Connection", "close")
		return refuseTarget
	}
	if quotesToken(path) { // before the path is noted anywhere
		return refuseCredentialInQuery
	}
	x.event.Path, x.query, x.hasQuery = path, query, hasQuery
	match, err := x.h.cfg.Providers.Match(r.Method, path)
	if err != nil {
		if preflight, ok := x.matchPreflight(path); ok {
			x.match = preflight
			return nil
		}
		var method *provider.MethodError
		if errors.As(err, &method) {
			x.w.Header()["Allow"] = []string{strings.Join(method.Allow, ", ")}
			return refuseMethod
		}
		return refuseEndpoint
	}
	x.match = match
	x.event.Provider = match.Provider.Name
	if query != "" && hasCredential(query) {
		return refuseCredentialInQuery
	}
	if r.Header["Upgrade"] != nil && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return refuseWebSocket
	}
	x.maxBytes = match.Endpoint.RequestBytes
	if x.maxBytes == 0 {
		x.maxBytes = match.Provider.Limits.RequestBytes
	}
	if r.ContentLength > x.maxBytes {
		return refuseTooLarge
	}
	return nil
}

// quotesToken reports whether a raw path holds what looks like one of our secrets.
func quotesToken(path string) bool {
	if strings.Contains(path, llmproxy.SecretPrefix) {
		return true
	}
	if !strings.Contains(path, "%") {
		return false
	}
	decoded, err := url.PathUnescape(path)
	return err == nil && strings.Contains(decoded, llmproxy.SecretPrefix)
}

// credentialKeys are query parameters that carry credentials somewhere; in a URL they end up in logs.
var credentialKeys = map[string]bool{
	"api_key": true, "api-key": true, "apikey": true, "key": true, "x-api-key": true, "x-goog-api-key": true,
	"access_token": true, "access-token": true, "auth_token": true, "token": true, "bearer": true, "authorization": true,
}

// hasCredential reports whether a raw query has a parameter that is named as a credential or looks like one of our secrets.
func hasCredential(query string) bool {
	for rest := query; rest != ""; {
		var pair string
		if i := strings.IndexAny(rest, "&;"); i >= 0 {
			pair, rest = rest[:i], rest[i+1:]
		} else {
			pair, rest = rest, ""
		}
		name, value, _ := strings.Cut(pair, "=")
		if unescaped, err := url.QueryUnescape(name); err == nil {
			name = unescaped
		}
		if unescaped, err := url.QueryUnescape(value); err == nil {
			value = unescaped
		}
		if credentialKeys[strings.ToLower(name)] || strings.Contains(value, llmproxy.SecretPrefix) || strings.Contains(name, llmproxy.SecretPrefix) {
			return true
		}
	}
	return false
}

// circuit answers while the provider's circuit is open, before anything is counted.
func (x *exchange) circuit() *refusal {
	x.upstream = x.h.upstreams[x.match.Provider]
	permit, wait := x.upstream.breaker.allow(x.start)
	if permit == permitNone {
		return refuseCircuitOpen.after(wait)
	}
	x.probe = permit == permitProbe
	return nil
}
