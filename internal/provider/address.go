package provider

import (
	"fmt"
	"net/netip"
	"strings"
)

// special are ranges that are not on the public internet, or that carry an IPv4 address inside, beside those that netip names.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("2001::/32"), // Teredo
	netip.MustParsePrefix("fec0::/10"), // site-local
	netip.MustParsePrefix("::/96"),     // IPv4-compatible
	netip.MustParsePrefix("100::/64"),  // discard
	netip.MustParsePrefix("5f00::/16"), // segment routing
	netip.MustParsePrefix("3fff::/20"), // documentation
	netip.MustParsePrefix("2001:db8::/32"),
}

// AllowAddr says whether a connection to the address may be opened; it is asked when dialling, after the name was resolved. Public
// addresses may. Loopback may only if the base URL's host is localhost or a loopback address itself, whatever private says. A
// link-local address may only if private is set and the host is that very address. Everything else, and an IPv4 address inside an
// IPv6 one, needs private.
func (p *Provider) AllowAddr(ip netip.Addr) error {
	host := p.BaseURL.Hostname()
	literal, err := netip.ParseAddr(host)
	isLiteral := err == nil
	plain := ip.Unmap().WithZone("")
	switch {
	case !ip.IsValid() || plain.IsUnspecified() || plain.IsMulticast():
		return fmt.Errorf("address %s is no host", ip)
	case ip.Is4In6() && !p.Private:
		return fmt.Errorf("address %s hides an IPv4 address", ip)
	case plain.IsLoopback():
		if strings.EqualFold(host, "localhost") || isLiteral && literal.Unmap().IsLoopback() {
			return nil
		}
		return fmt.Errorf("%s resolves to the loopback address %s", host, ip)
	case plain.IsLinkLocalUnicast():
		if p.Private && isLiteral && literal.Unmap().WithZone("") == plain {
			return nil
		}
		return fmt.Errorf("address %s is link-local", ip)
	case !p.Private && !public(plain):
		return fmt.Errorf("address %s is private; set private: true to allow it", ip)
	}
	return nil
}

func public(ip netip.Addr) bool {
	for _, s := range special {
		if s.Contains(ip) {
			return false
		}
	}
	return ip.IsGlobalUnicast() && !ip.IsPrivate()
}

// numericHost says whether a host that netip does not parse would be read as an IPv4 address by some resolver: decimal, octal,
// hexadecimal or shortened.
func numericHost(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
