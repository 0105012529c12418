package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

// checkServer looks at the server that runs, or at the place for one.
func (d *doctor) checkServer(ctx context.Context) {
	const check = "server"
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if d.running == nil {
		d.checkAddress(ctx, check)
		return
	}
	h, err := d.running.health(ctx, d.running.URL)
	if err != nil {
		d.fail(check, "llm-proxy server stop, and start it again; its log says more", "process %d does not answer at %s: %v", d.running.PID, d.running.URL, err)
		return
	}
	if h.Status != healthOK {
		why := "its log says why"
		if d.running.MetricsURL != "" {
			if inside, err := d.running.health(ctx, d.running.MetricsURL); err == nil && len(inside.Reasons) > 0 {
				why = strings.Join(inside.Reasons, "; ")
			}
		}
		d.warn(check, "mend what is named; the server goes on by itself", "process %d serves %s and is %s: %s", d.running.PID, d.running.URL, h.Status, why)
		return
	}
	if h.Version != version {
		d.warn(check, "llm-proxy server stop, and start it again", "process %d serves %s with version %s, this program is %s", d.running.PID, d.running.URL, h.Version, version)
		return
	}
	d.ok(check, "process %d serves %s", d.running.PID, d.running.URL)
}

// checkAddress looks whether a server could listen.
func (d *doctor) checkAddress(ctx context.Context, check string) {
	var config net.ListenConfig
	addr := d.settings.Addr
	listener, err := config.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		_ = listener.Close()
		d.ok(check, "none runs; %s is free", addr)
	case errors.Is(err, syscall.EADDRINUSE):
		d.fail(check, "stop that program, or take another address: --addr "+anotherPort(addr), "none runs here, and another program listens on %s", addr)
	case errors.Is(err, fs.ErrPermission):
		d.fail(check, "take a port above 1023: --addr "+anotherPort(addr), "this user may not listen on %s", addr)
	default:
		d.fail(check, "set "+settingName("LLM_PROXY_ADDR")+" to an address of this machine", "nobody can listen on %s: %v", addr, err)
	}
}

// soonExpired is how long before its end a certificate is to be renewed at the latest.
const soonExpired = 14 * 24 * time.Hour

func (d *doctor) checkCertificate(context.Context) {
	const check = "certificate"
	c, err := loadCertificate(d.settings)
	if err != nil {
		d.fail(check, "give the server a certificate chain and the private key that goes with it", "%v", err)
		return
	}
	if c == nil {
		return // plain HTTP: nothing to look at
	}
	leaf, err := x509.ParseCertificate(c.Certificate.Certificate[0])
	if err != nil {
		d.fail(check, "get a new one", "%v", err)
		return
	}
	until := leaf.NotAfter.UTC().Format(time.RFC1123)
	now := d.now()
	switch info, statErr := os.Stat(d.settings.TLSKey); {
	case now.After(leaf.NotAfter):
		d.fail(check, "renew it and start the server again", "it ended on %s", until)
	case now.Before(leaf.NotBefore):
		d.fail(check, "wait, or set the clock of this machine", "it begins on %s", leaf.NotBefore.UTC().Format(time.RFC1123))
	case now.Add(soonExpired).After(leaf.NotAfter):
		d.warn(check, "renew it and start the server again", "it ends on %s", until)
	case statErr == nil && info.Mode().Perm()&0o007 != 0:
		d.warn(check, "chmod o-rwx "+d.settings.TLSKey, "its private key can be read by everybody here")
	default:
		d.ok(check, "valid until %s", until)
	}
}

