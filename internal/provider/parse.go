package provider

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// maxFile is the largest size of a providers.yaml.
const maxFile = 1 << 20

// Load reads and checks a file. A mistake is one line, file:line:col: cause.
func Load(file string) (*Set, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read providers: %w", err)
	}
	return Parse(file, data)
}

// What is in presets/ was read when the program was made: reading YAML costs more than everything else that a function does before it is
// ready. The default is made from the presets, so they come first.
//go:generate go test -run ^TestThePresetsAreWhatTheirFilesSay$ . -update
//go:generate go test -run ^TestTheDefaultIsWhatItsFilesSay$ . -update

// Default returns the providers of an installation that names no file: OpenAI. They are those of presets/providers.yaml.
func Default() *Set {
	s := defaultSet()
	s.routes = newRoutes(s)
	return s
}

// Parse checks the text of a file; name is what errors call it. A mistake is one line, name:line:col: cause.
func Parse(name string, data []byte) (*Set, error) {
	if len(data) > maxFile {
		return nil, oneLine(name, errors.New("the file is larger than 1 MiB"))
	}
	var f setFile
	if err := decode(data, &f); err != nil && !errors.Is(err, io.EOF) { // an empty file has no providers, which set reports
		return nil, oneLine(name, err)
	}
	s, err := f.set()
	if err != nil {
		return nil, oneLine(name, err)
	}
	return s, nil
}

func decode(data []byte, into any) error {
	return yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(into)
}

func (f *setFile) set() (*Set, error) {
	if len(f.Providers) == 0 {
		return nil, errors.New("providers is missing")
	}
	s := &Set{Default: f.Default.value, Providers: map[string]*Provider{}}
	for i := range f.Providers {
		n := &f.Providers[i]
		if err := checkName(n.name); err != nil {
			return nil, err
		}
		p, err := n.provider()
		if err != nil {
			return nil, err
		}
		s.Providers[p.Name] = p
	}
	if s.Providers[s.Default] == nil {
		return nil, errAt(f.Default.node, "default names no provider: %q", s.Default)
	}
	s.routes = newRoutes(s)
	return s, nil
}

// ours is where each value of a preset stands, which is in no file.
var ours ast.Node = &ast.NullNode{BaseNode: &ast.BaseNode{}}

func preset(name field[string]) (stanza, error) {
	if name.node == nil {
		return stanza{}, nil
	}
	switch name.value {
	case "openai":
		return openaiPreset(), nil
	case "anthropic":
		return anthropicPreset(), nil
	case "openai_compatible":
		return openaiCompatiblePreset(), nil
	default:
		return stanza{}, errAt(name.node, "unknown preset %q, only openai, anthropic, openai_compatible", name.value)
	}
}

// provider checks a stanza, completed by its preset and by the defaults.
func (n *named) provider() (*Provider, error) {
	s := &n.body
	pre, err := preset(s.Preset)
	if err != nil {
		return nil, err
	}
	def := defaultsPreset()
	c := &checker{}
	p := &Provider{Name: n.name.value, Private: s.Private.or(pre.Private, def.Private).value}
	p.BaseURL = c.baseURL(n.name.node, s.BaseURL.or(pre.BaseURL), p.Private)
	p.PathPrefix = c.pathPrefix(s.PathPrefix.or(pre.PathPrefix))
	p.Auth = c.auth(s.Auth, pre.Auth, def.Auth)
	p.Errors = c.errorShape(s.Errors.or(pre.Errors, def.Errors))
	p.RequestHeaders.Drop = c.headerNames(s.Request.Drop.or(pre.Request.Drop))
	p.RequestHeaders.Set = c.setHeaders(s.Request.Set.or(pre.Request.Set), p.Auth.Header)
	p.ResponseHeaders.Drop = c.headerNames(s.Response.Drop.or(pre.Response.Drop, def.Response.Drop))
	p.Timeouts.Connect = c.duration(s.Timeouts.Connect.or(pre.Timeouts.Connect, def.Timeouts.Connect))
	p.Timeouts.ResponseHeader = c.duration(s.Timeouts.ResponseHeader.or(pre.Timeouts.ResponseHeader, def.Timeouts.ResponseHeader))
	p.Timeouts.Idle = c.duration(s.Timeouts.Idle.or(pre.Timeouts.Idle, def.Timeouts.Idle))
	size := s.Limits.RequestBytes.or(pre.Limits.RequestBytes, def.Limits.RequestBytes)
	p.Limits.RequestBytes = c.size(size.node, size.value)
	p.Limits.ConnectionsPerHost = c.between(s.Limits.ConnectionsPerHost.or(def.Limits.ConnectionsPerHost), 1, 65535)
	p.AllowedOrigins = c.origins(s.CORS.AllowedOrigins)
	p.RetryAttempts = c.between(s.Retry.Attempts.or(def.Retry.Attempts), 0, 1)
	p.Breaker.Failures = c.between(s.CircuitBreaker.Failures.or(def.CircuitBreaker.Failures), 1, 1000)
	p.Breaker.Window = c.duration(s.CircuitBreaker.Window.or(def.CircuitBreaker.Window))
	p.Breaker.Cooldown = c.duration(s.CircuitBreaker.Cooldown.or(def.CircuitBreaker.Cooldown))
	p.Endpoints = c.endpoints(append(pre.Endpoints, s.Endpoints...))
	if len(p.Endpoints) == 0 {
		c.fail(n.name.node, "provider %s has no endpoints", p.Name)
	}
	return p, c.err
}

// RequestCap is the largest body in bytes that a request to the endpoint may have.
func (p *Provider) RequestCap(e *Endpoint) int64 {
	if e.RequestBytes > 0 {
		return e.RequestBytes
	}
	return p.Limits.RequestBytes
}

func checkName(n field[string]) error {
	name := n.value
	switch name {
	case "v1", "manage", "admin", "health", "metrics":
		return errAt(n.node, "provider name %s is reserved", name)
	}
	if name == "" || len(name) > 64 ||
		strings.ContainsFunc(name, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		return errAt(n.node, "provider name %q is not of [a-z0-9-], 1 to 64 characters", name)
	}
	return nil
}
