package demo

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Header is the request header that asks for misbehaviour: words, each with its value after "=", joined by commas.
const Header = "X-Demo"

// behaviour is how an answer differs from a good one. Its zero value is a good one.
type behaviour struct {
	first int // only so many requests; 0 is all

	events int   // pieces of the text
	size   int64 // bytes of the text, or of a binary answer

	status     int
	retryAfter string
	redirect   string
	quoteKey   string // "full" or "masked"
	headers    [][2]string

	early     bool
	headDelay time.Duration
	hang      bool
	closeHead bool
	garbage   bool
	interim   int
	bigHead   int
	lie       int64 // added to the Content-Length
	encoding  string

	chunkDelay time.Duration
	drip       time.Duration
	cutAfter   after
	resetAfter after
	hangAfter  after
	badChunk   after
}

// after is a number of chunks after which something happens, plus one; 0 is never.
type after int

func (a after) reached(sent int) bool { return a > 0 && sent >= int(a)-1 }

// word is one thing that [Header] can ask for.
type word struct {
	name    string
	value   string // what stands after "=", as the documentation shows it; empty for nothing
	does    string
	set     func(b *behaviour, value string) error
	without string // the value that a word without one has
}

// words is the grammar. docs/demo.md shows the same table.
var words = []word{
	{name: "events", value: "N", does: "the text comes in N pieces, which are the chunks of a stream", set: func(b *behaviour, v string) error { return number(v, 1, 1_000_000, &b.events) }},
	{name: "size", value: "BYTES", does: "the text, or a binary answer, has so many bytes (at most 256 MiB); without `events` a piece is 1 KiB", set: func(b *behaviour, v string) error { return number(v, 1, 256<<20, &b.size) }},
	{name: "status", value: "CODE", does: "answers with this status, from 400 on with an error", set: func(b *behaviour, v string) error { return number(v, 200, 599, &b.status) }},
	{name: "retry-after", value: "SECONDS", does: "adds `Retry-After`", set: func(b *behaviour, v string) error { b.retryAfter = v; return notEmpty(v) }},
	{name: "redirect", value: "URL", does: "answers 302, or the status asked for, with this `Location`", set: setRedirect},
	{name: "quote-key", value: "full|masked", without: "full", does: "answers 401 with the key it got in the message", set: setQuoteKey},
	{name: "header", value: "NAME:VALUE", does: "adds a header to the answer; may be given several times", set: setHeader},
	{name: "gzip", does: "compresses the body, a stream event by event", set: setEncoding("gzip")},
	{name: "br", does: "the same with Brotli", set: setEncoding("br")},
	{name: "zstd", does: "the same with Zstandard", set: setEncoding("zstd")},
	{name: "interim", value: "CODE", without: "103", does: "sends an interim answer (1xx) first", set: func(b *behaviour, v string) error { return number(v, 102, 199, &b.interim) }},
	{name: "head-delay", value: "DURATION", does: "waits before the head", set: func(b *behaviour, v string) error { return duration(v, &b.headDelay) }},
	{name: "chunk-delay", value: "DURATION", does: "waits before each chunk but the first", set: func(b *behaviour, v string) error { return duration(v, &b.chunkDelay) }},
	{name: "drip", value: "DURATION", without: "10ms", does: "sends the body byte by byte and waits after each", set: func(b *behaviour, v string) error { return duration(v, &b.drip) }},
	{name: "cut-after", value: "N", does: "closes the connection after N chunks", set: func(b *behaviour, v string) error { return chunks(v, &b.cutAfter) }},
	{name: "reset-after", value: "N", does: "resets the connection (RST) after N chunks", set: func(b *behaviour, v string) error { return chunks(v, &b.resetAfter) }},
	{name: "hang-after", value: "N", does: "sends nothing more after N chunks, until the caller leaves", set: func(b *behaviour, v string) error { return chunks(v, &b.hangAfter) }},
	{name: "bad-chunk-after", value: "N", does: "breaks the chunked transfer coding after N chunks", set: func(b *behaviour, v string) error { return chunks(v, &b.badChunk) }},
	{name: "hang", does: "never answers; ends when the caller leaves", set: func(b *behaviour, _ string) error { b.hang = true; return nil }},
	{name: "close-before-head", does: "closes the connection without an answer", set: func(b *behaviour, _ string) error { b.closeHead = true; return nil }},
	{name: "garbage", does: "answers with bytes that are not HTTP", set: func(b *behaviour, _ string) error { b.garbage = true; return nil }},
	{name: "lie-content-length", value: "BYTES", without: "100", does: "announces so many bytes more, or with a minus fewer, than it sends", set: func(b *behaviour, v string) error { return number(v, -1<<32, 1<<32, &b.lie) }},
	{name: "big-head", value: "BYTES", without: "1048576", does: "adds a header of this size", set: func(b *behaviour, v string) error { return number(v, 1, 64<<20, &b.bigHead) }},
	{name: "early", does: "answers before it reads the request's body", set: func(b *behaviour, _ string) error { b.early = true; return nil }},
	{name: "first", value: "N", does: "misbehaves only on the first N requests with this very header", set: func(b *behaviour, v string) error { return number(v, 1, 1_000_000, &b.first) }},
}

