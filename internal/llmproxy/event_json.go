package llmproxy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// TimeFormat is RFC 3339 with milliseconds, for times in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// AppendTime adds t in TimeFormat.
func AppendTime(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, TimeFormat) }

// AppendJSON adds the record with its bodies, as one line of JSON.
func (e *Event) AppendJSON(dst []byte) []byte { return e.appendJSON(dst, true) }

// AppendMeta adds the record without its bodies, as one line of JSON.
func (e *Event) AppendMeta(dst []byte) []byte { return e.appendJSON(dst, false) }

// MarshalJSON implements [json.Marshaler].
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

func (e *Event) appendJSON(dst []byte, bodies bool) []byte {
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
	return append(e.AppendDetails(dst, bodies), '}')
}

// AppendDetails adds what the record says beyond who asked for what and how it ended: code, stream, timing, request, response,
// model, created and usage, each led by a comma, to be written into an object that has a member already.
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
// drops the torn bytes; tail is written as head is.
func (b *Body) appendJSON(dst []byte) []byte {
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

// eventJSON is the record as [json.Unmarshal] reads it.
type eventJSON struct {
	ID        EventID     `json:"id"`
	Time      time.Time   `json:"time"`
	TokenID   TokenID     `json:"token_id"`
	ProjectID ProjectID   `json:"project_id"`
	Provider  string      `json:"provider"`
	Method    string      `json:"method"`
	Path      string      `json:"path"`
	Status    int         `json:"status"`
	Outcome   Outcome     `json:"outcome"`
	Code      string      `json:"code"`
	Stream    bool        `json:"stream"`
	Timing    timingJSON  `json:"timing"`
	Request   messageJSON `json:"request"`
	Response  messageJSON `json:"response"`
	Model     string      `json:"model"`
	Created   int64       `json:"created"`
	Usage     *Usage      `json:"usage"`
	Version   int         `json:"version"`
}

type timingJSON struct {
	Total     *int64 `json:"total_ms"`
	Auth      *int64 `json:"auth_ms"`
	FirstByte *int64 `json:"first_byte_ms"`
	Upstream  *int64 `json:"upstream_ms"`
}

type messageJSON struct {
	Bytes       int64             `json:"bytes"`
	ContentType string            `json:"content_type"`
	Encoding    string            `json:"content_encoding"`
	Events      int64             `json:"events"`
	Headers     map[string]string `json:"headers"`
	Body        *bodyJSON         `json:"body"`
}

type bodyJSON struct {
	Text   *string `json:"text"`
	Base64 []byte  `json:"base64"`
	Tail   string  `json:"tail"`
	Size   int64   `json:"size"`
}

// UnmarshalJSON implements [json.Unmarshaler]. Keys it does not know are passed over. A duration that was under a millisecond, and
// so written as 0, reads as one nanosecond: known.
func (e *Event) UnmarshalJSON(data []byte) error {
	var r eventJSON
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	if r.Version != EventVersion {
		return fmt.Errorf("event %s has version %d, this program reads version %d", r.ID, r.Version, EventVersion)
	}
	request, err := r.Request.message()
	if err != nil {
		return fmt.Errorf("event %s: request: %w", r.ID, err)
	}
	response, err := r.Response.message()
	if err != nil {
		return fmt.Errorf("event %s: response: %w", r.ID, err)
	}
	*e = Event{
		ID: r.ID, Time: r.Time.UTC(), TokenID: r.TokenID, ProjectID: r.ProjectID, Provider: r.Provider, Method: r.Method, Path: r.Path,
		Status: r.Status, Outcome: r.Outcome, Code: r.Code, Stream: r.Stream, Request: request, Response: response,
		Timing: Timing{Total: fromMillis(r.Timing.Total), Auth: fromMillis(r.Timing.Auth), FirstByte: fromMillis(r.Timing.FirstByte), Upstream: fromMillis(r.Timing.Upstream)},
		Model:  r.Model, Created: r.Created, Usage: r.Usage,
	}
	return nil
}

func (r *messageJSON) message() (Message, error) {
	m := Message{Bytes: r.Bytes, ContentType: r.ContentType, Encoding: r.Encoding, Events: r.Events}
	for name, value := range r.Headers {
		m.Headers = append(m.Headers, Header{name, value})
	}
	slices.SortFunc(m.Headers, func(a, b Header) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	if r.Body == nil {
		return m, nil
	}
	m.Body = &Body{Size: r.Body.Size}
	if r.Body.Text != nil {
		m.Body.Head = []byte(*r.Body.Text)
		if r.Body.Tail != "" {
			m.Body.Tail = []byte(r.Body.Tail)
		}
		return m, nil
	}
	tail, err := base64.StdEncoding.DecodeString(r.Body.Tail)
	if err != nil {
		return Message{}, fmt.Errorf("tail: %w", err)
	}
	m.Body.Head = r.Body.Base64
	if len(tail) > 0 {
		m.Body.Tail = tail
	}
	return m, nil
}

func fromMillis(ms *int64) time.Duration {
	switch {
	case ms == nil:
		return 0
	case *ms == 0:
		return 1
	}
	return time.Duration(*ms) * time.Millisecond
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

// UnmarshalJSON implements [json.Unmarshaler].
func (b *Begin) UnmarshalJSON(data []byte) error {
	var r struct {
		ID        EventID   `json:"begin"`
		Time      time.Time `json:"time"`
		TokenID   TokenID   `json:"token_id"`
		ProjectID ProjectID `json:"project_id"`
		Method    string    `json:"method"`
		Path      string    `json:"path"`
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	*b = Begin{ID: r.ID, Time: r.Time.UTC(), TokenID: r.TokenID, ProjectID: r.ProjectID, Method: r.Method, Path: r.Path}
	return nil
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

// AppendString adds s as a JSON string that is safe to show: beside what JSON asks for, DEL, the C1 controls, the line separators
// and the characters that turn the direction of text (Unicode's Bidi_Control) are escaped, and invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < 0x7f {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, `\n`...)
			case '\r':
				dst = append(dst, `\r`...)
			case '\t':
				dst = append(dst, `\t`...)
			default:
				dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[start:i]...), "\uFFFD"...)
			i++
			start = i
			continue
		}
		if unsafeToShow(r) {
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
			i += size
			start = i
			continue
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

func unsafeToShow(r rune) bool {
	return r >= 0x80 && r <= 0x9f || r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
