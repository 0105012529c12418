package provider

import "slices"

// Clients are the client libraries that an API is made for.
type Clients string

const (
	ClientsOpenAI    Clients = "openai"    // they add /chat/completions to their base URL
	ClientsAnthropic Clients = "anthropic" // they add /v1/messages
)

// Clients are those of the provider: OpenAI's unless it speaks Anthropic's API alone.
func (p *Provider) Clients() Clients {
	if !p.Has("/v1/chat/completions") && p.Has("/v1/messages") {
		return ClientsAnthropic
	}
	return ClientsOpenAI
}

// Has reports whether tokens may call an endpoint's path in some way.
func (p *Provider) Has(path string) bool {
	return slices.ContainsFunc(p.Endpoints, func(e *Endpoint) bool { return e.Path == path })
}

// BasePath is the path of the base URL that clients of a provider of the set are given. It is empty where they want the origin alone.
func (s *Set) BasePath(name string) string {
	base := ""
	if name != s.Default {
		base = "/" + name
	}
	if s.Providers[name].Clients() == ClientsOpenAI {
		base += "/v1"
	}
	return base
}
