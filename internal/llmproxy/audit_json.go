package llmproxy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Event is how an audit entry travels on the bus, beside the events of requests.
func (e *AuditEntry) Event() *Event {
	return &Event{ID: EventID(e.ID), Time: e.Time, TokenID: e.TokenID, ProjectID: e.ProjectID, Audit: e}
}

// AppendJSON adds the entry as one line of JSON, as it stands on the bus. What is unknown is absent.
func (e *AuditEntry) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"version":`...)
	dst = strconv.AppendInt(dst, EventVersion, 10)
	dst = appendID(dst, `,"id":"`, e.ID.UUID)
	dst = append(dst, `,"time":"`...)
	dst = append(AppendTime(dst, e.Time), '"')
	dst = AppendString(append(dst, `,"action":`...), e.Action)
	dst = AppendString(append(dst, `,"outcome":`...), e.Outcome)
	dst = appendString(dst, `,"reason":`, e.Reason)
	dst = AppendString(append(dst, `,"actor":`...), e.Actor.Name)
	dst = appendString(dst, `,"client_addr":`, e.Actor.ClientAddr)
	dst = appendString(dst, `,"forwarded":`, e.Actor.Forwarded)
	dst = appendString(dst, `,"request_id":`, e.Actor.RequestID)
	if !e.ProjectID.IsZero() {
		dst = appendID(dst, `,"project_id":"`, e.ProjectID.UUID)
	}
	if !e.TokenID.IsZero() {
		dst = appendID(dst, `,"token_id":"`, e.TokenID.UUID)
	}
	dst = appendMap(dst, `,"before":`, e.Before)
	dst = appendMap(dst, `,"after":`, e.After)
	dst = appendInt(dst, `,"suppressed":`, e.Suppressed)
	return append(dst, '}')
}

// appendMap adds key and the members of m, in the order of their names, unless m is empty.
func appendMap(dst []byte, key string, m map[string]string) []byte {
	if len(m) == 0 {
		return dst
	}
	dst = append(append(dst, key...), '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, name)
		dst = AppendString(append(dst, ':'), m[name])
	}
	return append(dst, '}')
}

// UnmarshalJSON implements [json.Unmarshaler]. Keys it does not know are passed over.
func (e *AuditEntry) UnmarshalJSON(data []byte) error {
	var in AuditEntry
	var r jsonReader
	version := int64(0)
	r.document(data, func(key, value []byte) {
		switch string(key) {
		case "version":
			version = r.integer(value)
		case "id":
			in.ID.UUID = r.id(value)
		case "time":
			in.Time = r.time(value)
		case "action":
			in.Action = r.text(value)
		case "outcome":
			in.Outcome = r.text(value)
		case "reason":
			in.Reason = r.text(value)
		case "actor":
			in.Actor.Name = r.text(value)
		case "client_addr":
			in.Actor.ClientAddr = r.text(value)
		case "forwarded":
			in.Actor.Forwarded = r.text(value)
		case "request_id":
			in.Actor.RequestID = r.text(value)
		case "project_id":
			in.ProjectID.UUID = r.id(value)
		case "token_id":
			in.TokenID.UUID = r.id(value)
		case "before":
			in.Before = r.texts(value)
		case "after":
			in.After = r.texts(value)
		case "suppressed":
			in.Suppressed = r.integer(value)
		}
	})
	switch {
	case r.err != nil:
		return fmt.Errorf("audit event %s: %w", in.ID, r.err)
	case version != EventVersion:
		return fmt.Errorf("audit event %s has version %d, this program reads version %d", in.ID, version, EventVersion)
	}
	*e = in
	return nil
}

// texts reads an object of strings.
func (r *jsonReader) texts(data []byte) map[string]string {
	var m map[string]string
	r.object(data, func(name, value []byte) {
		if m == nil {
			m = map[string]string{}
		}
		m[r.text(slices.Concat(quote, name, quote))] = r.text(value)
	})
	return m
}
