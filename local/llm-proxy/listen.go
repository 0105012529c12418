package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
)

// listen opens the address that clients come to.
func listen(ctx context.Context, s *settings) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.Addr)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use%s, or take another address: --addr %s", s.Addr, whoListens(s), anotherPort(s.Addr))
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("this user may not listen on %s: take a port above 1023, such as --addr %s", s.Addr, anotherPort(s.Addr))
	}
	return nil, usageError("%s: %v", settingName("LLM_PROXY_ADDR"), err)
}

// whoListens says who is at a busy address and what to do about it, as far as the PID file tells.
func whoListens(s *settings) string {
	running, err := findServer(s.PIDFile)
	if err == nil && strings.HasSuffix(running.URL, s.Addr[strings.LastIndexByte(s.Addr, ':'):]) { // the same port
		return fmt.Sprintf(": llm-proxy runs there already, as process %d. Stop it with: llm-proxy server stop", running.PID)
	}
	return " by another program. Stop that one"
}

// anotherPort is an address beside a busy one.
func anotherPort(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	n, convErr := strconv.Atoi(port)
	if err != nil || convErr != nil {
		return addr // cannot be: it was listened on
	}
	if n < 1024 {
		n += 8000
	}
	return net.JoinHostPort(host, strconv.Itoa(n%65535+1))
}

// publicURL is the origin under which clients reach the server.
func publicURL(s *settings, addr net.Addr) string {
	if s.PublicURL != "" {
		return strings.TrimRight(s.PublicURL, "/")
	}
	return localURL(s, addr)
}

// localURL is the origin under which this machine reaches it.
func localURL(s *settings, addr net.Addr) string {
	scheme := "http"
	if s.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// certificate is what the server shows over TLS; nil is plain HTTP.
type certificate struct{ tls.Certificate }

func loadCertificate(s *settings) (*certificate, error) {
	if s.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
	if err != nil {
		return nil, usageError("%s, %s: %v", settingName("LLM_PROXY_TLS_CERT"), settingName("LLM_PROXY_TLS_KEY"), err)
	}
	return &certificate{pair}, nil
}

// serve serves over TLS with the certificate, over plain HTTP without one.
func (c *certificate) serve(server *http.Server, listener net.Listener) error {
	if c == nil {
		return server.Serve(listener)
	}
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{c.Certificate}}
	return server.ServeTLS(listener, "", "")
}

// fingerprint tells the certificate from others.
func (c *certificate) fingerprint() string {
	if c == nil {
		return ""
	}
	return fingerprint(c.Certificate.Certificate[0])
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
