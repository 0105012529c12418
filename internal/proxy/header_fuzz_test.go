package proxy

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// mayPass is the rule of the tables in its plainest form.
func mayPass(name, connection string, dropped ...string) bool {
	lists := slices.Concat(hopByHop, removedCredentials, removedRouting, []string{"Content-Length", "Host"}, dropped)
	for named := range strings.SplitSeq(connection, ",") {
		lists = append(lists, textproto.TrimString(named))
	}
	for _, listed := range lists {
		if strings.EqualFold(listed, name) {
			return false
		}
	}
	for _, prefix := range removedPrefixes {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(prefix)) {
			return false
		}
	}
	return true
}

// FuzzOutgoingHeader: a header of the caller's arrives with its values if the tables let it, and not otherwise; the credential and the
// provider's own headers are there whatever the caller sends.
func FuzzOutgoingHeader(f *testing.F) {
	set, err := provider.Parse("p.yaml", []byte(`
default: a
providers:
  a: {preset: openai, base_url: 'https://a.example', request_headers: {drop: [X-Dropped], set: {X-Set: ours}}}
  b: {preset: anthropic, base_url: 'https://b.example', request_headers: {drop: [X-Dropped], set: {X-Set: ours}}}
`))
	if err != nil {
		f.Fatal(err)
	}
	h, err := New(Config{Providers: set, Store: newMemoryStore(), Keys: &memoryKeys{}, Events: &recorder{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("X-Custom", "a", "b", "close", "x-token-drops", true)
	f.Add("authorization", "Bearer x", "", "authorization", "authorization", false)
	f.Add("X-AMZN-trace", "1", "2", "keep-alive, x-set", "x-set", true)
	f.Add("x-forwarded-for", "1", "2", "", "", true)
	f.Fuzz(func(t *testing.T, name, one, two, connection, tokenDrops string, first bool) {
		if !httpguts.ValidHeaderFieldName(name) || strings.EqualFold(name, "Connection") {
			return // the server lets no such name in, or it is the other header of this test
		}
		p := set.Providers["b"]
		if first {
			p = set.Providers["a"]
		}
		in := http.Header{}
		in.Add(name, one)
		in.Add(name, two)
		in.Add("X-Beside", "stays")
		in.Add("Connection", connection)
		x := exchange{h: h, r: &http.Request{Header: in}, upstream: h.upstreams[p], key: llmproxy.NewSecret("the key")}
		x.token.RequestHeadersDrop = []string{tokenDrops}
		out := x.outgoingHeader()

		auth, credential := "Authorization", "Bearer the key"
		if !first {
			auth, credential = "X-Api-Key", "the key"
		}
		want := http.Header{auth: {credential}, "X-Set": {"ours"}}
		canonical := http.CanonicalHeaderKey(name)
		if want[canonical] == nil && mayPass(name, connection, "X-Dropped", tokenDrops) {
			want[canonical] = []string{one, two}
		}
		if mayPass("X-Beside", connection, tokenDrops) && canonical != "X-Beside" {
			want["X-Beside"] = []string{"stays"}
		}
		if canonical == "X-Beside" && mayPass("X-Beside", connection, tokenDrops) {
			want["X-Beside"] = []string{one, two, "stays"}
		}
		if slices.Contains(p.RequestHeaders.Drop, canonical) {
			delete(want, canonical)
		}
		if len(out) != len(want) {
			t.Fatalf("got %v, want %v", out, want)
		}
		for n, values := range want {
			if !slices.Equal(out[n], values) {
				t.Fatalf("%s: got %v, want %v", n, out, want)
			}
		}
	})
}
