package proxy

import (
	"bytes"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/usage"
)

// quotesKey reports whether an error answer shows something of the provider key: the key, eight characters in a row of its secret
// part, or its masked form (OpenAI writes "sk-...abcd" or "sk-proj-****abcd"). The first held bytes of the body are searched, inflated
// where they are compressed, and the head.
func (x *exchange) quotesKey(held int) bool {
	key := x.key.Reveal()
	for name, values := range x.call.Header {
		if name == "Content-Type" || name == "Content-Length" || name == "Date" {
			continue
		}
		for _, value := range values {
			if quotes([]byte(value), key) {
				return true
			}
		}
	}
	body := x.capture.head.b[:held]
	if encoding := first(x.call.Header["Content-Encoding"]); encoding != "" {
		body = usage.Inflate(encoding, body, searchedError)
	}
	return quotes(body, key)
}

// slice is how many characters of a secret in a row give it away.
const slice = 8

// quotes reports whether text shows something of a key.
func quotes(text []byte, key string) bool {
	if len(key) < slice {
		return key != "" && bytes.Contains(text, []byte(key))
	}
	// What stands before the last hyphen of the first characters names the kind of key ("sk-proj-") and is no secret.
	public := strings.LastIndexByte(key[:min(len(key), 16)], '-') + 1
	secret := key[public:]
	for i := 0; i+slice <= len(secret); i++ {
		if bytes.Contains(text, []byte(secret[i:i+slice])) {
			return true
		}
	}
	if len(secret) < slice && bytes.Contains(text, []byte(key)) {
		return true
	}
	ending := []byte(key[len(key)-4:])
	for rest := text; ; {
		i := bytes.Index(rest, ending)
		if i < 0 {
			return false
		}
		before := rest[:i]
		if bytes.HasSuffix(before, []byte("**")) || bytes.HasSuffix(before, []byte("...")) || bytes.HasSuffix(before, []byte("…")) {
			return true
		}
		rest = rest[i+len(ending):]
	}
}
