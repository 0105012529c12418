package provider_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

const twoProviders = `
default: openai
providers:
  openai: {preset: openai}
  anthropic: {preset: anthropic}
  deep:
    preset: openai_compatible
    base_url: https://deep.example/some/base
    path_prefix: /v2
    endpoints: [{path: "/v1/models/special", methods: [GET, PUT]}, {path: "/v1/a/{x}/b/{y}", methods: [POST]}]
`

var idForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// matchByHand compares a path with every endpoint, segment by segment.
func matchByHand(s *provider.Set, method, path string) (out string, allowed bool, methods []string) {
	type found struct {
		out       string
		templated bool
	}
	var best *found
	for name, p := range s.Providers {
		prefixes := []string{"/" + name}
		if name == s.Default {
			prefixes = append(prefixes, "")
		}
		for _, prefix := range prefixes {
			for _, e := range p.Endpoints {
				want, got := strings.Split(prefix+e.Path, "/"), strings.Split(path, "/")
				if len(want) != len(got) {
					continue
				}
				fits, tail := true, ""
				skip := strings.Count(prefix, "/") + 2 // up to and with /v1
				for i := range want {
					isID := strings.HasPrefix(want[i], "{")
					if isID && (!idForm.MatchString(got[i]) || strings.Trim(got[i], ".") == "") || !isID && want[i] != got[i] {
						fits = false
						break
					}
					if i >= skip {
						tail += "/" + got[i]
					}
				}
				if !fits {
					continue
				}
				methods = append(methods, e.Methods...)
				if slices.Contains(e.Methods, method) {
					v1 := "/v1"
					if p.PathPrefix != nil {
						v1 = *p.PathPrefix
					}
					f := &found{p.BaseURL.Path + v1 + tail, strings.Contains(e.Path, "{")}
					if best == nil || best.templated && !f.templated {
						best = f
					}
				}
			}
		}
	}
	if best == nil {
		return "", false, methods
	}
	return best.out, true, methods
}

// FuzzMatch: the indexed match finds what comparing with every endpoint finds, and nothing else.
func FuzzMatch(f *testing.F) {
	s, err := provider.Parse("p.yaml", []byte(twoProviders))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{"/v1/models", "/v1/models/a:b", "/openai/v1/files/f/content", "/deep/v1/models/special", "/deep/v1/a/../b/..", "/anthropic/v1/messages", "//v1/models", "/v1/models/%2e%2e", "/v1/models/...", "/v1/chat/completions", "/v1/chat/completions/x"} {
		f.Add("GET", path)
		f.Add("POST", path)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		out, allowed, methods := matchByHand(s, method, path)
		m, err := s.Match(method, path)
		var wrong *provider.MethodError
		switch {
		case allowed:
			if err != nil || m.Path != out {
				t.Fatalf("%s %q: got %q, %v, want %q", method, path, m.Path, err, out)
			}
			if m.Provider == nil || m.Endpoint == nil || !slices.Contains(m.Endpoint.Methods, method) {
				t.Fatalf("%s %q: match of %+v", method, path, m)
			}
		case len(methods) > 0:
			slices.Sort(methods)
			if !errors.As(err, &wrong) || !slices.Equal(wrong.Allow, slices.Compact(methods)) {
				t.Fatalf("%s %q: got %v, want methods %v", method, path, err, methods)
			}
		case !errors.Is(err, provider.ErrNoEndpoint):
			t.Fatalf("%s %q: got %v, %q, want no endpoint", method, path, err, m.Path)
		}
	})
}

var mistakeForm = regexp.MustCompile(`^p\.yaml:\d+:\d+: [^\n]+$`)

// FuzzParse: no file makes it panic, a mistake is one line, and what it accepts keeps the promises that others rely on.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("presets/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no presets", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(twoProviders)
	f.Add("default: a\nproviders:\n  a: &x\n    preset: openai\n  b: *x\n")
	f.Add("default: a\nproviders: {a: {preset: openai, timeouts: {idle: 1s}, limits: {request_bytes: 1GiB}, cors: {allowed_origins: ['https://x.example']}}}")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := provider.Parse("p.yaml", []byte(text))
		if err != nil {
			if !mistakeForm.MatchString(err.Error()) {
				t.Fatalf("a mistake in other words: %q", err)
			}
			return
		}
		if s.Providers[s.Default] == nil {
			t.Fatalf("default %q is none of %v", s.Default, s.Providers)
		}
		for name, p := range s.Providers {
			requireSound(t, s, name, p)
		}
		again, err := provider.Parse("p.yaml", []byte(text))
		if err != nil || len(again.Providers) != len(s.Providers) {
			t.Fatalf("not the same the second time: %v", err)
		}
	})
}

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	headerForm = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

// requireSound checks what the proxy relies on without looking again.
func requireSound(t *testing.T, s *provider.Set, name string, p *provider.Provider) {
	t.Helper()
	host := strings.ToLower(p.BaseURL.Hostname())
	switch {
	case name != p.Name || !nameForm.MatchString(name) || slices.Contains([]string{"v1", "manage", "admin", "health", "metrics"}, name):
		t.Fatalf("name %q of %q", name, p.Name)
	case p.BaseURL.Scheme != "https" && (p.BaseURL.Scheme != "http" || !p.Private && host != "localhost" && !strings.HasPrefix(host, "127.") && host != "::1"):
		t.Fatalf("base URL %s", p.BaseURL)
	case host == "" || p.BaseURL.User != nil || p.BaseURL.RawQuery != "" || p.BaseURL.Fragment != "" || strings.HasSuffix(p.BaseURL.Path, "/"):
		t.Fatalf("base URL %s", p.BaseURL)
	case p.Timeouts.Connect <= 0 || p.Timeouts.ResponseHeader <= 0 || p.Timeouts.Idle <= 0:
		t.Fatalf("timeouts %+v", p.Timeouts)
	case p.Limits.RequestBytes <= 0 || p.Limits.ConnectionsPerHost <= 0:
		t.Fatalf("limits %+v", p.Limits)
	case p.RetryAttempts < 0 || p.RetryAttempts > 1 || p.Breaker.Failures < 1 || p.Breaker.Window <= 0 || p.Breaker.Cooldown <= 0:
		t.Fatalf("retry %d, breaker %+v", p.RetryAttempts, p.Breaker)
	case !headerForm.MatchString(p.Auth.Header) || strings.ContainsAny(p.Auth.Scheme, " \r\n"):
		t.Fatalf("auth %+v", p.Auth)
	case p.Errors != provider.ErrorsOpenAI && p.Errors != provider.ErrorsAnthropic:
		t.Fatalf("errors %q", p.Errors)
	}
	for _, h := range p.RequestHeaders.Set {
		if !headerForm.MatchString(h.Name) || h.Name == p.Auth.Header || strings.ContainsAny(h.Value, "\r\n\x00") {
			t.Fatalf("set header %+v", h)
		}
	}
	if len(p.Endpoints) == 0 {
		t.Fatal("no endpoints")
	}
	for _, e := range p.Endpoints {
		concrete := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(e.Path, "some-id-1")
		for _, method := range e.Methods {
			m, err := s.Match(method, "/"+name+concrete)
			if err != nil || m.Provider != p {
				t.Fatalf("%s %s cannot be called: %v", method, e.Path, err)
			}
			if strings.Contains(m.Path, "//") || strings.Contains(m.Path, "/./") || strings.Contains(m.Path, "/../") || !strings.HasPrefix(m.Path, "/") {
				t.Fatalf("outgoing path %q", m.Path)
			}
		}
	}
}