// with is the behaviour with what the header asks for.
func (b behaviour) with(header string) (behaviour, error) {
	for item := range strings.SplitSeq(header, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		name, value, hasValue := strings.Cut(item, "=")
		w := wordNamed(name)
		switch {
		case w == nil:
			return b, fmt.Errorf("%s: unknown word %q", Header, name)
		case hasValue && w.value == "":
			return b, fmt.Errorf("%s: %s takes no value", Header, name)
		case !hasValue && w.value != "" && w.without == "":
			return b, fmt.Errorf("%s: %s needs a value: %s=%s", Header, name, name, w.value)
		case !hasValue:
			value = w.without
		}
		if err := w.set(&b, value); err != nil {
			return b, fmt.Errorf("%s: %s=%s: %w", Header, name, value, err)
		}
	}
	return b, nil
}

func wordNamed(name string) *word {
	for i := range words {
		if words[i].name == name {
			return &words[i]
		}
	}
	return nil
}

func number[T int | int64](value string, low, high int64, to *T) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < low || n > high {
		return fmt.Errorf("want a whole number from %d to %d", low, high)
	}
	*to = T(n)
	return nil
}

func chunks(value string, to *after) error {
	var n int
	if err := number(value, 0, 10_000_000, &n); err != nil {
		return err
	}
	*to = after(n + 1)
	return nil
}

func duration(value string, to *time.Duration) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > time.Hour {
		return errors.New("want a duration such as 50ms, at most 1h")
	}
	*to = d
	return nil
}

func notEmpty(value string) error {
	if value == "" {
		return errors.New("want a value")
	}
	return nil
}

func setRedirect(b *behaviour, value string) error {
	if _, err := url.Parse(value); err != nil || value == "" {
		return errors.New("want an address")
	}
	b.redirect = value
	return nil
}

func setQuoteKey(b *behaviour, value string) error {
	if value != "full" && value != "masked" {
		return errors.New("want full or masked")
	}
	b.quoteKey = value
	return nil
}

func setHeader(b *behaviour, value string) error {
	name, content, ok := strings.Cut(value, ":")
	if !ok || name == "" {
		return errors.New("want NAME:VALUE")
	}
	b.headers = append(b.headers[:len(b.headers):len(b.headers)], [2]string{name, strings.TrimSpace(content)})
	return nil
}

func setEncoding(name string) func(*behaviour, string) error {
	return func(b *behaviour, _ string) error { b.encoding = name; return nil }
}

// turns counts the requests of a header that misbehaves only on the first ones.
type turns struct {
	mu   sync.Mutex
	seen map[string]int
}

// maxTurns bounds how many different headers are counted; beyond it the counts start anew.
const maxTurns = 10_000

// mine says whether a request with this header is one of the first.
func (t *turns) mine(header string, first int) bool {
	if first == 0 {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) >= maxTurns {
		t.seen = map[string]int{}
	}
	t.seen[header]++
	return t.seen[header] <= first
}

// misbehave puts the answer that was asked for in the place of the endpoint's own.
func (c *call) misbehave(a answer) answer {
	switch {
	case c.quoteKey == "full":
		a = c.fail(http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", fmt.Sprintf("Incorrect API key provided: %s. You can find your API key at https://platform.openai.com/account/api-keys.", c.key))
	case c.quoteKey == "masked":
		a = c.fail(http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", fmt.Sprintf("Incorrect API key provided: %s. You can find your API key at https://platform.openai.com/account/api-keys.", mask(c.key)))
	case c.redirect != "":
		a = text(http.StatusFound, "")
		a.header = http.Header{"Location": {c.redirect}}
		if c.status != 0 {
			a.status = c.status
		}
	case c.status >= http.StatusBadRequest:
		kind, code := errorKind(c.status)
		a = c.fail(c.status, kind, code, fmt.Sprintf("The demo provider was asked to answer %d.", c.status))
	case c.status == http.StatusNoContent || c.status == http.StatusNotModified:
		a = answer{status: c.status}
	case c.status != 0:
		a.status = c.status
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	if c.retryAfter != "" {
		a.header.Set("Retry-After", c.retryAfter)
	}
	for _, h := range c.headers {
		a.header.Add(h[0], h[1])
	}
	if c.bigHead > 0 {
		a.header.Set("X-Demo-Big", strings.Repeat("a", c.bigHead))
	}
	return a
}

// mask writes a key as OpenAI quotes it: its ends and stars between.
func mask(key string) string {
	if len(key) <= 12 {
		return strings.Repeat("*", len(key))
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}

// errorKind is what OpenAI says beside a status.
func errorKind(status int) (kind, code string) {
	switch {
	case status == http.StatusUnauthorized:
		return "invalid_request_error", "invalid_api_key"
	case status == http.StatusForbidden:
		return "permission_error", "forbidden"
	case status == http.StatusTooManyRequests:
		return "requests", "rate_limit_exceeded"
	case status >= http.StatusInternalServerError:
		return "server_error", ""
	}
	return "invalid_request_error", ""
}
