package lambdahttp

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// leftOut reports whether a header of an answer is not for the caller: those of one connection, and the length, which the platform
// would hand on under another name (x-amzn-remapped-content-length) beside a framing of its own.
func leftOut(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length":
		return true
	}
	return false
}

// appendHead adds the members statusCode, headers and cookies of an answer's JSON, without braces. Lines of one name are joined
// (RFC 9110, section 5.3) but for cookies, which have a list of their own.
func appendHead(dst []byte, status int, h http.Header) []byte {
	dst = append(dst, `"statusCode":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	named := connectionNames(h["Connection"])
	opened := false
	for name, lines := range h {
		if len(lines) == 0 || name == "Set-Cookie" || leftOut(name) || named != nil && named[name] || !httpguts.ValidHeaderFieldName(name) {
			continue // http.TrailerPrefix has a colon, so trailers go here too
		}
		if opened {
			dst = append(dst, ',')
		} else {
			dst = append(dst, `,"headers":{`...)
			opened = true
		}
		dst = llmproxy.AppendString(dst, name)
		value := lines[0]
		if len(lines) > 1 {
			value = strings.Join(lines, ", ")
		}
		dst = llmproxy.AppendString(append(dst, ':'), oneLine(value))
	}
	if opened {
		dst = append(dst, '}')
	}
	for i, cookie := range h["Set-Cookie"] {
		if i == 0 {
			dst = append(dst, `,"cookies":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = llmproxy.AppendString(dst, oneLine(cookie))
	}
	if len(h["Set-Cookie"]) > 0 {
		dst = append(dst, ']')
	}
	return dst
}

// oneLine is a header's value without line breaks, as net/http writes it.
func oneLine(value string) string {
	if strings.ContainsAny(value, "\r\n") {
		value = lineBreaks.Replace(value)
	}
	return textproto.TrimString(value)
}

var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ")

// connectionNames are the headers that a Connection header names; nil if it names none.
func connectionNames(lines []string) map[string]bool {
	var names map[string]bool
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if names == nil {
				names = map[string]bool{}
			}
			names[textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))] = true
		}
	}
	return names
}

// promised is the length that an answer's head declares, -1 if none or no number.
func promised(h http.Header) int64 {
	if len(h["Content-Length"]) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(h["Content-Length"][0], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// bodyAllowed reports whether an answer of that status has a body.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// guessType gives an answer whose handler wrote a body without a word about its type the one that net/http would guess.
func guessType(h http.Header, start []byte) {
	_, hasType := h["Content-Type"]
	if _, coded := h["Content-Encoding"]; !hasType && !coded && len(start) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(start)}
	}
}

// checkStatus panics where net/http does.
func checkStatus(status int) {
	if status < 100 || status > 999 {
		panic("invalid WriteHeader code " + strconv.Itoa(status))
	}
}
