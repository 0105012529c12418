package proxy

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// resolveTo makes every name lead to these addresses, for this test.
func resolveTo(t *testing.T, addresses ...string) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, peer, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
				continue
			}
			asked := query.Questions[0]
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true}, Questions: query.Questions}
			for _, a := range addresses {
				ip := netip.MustParseAddr(a)
				head := dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: asked.Class}
				switch {
				case ip.Is4() && asked.Type == dnsmessage.TypeA:
					answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
				case ip.Is6() && asked.Type == dnsmessage.TypeAAAA:
					answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
				}
			}
			packed, err := answer.Pack()
			if err == nil {
				_, _ = server.WriteTo(packed, peer)
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		server.Close()
		<-done
	})
}

// TestANameThatLeadsInsideIsNotDialled: the address is looked at when it is dialled, so a name may change its mind as it likes.
func TestANameThatLeadsInsideIsNotDialled(t *testing.T) {
	inside := serveOrigin(t, answerOK)
	_, port, _ := strings.Cut(strings.TrimPrefix(inside.URL, "http://"), ":")
	for _, c := range []struct {
		address string
		private bool
	}{
		{"127.0.0.1", false},
		{"127.0.0.1", true},
		{"127.8.9.10", false},
		{"::1", false},
		{"::1", true},
		{"0.0.0.0", false},
		{"0.0.0.0", true},
		{"::", false},
		{"10.0.0.1", false},
		{"172.16.5.4", false},
		{"192.168.1.1", false},
		{"100.64.0.1", false},
		{"169.254.169.254", false},
		{"169.254.169.254", true},
		{"fe80::1", false},
		{"fd00:ec2::254", false},
		{"fc00::1", false},
		{"::ffff:127.0.0.1", false},
		{"::ffff:10.0.0.1", false},
		{"64:ff9b::7f00:1", false},
		{"2002:7f00:1::", false},
		{"::127.0.0.1", false},
		{"224.0.0.1", false},
		{"255.255.255.255", false},
		{"192.0.0.192", false},
		{"198.18.0.1", false},
	} {
		resolveTo(t, c.address)
		lines := "timeouts: {connect: 2s}"
		scheme := "https"
		if c.private {
			scheme = "http"
		}
		p := newProxy(t, scheme+"://rebound.example:"+port, stanza(lines, map[bool]string{true: "private: true", false: "private: false"}[c.private]))
		res := p.chat(t, p.mint(t))
		requireError(t, res, 502, "server_error", "upstream_unreachable")
		require.Regexp(t, "loopback|private|link-local|hides|is no host|address family not supported|no suitable address", p.Log.String(), c.address) // the last two where there is no IPv6
		require.NotContains(t, res.Body, "rebound", "the caller learns nothing of it")
	}
	require.Zero(t, inside.conns.Load())
}

// TestLocalhostIsDialled: models that run beside the proxy, the demo and the benchmark.
func TestLocalhostIsDialled(t *testing.T) {
	o := serveOrigin(t, answerOK)
	_, port, _ := strings.Cut(strings.TrimPrefix(o.URL, "http://"), ":")
	p := newProxy(t, "http://localhost:"+port)
	require.Equal(t, 200, p.chat(t, p.mint(t)).StatusCode)
	require.Equal(t, []string{"localhost:" + port}, o.last(t).values("Host"))
}

func TestTheAddressOfABaseURL(t *testing.T) {
	for base, want := range map[string]string{"https://a.example": "a.example:443", "http://localhost": "localhost:80", "https://a.example:8443/x": "a.example:8443", "http://[::1]:8080": "[::1]:8080", "http://[::1]": "[::1]:80"} {
		p := newProxy(t, base)
		for _, u := range p.upstreams {
			require.Equal(t, want, dialAddress(u.provider.BaseURL))
		}
	}
	p := newProxy(t, "https://a.example")
	require.Error(t, allowAddress(p.cfg.Providers.Providers["openai"], "not an address"))
}
