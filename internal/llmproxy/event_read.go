package llmproxy

import (
	"cmp"
	"fmt"
	"slices"
)

// UnmarshalJSON implements [json.Unmarshaler]. Keys it does not know are passed over.
func (e *Event) UnmarshalJSON(data []byte) error {
	var in Event
	var r jsonReader
	version, isAudit := int64(0), false
	r.document(data, func(key, value []byte) {
		switch string(key) {
		case "version":
			version = r.integer(value)
		case "action": // which requests have not
			isAudit = true
		case "id":
			in.ID.UUID = r.id(value)
		case "time":
			in.Time = r.time(value)
		case "token_id":
			in.TokenID.UUID = r.id(value)
		case "project_id":
			in.ProjectID.UUID = r.id(value)
		case "provider":
			in.Provider = r.text(value)
		case "method":
			in.Method = r.text(value)
		case "path":
			in.Path = r.text(value)
		case "status":
			in.Status = int(r.integer(value))
		case "outcome":
			in.Outcome = Outcome(r.text(value))
		case "code":
			in.Code = r.text(value)
		case "stream":
			in.Stream = r.boolean(value)
		case "timing":
			in.Timing.read(&r, value)
		case "request":
			in.Request.read(&r, value)
		case "response":
			in.Response.read(&r, value)
		case "model":
			in.Model = r.text(value)
		case "created":
			in.Created = r.integer(value)
		case "usage":
			in.Usage = readUsage(&r, value)
		case "usage_kind":
			in.UsageKind = r.text(value)
		case "test":
			in.Test = r.boolean(value)
		}
	})
	switch {
	case r.err != nil:
		return fmt.Errorf("event %s: %w", in.ID, r.err)
	case version != EventVersion:
		return fmt.Errorf("event %s has version %d, this program reads version %d", in.ID, version, EventVersion)
	case isAudit:
		var entry AuditEntry
		if err := entry.UnmarshalJSON(data); err != nil {
			return err
		}
		in = *entry.Event()
	}
	*e = in
	return nil
}

var quote = []byte{'"'}

func (t *Timing) read(r *jsonReader, data []byte) {
	r.object(data, func(key, value []byte) {
		switch string(key) {
		case "total_ms":
			t.Total = r.millis(value)
		case "auth_ms":
			t.Auth = r.millis(value)
		case "first_byte_ms":
			t.FirstByte = r.millis(value)
		case "upstream_ms":
			t.Upstream = r.millis(value)
		}
	})
}

func (m *Message) read(r *jsonReader, data []byte) {
	r.object(data, func(key, value []byte) {
		switch string(key) {
		case "bytes":
			m.Bytes = r.integer(value)
		case "content_type":
			m.ContentType = r.text(value)
		case "content_encoding":
			m.Encoding = r.text(value)
		case "events":
			m.Events = r.integer(value)
		case "headers":
			r.object(value, func(name, value []byte) {
				m.Headers = append(m.Headers, Header{r.text(slices.Concat(quote, name, quote)), r.text(value)})
			})
			slices.SortFunc(m.Headers, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
		case "body":
			m.Body = readBody(r, value)
		}
	})
}

// readBody reads {text | base64, head_bytes, tail?, truncated, size}, or {s3, size}. The tail is written as the head is.
func readBody(r *jsonReader, data []byte) *Body {
	if isNull(data) {
		return nil
	}
	b := &Body{}
	var tail []byte
	isText := false
	r.object(data, func(key, value []byte) {
		switch string(key) {
		case "text":
			if !isNull(value) {
				b.Head, isText = []byte(r.text(value)), true
			}
		case "base64":
			b.Head = r.bytes(value)
		case "tail":
			tail = value
		case "size":
			b.Size = r.integer(value)
		case "s3":
			b.S3 = r.text(value)
		}
	})
	switch {
	case tail == nil:
	case isText:
		b.Tail = []byte(r.text(tail))
	default:
		b.Tail = r.bytes(tail)
	}
	return b
}

func readUsage(r *jsonReader, data []byte) *Usage {
	if isNull(data) {
		return nil
	}
	u := &Usage{}
	r.object(data, func(key, value []byte) {
		switch string(key) {
		case "input":
			u.Input = known(value, r.integer)
		case "output":
			u.Output = known(value, r.integer)
		case "total":
			u.Total = known(value, r.integer)
		case "cached":
			u.Cached = known(value, r.integer)
		case "cache_write":
			u.CacheWrite = known(value, r.integer)
		case "reasoning":
			u.Reasoning = known(value, r.integer)
		case "source":
			u.Source = r.text(value)
		case "partial":
			u.Partial = r.boolean(value)
		case "cost_usd":
			u.CostUSD = known(value, r.number)
		}
	})
	return u
}

// UnmarshalJSON implements [json.Unmarshaler].
func (b *Begin) UnmarshalJSON(data []byte) error {
	var in Begin
	var r jsonReader
	r.document(data, func(key, value []byte) {
		switch string(key) {
		case "begin":
			in.ID.UUID = r.id(value)
		case "time":
			in.Time = r.time(value)
		case "token_id":
			in.TokenID.UUID = r.id(value)
		case "project_id":
			in.ProjectID.UUID = r.id(value)
		case "method":
			in.Method = r.text(value)
		case "path":
			in.Path = r.text(value)
		}
	})
	if r.err != nil {
		return fmt.Errorf("begin %s: %w", in.ID, r.err)
	}
	*b = in
	return nil
}
