package provider

import (
	"net/url"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Set is a loaded providers.yaml: immutable, safe for concurrent use.
type Set struct {
	Default   string
	Providers map[string]*Provider
	routes    routes
}

// Provider is one upstream API: where it is, how it wants its key, what of it may be called.
type Provider struct {
	Name            string
	BaseURL         *url.URL // scheme and host, perhaps a path
	PathPrefix      *string  // replaces the leading /v1 of an endpoint's path; nil leaves it
	Private         bool     // the address may be private, and plain http
	Auth            Auth
	Errors          ErrorShape
	RequestHeaders  HeaderPolicy
	ResponseHeaders HeaderPolicy
	Endpoints       []*Endpoint
	Timeouts        Timeouts
	Limits          Limits
	AllowedOrigins  []string // browsers' exact origins; none by default
	RetryAttempts   int      // further tries where no byte was sent, or of a GET or HEAD answered 502, 503 or 504: 0 or 1
	Breaker         Breaker
}

// Auth says how the provider key travels.
type Auth struct {
	Header string // canonical name
	Scheme string // "Bearer" puts "Bearer " before the key; empty puts nothing
}

// ErrorShape is the JSON shape of our own errors, so that the provider's SDKs raise their typed exceptions.
type ErrorShape string

const (
	ErrorsOpenAI    ErrorShape = "openai"    // {"error":{"message","type","param","code"}}
	ErrorsAnthropic ErrorShape = "anthropic" // {"type":"error","error":{"type","message"}}
)

// HeaderPolicy is what a provider drops from and sets on a head, beside the rules that hold for all. Names are canonical.
type HeaderPolicy struct {
	Drop []string
	Set  []llmproxy.Header // requests only
}

// Endpoint is one path and what may be done with it.
type Endpoint struct {
	Path         string                 // template: /v1/models/{model}
	Methods      []string               //
	Usage        string                 // how its answers report usage, a kind of package usage; "" if they do not
	Group        llmproxy.EndpointGroup // never empty
	RequestBytes int64                  // its own cap; 0 takes Limits.RequestBytes
}

// Timeouts bound the upstream; there is none for a whole request.
type Timeouts struct {
	Connect        time.Duration // TCP and TLS
	ResponseHeader time.Duration // from the request's last byte to the answer's head
	Idle           time.Duration // silence within the answer's body
}

// Limits bound what passes.
type Limits struct {
	RequestBytes       int64
	ConnectionsPerHost int
}

// Breaker opens the circuit after Failures failures in a row within Window and lets one probe through after Cooldown.
type Breaker struct {
	Failures int
	Window   time.Duration
	Cooldown time.Duration
}

// Match is an endpoint that a request may call, and where its request goes.
type Match struct {
	Provider *Provider
	Endpoint *Endpoint
	Path     string // of the upstream's URL, built from the endpoint's template and the checked ids: base path, prefix, the rest
}
