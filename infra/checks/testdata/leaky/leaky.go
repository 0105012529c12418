// Package leaky compares secrets in all the ways that are found, and in some that are fine.
package leaky

import (
	"bytes"
	"crypto/subtle"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func leaky(s llmproxy.Secret, given string, a, b llmproxy.TokenHash) {
	_ = s.Reveal() == given
	_ = given != s.Reveal()[8:]
	_ = a == b
	_ = bytes.Equal(a[:], b[:])
}

func fine(s llmproxy.Secret, given string, a, b llmproxy.TokenHash) {
	_ = s.Reveal() == ""
	_ = len(s.Reveal()) == len(given)
	_ = subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
