package main

import (
	"fmt"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

// block is what is printed for pasting, at most 20 lines.
type block struct {
	base  string // URL that the provider's clients are given
	token string // empty: tokens are made elsewhere
	api   clientAPI
	notes []string
}

// clientAPI is how clients of a provider are set up, and a request to try.
type clientAPI struct {
	baseURL, key string // environment variables that its clients read
	basePath     string // what clients expect at the end of the base URL
	path         string // of the example, behind the base URL; empty where the provider has no such endpoint
	header       string // further one of the example
	body         string // of the example
}

var (
	openAIClients = clientAPI{
		baseURL: "OPENAI_BASE_URL", key: "OPENAI_API_KEY", basePath: "/v1", path: "/chat/completions",
		body: `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello!"}]}`,
	}
	anthropicClients = clientAPI{
		baseURL: "ANTHROPIC_BASE_URL", key: "ANTHROPIC_API_KEY", path: "/v1/messages", header: "anthropic-version: 2023-06-01",
		body: `{"model":"claude-3-5-haiku-latest","max_tokens":99,"messages":[{"role":"user","content":"Hello!"}]}`,
	}
)

// clientsOf is how clients of a provider are set up.
func clientsOf(p *provider.Provider) clientAPI {
	api := openAIClients
	if p.Clients() == provider.ClientsAnthropic {
		api = anthropicClients
	}
	if !p.Has(api.basePath + api.path) {
		api.path = ""
	}
	return api
}

// newBlock is that of a provider under an origin.
func newBlock(origin string, providers *provider.Set, name, token string, notes ...string) block {
	return block{base: origin + providers.BasePath(name), token: token, api: clientsOf(providers.Providers[name]), notes: notes}
}

// String is the block as it is printed.
func (b block) String() string {
	var w strings.Builder
	if b.token == "" {
		fmt.Fprintf(&w, "llm-proxy serves %s\n", b.base)
	} else {
		fmt.Fprintf(&w, "export %s=%s\nexport %s=%s\n\n", b.api.baseURL, b.base, b.api.key, b.token)
	}
	if b.token != "" && b.api.path != "" {
		fmt.Fprintf(&w, "curl %s%s -H \"Authorization: Bearer %s\" \\\n  -H \"Content-Type: application/json\" ", b.base, b.api.path, b.token)
		if b.api.header != "" {
			fmt.Fprintf(&w, "-H %q ", b.api.header)
		}
		fmt.Fprintf(&w, "-d '%s'\n\n", b.api.body)
	}
	for _, note := range b.notes {
		w.WriteString(note + "\n")
	}
	return w.String()
}

// block is what the server prints.
func (p *parts) block(s *settings, origin string) block {
	notes := []string{"data:      " + s.DataDir}
	if s.EventLog != "" {
		notes = append(notes, "event log: "+s.EventLog)
	}
	if p.operators.user != "" {
		site := "site:      " + origin + adminPath + "/, user " + p.operators.user
		if s.AdminPassword == "" {
			site += ", the password is admin_password in " + keyFilePath(s.DataDir)
		}
		notes = append(notes, site)
	}
	if p.demoToken != "" {
		notes = append(notes, "Answers come from a built-in stand-in provider. For a real one: llm-proxy setup")
	}
	return newBlock(origin, p.providers, p.providers.Default, p.demoToken, notes...)
}
