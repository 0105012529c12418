package fastpath

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// maxLength is the longest Content-Length in digits.
const maxLength = 18

// parse reads the head of a plain request, from its first byte to the empty line that ends it. A request is plain if
//
//   - its request line is METHOD SP /target SP HTTP/1.1, the target of printable ASCII without '#';
//   - each header line is a token, a colon and a value without control characters, on one line;
//   - it has one Host, a plain name, address or port;
//   - its body has a Content-Length, said once in digits, or it has none;
//   - it asks nothing of the connection: no Expect, Upgrade, Trailer or Transfer-Encoding, and no Connection but keep-alive.
//
// It reports false for any other. What it accepts means the same to net/http.
func parse(head []byte) (*http.Request, bool) {
	text := string(head[:len(head)-2]) // with the last header's line end
	line, rest, ok := strings.Cut(text, "\r\n")
	if !ok {
		return nil, false
	}
	method, target, ok := strings.Cut(line, " ")
	if !ok {
		return nil, false
	}
	target, isOurs := strings.CutSuffix(target, " HTTP/1.1")
	if !isOurs || !isToken(method) || method == http.MethodConnect || !isTarget(target) {
		return nil, false
	}
	r := &http.Request{Method: method, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	if !parseHeader(r, rest) {
		return nil, false
	}
	var err error
	if r.URL, err = url.ParseRequestURI(target); err != nil {
		return nil, false
	}
	return r, true
}

// parseHeader reads the lines of a head behind the first.
func parseHeader(r *http.Request, lines string) bool {
	n := strings.Count(lines, "\n")
	r.Header = make(http.Header, n)
	values := make([]string, 0, n)
	hasLength := false
	for lines != "" {
		line, rest, ok := strings.Cut(lines, "\r\n")
		if !ok {
			return false
		}
		lines = rest
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return false
		}
		if value, ok = trimmed(value); !ok {
			return false
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		switch key {
		case "Host":
			if r.Host != "" || !isHost(value) {
				return false
			}
			r.Host = value
			continue
		case "Content-Length":
			if hasLength || !setLength(r, value) {
				return false
			}
			hasLength = true
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return false
			}
		case "Expect", "Transfer-Encoding", "Trailer", "Upgrade", "Te", "Keep-Alive", "Proxy-Connection", "Http2-Settings", "Pragma":
			return false
		}
		if before, again := r.Header[key]; again {
			r.Header[key] = append(before, value)
			continue
		}
		values = append(values, value)
		r.Header[key] = values[len(values)-1 : len(values) : len(values)]
	}
	return r.Host != ""
}

// setLength takes the value of a Content-Length.
func setLength(r *http.Request, value string) bool {
	if value == "" || len(value) > maxLength {
		return false
	}
	n := int64(0)
	for i := range len(value) {
		digit := value[i] - '0'
		if digit > 9 {
			return false
		}
		n = 10*n + int64(digit)
	}
	r.ContentLength = n
	return true
}

// trimmed is a header's value without the space around it, and whether it has nothing but visible ASCII, spaces and tabs in it.
func trimmed(value string) (string, bool) {
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c >= 0x7f {
			return "", false
		}
	}
	return value, true
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokens[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokens = func() (is [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		is[c] = true
	}
	return is
}()

// isTarget reports whether s is a path, with a query or without, in printable ASCII.
func isTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return s != "" && s[0] == '/'
}

// isHost reports whether s has nothing but letters, digits and what addresses and ports are written with.
func isHost(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return s != ""
}

// headEnd is the length of the head that b begins with, 0 if b has not all of it. An empty line ends it, also one that is a mere line feed: such
// a head is not plain, but nothing more needs to come for net/http to answer it.
func headEnd(b []byte) int {
	for end := 0; ; {
		i := bytes.IndexByte(b[end:], '\n')
		if i < 0 {
			return 0
		}
		end += i + 1
		switch rest := b[end:]; {
		case len(rest) >= 1 && rest[0] == '\n':
			return end + 1
		case len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n':
			return end + 2
		}
	}
}