func (d *doctor) checkProviders(ctx context.Context) {
	const check = "providers"
	if d.running != nil && d.running.Demo {
		d.skip(check, "the running server has its built-in stand-in provider")
		return
	}
	set, err := readProviders(d.settings)
	if err != nil {
		d.fail(check, "mend the place that is named", "%v", err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(d.used)) {
		if set.Providers[name] == nil && name != demoProvider { // --demo brings that one
			d.warn(check, "name it in the file of "+settingName("LLM_PROXY_PROVIDERS"), "project %q is of the provider %s, which is not known: its requests are refused", d.used[name], name)
		}
	}
	names := slices.Sorted(maps.Keys(set.Providers))
	from := "built in"
	if d.settings.Providers != "" {
		from = "from " + d.settings.Providers
	}
	d.ok(check, "%s, %s", strings.Join(names, ", "), from)
	for _, name := range names {
		if check := "provider " + name; d.offline {
			d.skip(check, "not asked: --offline")
		} else {
			d.checkReachable(ctx, check, set.Providers[name])
		}
	}
}

// checkReachable asks a provider for anything, without a key: that it answers is enough, whatever it says.
func (d *doctor) checkReachable(ctx context.Context, check string, p *provider.Provider) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	host := p.BaseURL.Host
	client := &http.Client{
		Transport:     &http.Transport{DialContext: dialAllowed(p), DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, p.BaseURL.String(), nil)
	if err != nil {
		d.fail(check, "mend its base_url", "%v", err)
		return
	}
	begin := d.now()
	res, err := client.Do(req)
	if err != nil {
		why, fix := unreachable(innermost(err), host)
		d.fail(check, fix, "%s", why)
		return
	}
	_ = res.Body.Close()
	took := d.now().Sub(begin).Round(time.Millisecond)
	if sent, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		if skew := d.now().Sub(sent); skew.Abs() > mostSkew {
			d.warn(check, "set the clock of this machine, best by NTP", "%s answers in %s, and its clock differs from this one's by %s", host, took, skew.Round(time.Second))
			return
		}
	}
	d.ok(check, "%s answers, in %s", host, took)
}

// mostSkew is how much two clocks may differ: tokens live for minutes at least.
const mostSkew = 30 * time.Second

// errAddress is that a name leads where the provider's stanza does not let the proxy go.
var errAddress = errors.New("address is not allowed")

// dialAllowed connects to the addresses that the proxy may connect to, and to no other.
func dialAllowed(p *provider.Provider) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil, err
		}
		var errs []error
		for _, ip := range ips {
			ip = ip.Unmap()
			if err := p.AllowAddr(ip); err != nil {
				errs = append(errs, fmt.Errorf("%w: %w", errAddress, err))
				continue
			}
			var dialer net.Dialer
			conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(ip.String(), port))
			if err == nil {
				return conn, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}
}

// unreachable says why a provider does not answer, and what may help.
func unreachable(err error, host string) (why, fix string) {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s does not resolve: %v", host, err), "mend base_url in providers.yaml, or the name server of this machine"
	case errors.Is(err, errAddress):
		return fmt.Sprintf("%s: %v", host, err), "for a provider in your own network set private: true in its stanza"
	case errors.As(err, &unknown), errors.As(err, &wrongName), errors.As(err, &invalid):
		return fmt.Sprintf("%s shows a certificate that is not to be trusted: %v", host, err), "see whether somebody stands between (a company's proxy), and install the roots of this machine (ca-certificates); look at its clock too"
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nobody listens at %s", host), "mend base_url in providers.yaml, or start the provider"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s does not answer within %s", host, checkTimeout), "let this machine connect to it: a firewall may stand between"
	}
	return fmt.Sprintf("%s cannot be asked: %v", host, err), "see whether this machine may connect to it"
}

// checkClock compares the clock with the files that were written here. A clock that went back makes tokens live longer.
func (d *doctor) checkClock(context.Context) {
	const check = "clock"
	fix := "set the clock of this machine, best by NTP"
	now := d.now()
	if now.Before(builtAfter) {
		d.fail(check, fix, "it says %s, which is before this program was written: tokens would live too long", now.UTC().Format(time.RFC3339))
		return
	}
	var newest time.Time
	for _, path := range []string{d.settings.DB, d.settings.DB + "-wal", keyFilePath(d.settings.DataDir), d.settings.PIDFile} {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	if ahead := newest.Sub(now); ahead > mostSkew {
		d.fail(check, fix, "files here were written %s after now: it went back, and tokens live longer by that", ahead.Round(time.Second))
		return
	}
	d.ok(check, "%s", now.UTC().Format(time.RFC3339))
}

// builtAfter is a time that has passed.
var builtAfter = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
