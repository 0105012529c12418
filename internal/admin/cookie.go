package admin

import (
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// cookieName is the name of the session's cookie.
const cookieName = "llmp_session"

// secretBytes is how long a session's secret is.
const secretBytes = 32

// newCookie carries a session's secret. It has no lifetime of its own, as the store says when the session is over; one without a secret
// makes the browser forget it.
func newCookie(r *http.Request, secret string) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: secret, Path: "/", HttpOnly: true, Secure: !isLoopbackHTTP(r), SameSite: http.SameSiteStrictMode} //nolint:gosec // not Secure on loopback alone
	if secret == "" {
		c.MaxAge = -1
	}
	return c
}

// secretOf reads the session's secret from a request. It is [llmproxy.ErrNoCredential] where there is no cookie.
func secretOf(r *http.Request) ([]byte, error) {
	switch cookies := r.CookiesNamed(cookieName); len(cookies) {
	case 0:
		return nil, llmproxy.ErrNoCredential
	case 1:
		secret, err := base64.RawURLEncoding.Strict().DecodeString(cookies[0].Value)
		if err != nil || len(secret) != secretBytes {
			return nil, errNoSession
		}
		return secret, nil
	default: // one of them was put there by another host of the domain
		return nil, errors.New("more than one session cookie")
	}
}

// isLoopbackHTTP reports whether a request came in plain text from a program on this machine, to a name of this machine, with nothing
// in between: the one place where a cookie may go without TLS.
func isLoopbackHTTP(r *http.Request) bool {
	if r.TLS != nil || r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("X-Forwarded-Proto") != "" {
		return false
	}
	return isLoopback(r.RemoteAddr) && isLoopback(r.Host)
}

// isLoopback reports whether a host, with or without port, is this machine.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
