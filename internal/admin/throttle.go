package admin

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Failures that a user, and a source, may have.
const (
	MaxFailures = 5 // a minute
	failuresPer = time.Minute
)

// ipv6Network is how much of an IPv6 address names a source: whoever has one address has all of its network.
const ipv6Network = 64

// attempt is what the throttle counts of a sign-in. Keys of users who do not exist count like others, so that nothing tells them apart.
func attempt(user, clientAddr string, at time.Time) llmproxy.SignIn {
	return llmproxy.SignIn{
		At: at, Max: MaxFailures, Within: failuresPer,
		Keys: [][32]byte{sha256.Sum256([]byte("user\x00" + user)), sha256.Sum256([]byte("source\x00" + source(clientAddr)))},
	}
}

// source is where a connection comes from.
func source(clientAddr string) string {
	addr, err := netip.ParseAddr(clientAddr)
	if err != nil {
		return clientAddr
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, ipv6Network).Masked().String()
}
