package provider

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
)

// Forms of values, compiled when a file is read.
var (
	templateForm = form(`^/v1(/[A-Za-z0-9._~:-]+|/\{[a-z][a-z0-9_]*\})+$`)
	pathForm     = form(`^(/[A-Za-z0-9._~:-]+)*$`)
	idName       = form(`\{[^}]*\}`)
	sizeForm     = form(`^([1-9][0-9]{0,9})(B|KiB|MiB|GiB)$`)
	tokenForm    = form("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

func form(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

var (
	methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	units   = map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	// unsettable are headers that carry credentials, belong to one connection or frame the body.
	unsettable = []string{
		"Authorization", "Proxy-Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "Cookie", "Connection", "Proxy-Connection",
		"Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length", "Proxy-Authenticate", "Expect",
	}
)

// checker turns values of a file into those of a [Provider] and keeps the first mistake.
type checker struct{ err error }

func (c *checker) fail(at ast.Node, format string, args ...any) {
	if c.err == nil {
		c.err = errAt(at, format, args...)
	}
}

func (c *checker) baseURL(name ast.Node, f field[string], private bool) *url.URL {
	if f.value == "" {
		c.fail(name, "base_url is missing")
		return &url.URL{}
	}
	u, err := url.Parse(f.value)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		c.fail(f.node, "base_url is not an https URL with a host")
		return &url.URL{}
	}
	if u.User != nil || strings.ContainsAny(f.value, "?#") {
		c.fail(f.node, "base_url has a user, query or fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			c.fail(f.node, "base_url has no valid port")
		}
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	if u.RawPath != "" || !cleanPath(u.Path) {
		c.fail(f.node, "base_url has a path that is not plain segments")
	}
	host := u.Hostname()
	ip, err := netip.ParseAddr(host)
	local := strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback() && !ip.Is4In6()
	if err == nil && !local {
		if err := (&Provider{BaseURL: u, Private: private}).AllowAddr(ip); err != nil {
			c.fail(f.node, "base_url: %s", err)
		}
	}
	if err != nil && (numericHost(host) || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "") {
		c.fail(f.node, "base_url: host %q is neither a name nor an address in its usual form", host)
	}
	if u.Scheme == "http" && !local && !private {
		c.fail(f.node, "base_url is http to a host that is not loopback; use https or set private: true")
	}
	return u
}

func cleanPath(path string) bool {
	if !pathForm().MatchString(path) {
		return false
	}
	for s := range strings.SplitSeq(path, "/") {
		if s != "" && strings.Trim(s, ".") == "" {
			return false
		}
	}
	return true
}

func (c *checker) pathPrefix(f field[string]) *string {
	if f.node == nil {
		return nil
	}
	if !cleanPath(f.value) {
		c.fail(f.node, "path_prefix %q is not a path of plain segments without a slash at its end", f.value)
	}
	return &f.value
}

func (c *checker) auth(own, pre, def authFile) Auth {
	from := def
	if pre.Header.node != nil {
		from = pre
	}
	if own.Header.node != nil {
		from = authFile{Header: own.Header}
	}
	a := Auth{Header: c.headerName(from.Header.node, from.Header.value), Scheme: own.Scheme.or(from.Scheme).value}
	if a.Scheme != "" && !tokenForm().MatchString(a.Scheme) {
		c.fail(own.Scheme.node, "auth scheme %q is no token", a.Scheme)
	}
	if a.Header != "Authorization" && slices.Contains(unsettable, a.Header) && !slices.Contains(unsettable[2:5], a.Header) {
		c.fail(from.Header.node, "auth header %s cannot carry a key", a.Header)
	}
	return a
}

func (c *checker) errorShape(f field[string]) ErrorShape {
	shape := ErrorShape(f.value)
	if shape != ErrorsOpenAI && shape != ErrorsAnthropic {
		c.fail(f.node, "unknown errors %q, only openai, anthropic", f.value)
	}
	return shape
}

func (c *checker) headerName(at ast.Node, name string) string {
	if !tokenForm().MatchString(name) {
		c.fail(at, "invalid header name %q", name)
	}
	return http.CanonicalHeaderKey(name)
}

func (c *checker) headerNames(f field[[]string]) []string {
	var names []string
	for _, n := range f.value {
		names = append(names, c.headerName(f.node, n))
	}
	return names
}

func (c *checker) setHeaders(f field[map[string]string], auth string) []llmproxy.Header {
	var set []llmproxy.Header
	for n, v := range f.value {
		name := c.headerName(f.node, n)
		if slices.Contains(unsettable, name) || name == auth {
			c.fail(f.node, "header %s cannot be set", name)
		}
		if strings.ContainsFunc(v, unicode.IsControl) {
			c.fail(f.node, "invalid value of header %s", name)
		}
		if slices.ContainsFunc(set, func(h llmproxy.Header) bool { return h.Name == name }) {
			c.fail(f.node, "header %s is set twice", name)
		}
		set = append(set, llmproxy.Header{Name: name, Value: v})
	}
	slices.SortFunc(set, func(a, b llmproxy.Header) int { return strings.Compare(a.Name, b.Name) })
	return set
}

func (c *checker) duration(f field[string]) time.Duration {
	d, err := time.ParseDuration(f.value)
	if err != nil || d <= 0 || d > 24*time.Hour {
		c.fail(f.node, "%q is no duration such as 10m, above 0 and up to 24h", f.value)
	}
	return d
}

func (c *checker) size(at ast.Node, s string) int64 {
	m := sizeForm().FindStringSubmatch(s)
	if m == nil {
		c.fail(at, "%q is no size such as 520MiB", s)
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n > (1<<40)/units[m[2]] {
		c.fail(at, "size %s is above 1024GiB", s)
	}
	return n * units[m[2]]
}

func (c *checker) between(f field[int], low, high int) int {
	if f.value < low || f.value > high {
		c.fail(f.node, "%d is not between %d and %d", f.value, low, high)
	}
	return f.value
}

func (c *checker) origins(f field[[]string]) []string {
	for _, o := range f.value {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || o != u.Scheme+"://"+strings.ToLower(u.Host) {
			c.fail(f.node, "%q is no exact origin such as https://app.example.com", o)
		}
	}
	return f.value
}

func (c *checker) endpoints(list []field[endpointFile]) []*Endpoint {
	seen, braces := map[string]bool{}, strings.NewReplacer("{", "", "}", "")
	var all []*Endpoint
	for _, f := range list {
		v := f.value
		if !templateForm().MatchString(v.Path) || !cleanPath(braces.Replace(v.Path)) {
			c.fail(f.node, "path %q is no template such as /v1/models/{model}", v.Path)
		}
		e := &Endpoint{Path: v.Path, Methods: v.Methods, Usage: v.Usage, Group: llmproxy.EndpointGroup(v.Group)}
		if len(v.Methods) == 0 {
			c.fail(f.node, "%s has no methods", v.Path)
		}
		for _, m := range v.Methods {
			if !slices.Contains(methods, m) {
				c.fail(f.node, "unknown method %q", m)
			}
			key := m + " " + idName().ReplaceAllString(v.Path, "{}")
			if seen[key] {
				c.fail(f.node, "%s %s is there twice", m, v.Path)
			}
			seen[key] = true
		}
		if v.Usage != "" && !slices.Contains(usage.Kinds(), v.Usage) {
			c.fail(f.node, "unknown usage %q, only %s", v.Usage, strings.Join(usage.Kinds(), ", "))
		}
		switch e.Group {
		case "":
			e.Group = llmproxy.GroupInference
		case llmproxy.GroupInference, llmproxy.GroupStored:
		default:
			c.fail(f.node, "unknown group %q, only inference, stored", v.Group)
		}
		if v.RequestBytes != "" {
			e.RequestBytes = c.size(f.node, v.RequestBytes)
		}
		all = append(all, e)
	}
	return all
}
