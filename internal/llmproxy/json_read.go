package llmproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonReader takes the members of JSON objects apart without reflection: events are read back as often as requests come. It keeps the
// first error; what is read after one is worth nothing. Its methods take a value's bytes; null reads as the zero value.
type jsonReader struct{ err error }

func (r *jsonReader) fail(value []byte, wanted string) {
	if r.err == nil {
		r.err = fmt.Errorf("%.40q is not %s", value, wanted)
	}
}

// document is object for bytes that nobody has looked at yet.
func (r *jsonReader) document(data []byte, member func(key, value []byte)) {
	if !json.Valid(data) {
		r.fail(data, "JSON")
		return
	}
	r.object(bytes.TrimSpace(data), member)
}

// object calls member for each member of an object of valid JSON, in order. Keys are as they are spelled, without their quotes: an escaped
// one is another.
func (r *jsonReader) object(data []byte, member func(key, value []byte)) {
	if isNull(data) {
		return
	}
	if data[0] != '{' {
		r.fail(data, "an object")
		return
	}
	for i := skipSpace(data, 1); data[i] != '}' && r.err == nil; {
		keyEnd := valueEnd(data, i)
		key := data[i+1 : keyEnd-1]
		i = skipSpace(data, skipSpace(data, keyEnd)+1) // behind the colon
		end := valueEnd(data, i)
		member(key, data[i:end])
		i = skipSpace(data, end)
		if data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
}

func isNull(value []byte) bool { return value[0] == 'n' }

func skipSpace(data []byte, i int) int {
	for data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r' {
		i++
	}
	return i
}

// valueEnd is where the value that begins at i ends.
func valueEnd(data []byte, i int) int {
	depth := 0
	for ; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // behind a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

func (r *jsonReader) text(value []byte) string {
	switch {
	case isNull(value):
		return ""
	case value[0] != '"':
		r.fail(value, "a string")
		return ""
	case bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value):
		return string(value[1 : len(value)-1])
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		r.err = errors.Join(r.err, err)
	}
	return s
}

func (r *jsonReader) integer(value []byte) int64 {
	if isNull(value) {
		return 0
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		r.fail(value, "a whole number")
	}
	return n
}

// known reads a number that may be unknown.
func known[T any](value []byte, read func([]byte) T) *T {
	if isNull(value) {
		return nil
	}
	n := read(value)
	return &n
}

func (r *jsonReader) number(value []byte) float64 {
	n, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		r.fail(value, "a number")
	}
	return n
}

func (r *jsonReader) boolean(value []byte) bool {
	switch string(value) {
	case "true":
		return true
	case "false", "null":
		return false
	}
	r.fail(value, "true or false")
	return false
}

func (r *jsonReader) id(value []byte) UUID {
	if value[0] == '"' {
		if id, ok := parseUUID(value[1 : len(value)-1]); ok {
			return id
		}
	}
	if !isNull(value) {
		r.fail(value, "an id")
	}
	return UUID{}
}

func (r *jsonReader) time(value []byte) time.Time {
	if isNull(value) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, r.text(value))
	if err != nil {
		r.fail(value, "a time")
	}
	return t.UTC()
}

// millis reads a duration in milliseconds. One that was under a millisecond, and so written as 0, reads as one nanosecond: known.
func (r *jsonReader) millis(value []byte) time.Duration {
	if isNull(value) {
		return 0
	}
	return max(1, time.Duration(r.integer(value))*time.Millisecond)
}

// bytes reads base64.
func (r *jsonReader) bytes(value []byte) []byte {
	var b []byte
	if err := json.Unmarshal(value, &b); err != nil {
		r.fail(value, "base64")
	}
	return b
}
