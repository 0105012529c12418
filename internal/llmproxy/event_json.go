package llmproxy

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// TimeFormat is RFC 3339 with milliseconds, for times in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// AppendTime adds t in TimeFormat. Package time has a short way for RFC 3339 without a fraction; this runs three times a request.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(dst, time.RFC3339)
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(dst[:len(dst)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// AppendJSON adds the record with its bodies, as one line of JSON.
func (e *Event) AppendJSON(dst []byte) []byte { return e.appendJSON(dst, true) }

// AppendMeta adds the record without its bodies, as one line of JSON.
func (e *Event) AppendMeta(dst []byte) []byte { return e.appendJSON(dst, false) }

// MarshalJSON implements [json.Marshaler].
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

func (e *Event) appendJSON(dst []byte, bodies bool) []byte {
	if e.Audit != nil {
		return e.Audit.AppendJSON(dst)
	}
	dst = append(dst, `{"version":`...)
	dst = strconv.AppendInt(dst, EventVersion, 10)
	dst = appendID(dst, `,"id":"`, e.ID.UUID)
	dst = append(dst, `,"time":"`...)
	dst = append(AppendTime(dst, e.Time), '"')
	if !e.TokenID.IsZero() {
		dst = appendID(dst, `,"token_id":"`, e.TokenID.UUID)
	}
	if !e.ProjectID.IsZero() {
		dst = appendID(dst, `,"project_id":"`, e.ProjectID.UUID)
	}
	dst = appendString(dst, `,"provider":`, e.Provider)
	dst = appendString(dst, `,"method":`, e.Method)
	dst = appendString(dst, `,"path":`, e.Path)
	dst = appendInt(dst, `,"status":`, int64(e.Status))
	dst = appendString(dst, `,"outcome":`, string(e.Outcome))
	dst = e.AppendDetails(dst, bodies)
	return append(appendString(dst, `,"usage_kind":`, e.UsageKind), '}')
}

// AppendDetails adds what the record says beyond who asked for what and how it ended: code, stream, timing, request, response,
// model, created, usage and test, each led by a comma, to be written into an object that has a member already.
func (e *Event) AppendDetails(dst []byte, bodies bool) []byte {
	dst = appendString(dst, `,"code":`, e.Code)
	dst = append(dst, `,"stream":`...)
	dst = strconv.AppendBool(dst, e.Stream)
	dst = append(dst, `,"timing":{`...)
	dst = appendMillis(dst, `"total_ms":`, e.Timing.Total)
	dst = appendMillis(dst, `"auth_ms":`, e.Timing.Auth)
	dst = appendMillis(dst, `"first_byte_ms":`, e.Timing.FirstByte)
	dst = appendMillis(dst, `"upstream_ms":`, e.Timing.Upstream)
	dst = append(dst, '}')
	dst = e.Request.appendJSON(append(dst, `,"request":`...), bodies)
	dst = e.Response.appendJSON(append(dst, `,"response":`...), bodies)
	dst = appendString(dst, `,"model":`, e.Model)
	dst = appendInt(dst, `,"created":`, e.Created)
	if e.Usage != nil {
		usage, _ := json.Marshal(e.Usage) // numbers, a bool and a constant: it cannot fail
		dst = append(append(dst, `,"usage":`...), usage...)
	}
	if e.Test {
		dst = append(dst, `,"test":true`...)
	}
	return dst
}

func (m *Message) appendJSON(dst []byte, bodies bool) []byte {
	dst = append(dst, `{"bytes":`...)
	dst = strconv.AppendInt(dst, m.Bytes, 10)
	dst = appendString(dst, `,"content_type":`, m.ContentType)
	dst = appendString(dst, `,"content_encoding":`, m.Encoding)
	dst = appendInt(dst, `,"events":`, m.Events)
	if len(m.Headers) > 0 {
		dst = append(dst, `,"headers":{`...)
		for i, h := range m.Headers {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(dst, h.Name)
			dst = AppendString(append(dst, ':'), h.Value)
		}
		dst = append(dst, '}')
	}
	if bodies && m.Body != nil {
		dst = m.Body.appendJSON(append(dst, `,"body":`...))
	}
	return append(dst, '}')
}

// appendJSON writes {text | base64, head_bytes, tail?, truncated, size}. A cut through a character at the inner edge of head or tail
// drops the torn bytes; tail is written as head is. A body that lies elsewhere is {s3, size}.
func (b *Body) appendJSON(dst []byte) []byte {
	if b.S3 != "" {
		dst = AppendString(append(dst, `{"s3":`...), b.S3)
		return append(appendInt(dst, `,"size":`, b.Size), '}')
	}
	head, tail := b.Head, b.Tail
	if b.Truncated() {
		head, tail = trimTornEnd(head), trimTornStart(tail)
	} else if len(tail) > 0 {
		head, tail = slices.Concat(head, tail), nil
	}
	if utf8.Valid(head) && utf8.Valid(tail) {
		dst = AppendString(append(dst, `{"text":`...), string(head))
		dst = appendInt(dst, `,"head_bytes":`, int64(len(head)))
		dst = appendString(dst, `,"tail":`, string(tail))
	} else {
		head, tail = b.Head, b.Tail
		if !b.Truncated() {
			head, tail = slices.Concat(head, tail), nil
		}
		dst = append(base64.StdEncoding.AppendEncode(append(dst, `{"base64":"`...), head), '"')
		dst = appendInt(dst, `,"head_bytes":`, int64(len(head)))
		if len(tail) > 0 {
			dst = append(base64.StdEncoding.AppendEncode(append(dst, `,"tail":"`...), tail), '"')
		}
	}
	dst = strconv.AppendBool(append(dst, `,"truncated":`...), b.Truncated())
	dst = strconv.AppendInt(append(dst, `,"size":`...), b.Size, 10)
	return append(dst, '}')
}

// trimTornEnd drops a character that the end of b cuts through.
func trimTornEnd(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// trimTornStart drops the rest of a character that the start of b cuts through.
func trimTornStart(b []byte) []byte {
	for i := 0; i < utf8.UTFMax-1 && i < len(b); i++ {
		if utf8.RuneStart(b[i]) {
			return b[i:]
		}
	}
	return b
}

// AppendJSON adds the line {"begin":id,time,token_id,project_id,method,path}.
func (b *Begin) AppendJSON(dst []byte) []byte {
	dst = appendID(dst, `{"begin":"`, b.ID.UUID)
	dst = append(dst, `,"time":"`...)
	dst = append(AppendTime(dst, b.Time), '"')
	dst = appendID(dst, `,"token_id":"`, b.TokenID.UUID)
	dst = appendID(dst, `,"project_id":"`, b.ProjectID.UUID)
	dst = appendString(dst, `,"method":`, b.Method)
	dst = appendString(dst, `,"path":`, b.Path)
	return append(dst, '}')
}

func appendID(dst []byte, key string, id UUID) []byte {
	return append(id.Append(append(dst, key...)), '"')
}

// appendString adds key and s unless s is empty.
func appendString(dst []byte, key, s string) []byte {
	if s == "" {
		return dst
	}
	return AppendString(append(dst, key...), s)
}

// appendInt adds key and n unless n is 0.
func appendInt(dst []byte, key string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, key...), n, 10)
}

// appendMillis adds key and d in milliseconds unless d is 0, and a comma unless it is the object's first.
func appendMillis(dst []byte, key string, d time.Duration) []byte {
	if d == 0 {
		return dst
	}
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return strconv.AppendInt(append(dst, key...), d.Milliseconds(), 10)
}
