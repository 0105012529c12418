package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/proxy/h1"
)

// upstream is what this process keeps for a provider: its connections, its circuit, its rules in the form that a request needs.
type upstream struct {
	provider *provider.Provider
	client   *h1.Client
	breaker  *breaker

	dropRequest  map[string]bool // the provider's list
	dropResponse map[string]bool // ours and the provider's
	set          map[string][]string
}

// maxAnswerHead is the largest head of an answer that is read.
const maxAnswerHead = 256 << 10

// idleConnTimeout is how long an unused connection is kept: shorter than what servers and load balancers commonly allow, so that a
// request seldom meets one that the other side has just closed.
const idleConnTimeout = 55 * time.Second

func newUpstream(p *provider.Provider) *upstream {
	dialer := &net.Dialer{
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return allowAddress(p, address)
		},
	}
	u := &upstream{
		provider: p,
		breaker:  newBreaker(p.Breaker),
		client: h1.New(h1.Config{
			Addr:           dialAddress(p.BaseURL),
			Host:           p.BaseURL.Host,
			TLS:            tlsConfig(p.BaseURL),
			Dialer:         dialer,
			ConnectTimeout: p.Timeouts.Connect,
			MaxConns:       p.Limits.ConnectionsPerHost,
			IdleTimeout:    idleConnTimeout,
			MaxHead:        maxAnswerHead,
		}),
		dropRequest:  map[string]bool{},
		dropResponse: map[string]bool{},
		set:          map[string][]string{},
	}
	for _, name := range p.RequestHeaders.Drop {
		u.dropRequest[name] = true
	}
	for _, name := range p.ResponseHeaders.Drop {
		u.dropResponse[name] = true
	}
	for _, h := range p.RequestHeaders.Set {
		u.set[h.Name] = append(u.set[h.Name], h.Value)
	}
	return u
}

// allowAddress refuses to connect to an address that the provider's rules do not allow, whatever name led there.
func allowAddress(p *provider.Provider, address string) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}
	return p.AllowAddr(addr.Addr())
}

// dropsResponse reports whether a header of an answer is left out.
func (u *upstream) dropsResponse(name string) bool {
	return removedFromAnswers[name] || u.dropResponse[name]
}

// dialAddress is the host and port that a base URL names.
func dialAddress(base *url.URL) string {
	port := base.Port()
	if port == "" {
		port = "80"
		if base.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(base.Hostname(), port)
}

// tlsConfig is that of an https upstream, nil for http.
func tlsConfig(base *url.URL) *tls.Config {
	if base.Scheme != "https" {
		return nil
	}
	return &tls.Config{
		ServerName:         base.Hostname(),
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
}
