package provider

import (
	"errors"
	"slices"
	"strings"
)

// ErrNoEndpoint is that no endpoint has the path.
var ErrNoEndpoint = errors.New("no endpoint has this path")

// MethodError is that the path is an endpoint's, but not with this method.
type MethodError struct {
	Allow []string // methods that the path has, sorted; shared, do not change
}

// Error names the methods that are allowed.
func (e *MethodError) Error() string {
	return "method not allowed, only " + strings.Join(e.Allow, ", ")
}

// maxID is the largest length of an id in a path, in bytes.
const maxID = 128

// routes finds endpoints. Both maps are complete after [Parse] and only read from then on.
type routes struct {
	static    map[string][]route // by the whole incoming path
	templates map[int][]template // by the number of slashes of the incoming path, in the order of the file
}

// route is what a path may be called with, and the match it then is.
type route struct {
	methods []string
	match   Match // Path is complete for a static route; for a template it is what stands before its /v1
}

// template is a path with ids.
type template struct {
	route
	in  []string // segments of the incoming path; "" is an id
	out []string // segments of the outgoing path after match.Path; "" is an id
}

// Match returns the endpoint that the method and the raw path may call. The path has no query and is compared byte for byte, without
// decoding or cleaning; an id is one segment of 1 to 128 characters of [A-Za-z0-9._:-] and not of dots alone. A path written out in
// the file goes before a template. It is [ErrNoEndpoint] or a [*MethodError] if there is none; HEAD is not implied by GET.
func (s *Set) Match(method, rawPath string) (Match, error) {
	static := s.routes.static[rawPath]
	for i := range static {
		if slices.Contains(static[i].methods, method) {
			return static[i].match, nil
		}
	}
	var allow []string
	for i := range static {
		allow = append(allow, static[i].methods...)
	}
	templates := s.routes.templates[strings.Count(rawPath, "/")]
	for i := range templates {
		t := &templates[i]
		if !t.matches(rawPath) {
			continue
		}
		if slices.Contains(t.methods, method) {
			m := t.match
			m.Path = t.outgoing(rawPath)
			return m, nil
		}
		allow = append(allow, t.methods...)
	}
	if len(allow) == 0 {
		return Match{}, ErrNoEndpoint
	}
	slices.Sort(allow)
	return Match{}, &MethodError{Allow: slices.Compact(allow)}
}

// matches compares segment by segment; both have the same number of slashes.
func (t *template) matches(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	rest := path[1:]
	for _, want := range t.in {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if want == "" && !validID(segment) || want != "" && segment != want {
			return false
		}
	}
	return true
}

// outgoing writes the template's own segments and the ids of a path that matches.
func (t *template) outgoing(path string) string {
	var b strings.Builder
	b.Grow(len(t.match.Path) + len(path) + 1)
	b.WriteString(t.match.Path)
	rest := path[1:]
	for range len(t.in) - len(t.out) { // what the outgoing path does not have: the provider's name and a replaced /v1
		_, rest, _ = strings.Cut(rest, "/")
	}
	for _, own := range t.out {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if own != "" {
			segment = own
		}
		b.WriteByte('/')
		b.WriteString(segment)
	}
	return b.String()
}

func validID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	dots := true
	for i := range len(s) {
		if !idByte(s[i]) {
			return false
		}
		dots = dots && s[i] == '.'
	}
	return !dots
}

func idByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._:-", c) >= 0
}

// newRoutes indexes all endpoints: under their provider's name, those of the default provider without it too.
func newRoutes(s *Set) routes {
	r := routes{static: map[string][]route{}, templates: map[int][]template{}}
	for name, p := range s.Providers {
		for _, e := range p.Endpoints {
			r.add("/"+name+e.Path, p, e)
			if name == s.Default {
				r.add(e.Path, p, e)
			}
		}
	}
	return r
}

func (r *routes) add(in string, p *Provider, e *Endpoint) {
	prefix := "/v1"
	if p.PathPrefix != nil {
		prefix = *p.PathPrefix
	}
	base := p.BaseURL.Path + prefix
	tail := strings.TrimPrefix(e.Path, "/v1")
	rt := route{methods: e.Methods, match: Match{Provider: p, Endpoint: e, Path: base + tail}}
	if !strings.Contains(in, "{") {
		r.static[in] = append(r.static[in], rt)
		return
	}
	rt.match.Path = base
	t := template{route: rt, in: segments(in), out: segments(tail)}
	n := len(t.in)
	r.templates[n] = append(r.templates[n], t)
}

// segments splits a path; an id becomes "".
func segments(path string) []string {
	s := strings.Split(path, "/")[1:]
	for i := range s {
		if strings.HasPrefix(s[i], "{") {
			s[i] = ""
		}
	}
	return s
}
