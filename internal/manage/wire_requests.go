package manage

import (
	"strconv"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// wireRequest is what is known of a request: its event without bodies. What is unknown is absent.
type wireRequest struct {
	ID        string            `json:"id" format:"uuid"`
	Time      time.Time         `json:"time"`
	TokenID   string            `json:"token_id,omitempty" format:"uuid"`
	ProjectID string            `json:"project_id,omitempty" format:"uuid"`
	Provider  string            `json:"provider,omitempty"`
	Method    string            `json:"method"`
	Path      string            `json:"path" doc:"Without query"`
	Status    int               `json:"status,omitempty" doc:"As the caller got it"`
	Outcome   string            `json:"outcome" enum:"complete,cut,client_gone,deadline,refused,upstream_error,lost"`
	Code      string            `json:"code,omitempty" doc:"Of our own error, if we answered"`
	Stream    bool              `json:"stream"`
	Model     string            `json:"model,omitempty"`
	Created   int64             `json:"created,omitempty" doc:"The answer's own time in Unix seconds"`
	Timing    wireTiming        `json:"timing"`
	Request   wireMessage       `json:"request"`
	Response  wireMessage       `json:"response"`
	Usage     *wireRequestUsage `json:"usage,omitempty"`
}

// wireTiming has the durations of a request.
type wireTiming struct {
	TotalMS     int64 `json:"total_ms,omitempty"`
	AuthMS      int64 `json:"auth_ms,omitempty"`
	FirstByteMS int64 `json:"first_byte_ms,omitempty"`
	UpstreamMS  int64 `json:"upstream_ms,omitempty"`
}

// wireMessage is what is kept of a request or an answer.
type wireMessage struct {
	Bytes       int64             `json:"bytes"`
	ContentType string            `json:"content_type,omitempty"`
	Encoding    string            `json:"content_encoding,omitempty"`
	Events      int64             `json:"events,omitempty" doc:"Of an event stream"`
	Headers     map[string]string `json:"headers,omitempty" doc:"Of the answer, those on a short list"`
}

// wireRequestUsage is what one request has used.
type wireRequestUsage struct {
	Units
	Source  string  `json:"source" enum:"upstream,estimate"`
	Partial bool    `json:"partial,omitempty" doc:"An estimate from a part of a body"`
	CostUSD decimal `json:"cost_usd,omitempty"`
}

func requestOut(e *llmproxy.Event) wireRequest {
	out := wireRequest{
		ID: e.ID.String(), Time: e.Time, TokenID: idOut(e.TokenID.UUID), ProjectID: idOut(e.ProjectID.UUID), Provider: e.Provider, Method: e.Method, Path: e.Path,
		Status: e.Status, Outcome: string(e.Outcome), Code: e.Code, Stream: e.Stream, Model: e.Model, Created: e.Created,
		Timing: wireTiming{
			TotalMS: e.Timing.Total.Milliseconds(), AuthMS: e.Timing.Auth.Milliseconds(),
			FirstByteMS: e.Timing.FirstByte.Milliseconds(), UpstreamMS: e.Timing.Upstream.Milliseconds(),
		},
		Request: messageOut(&e.Request), Response: messageOut(&e.Response),
	}
	if u := e.Usage; u != nil {
		out.Usage = &wireRequestUsage{
			Units: Units{u.Input, u.Output, u.Total, u.Cached, u.CacheWrite, u.Reasoning}, Source: u.Source, Partial: u.Partial,
		}
		if u.CostUSD != nil {
			out.Usage.CostUSD = decimal(llmproxy.CostOf(*u.CostUSD).String())
		}
	}
	return out
}

func messageOut(m *llmproxy.Message) wireMessage {
	out := wireMessage{Bytes: m.Bytes, ContentType: m.ContentType, Encoding: m.Encoding, Events: m.Events}
	for _, h := range m.Headers {
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[h.Name] = h.Value
	}
	return out
}

var requestColumns = []string{
	"time", "id", "project_id", "token_id", "provider", "method", "path", "model", "status", "outcome", "code", "stream", "total_ms", "auth_ms", "upstream_ms", "first_byte_ms",
	"request_bytes", "response_bytes", "response_events", "input", "output", "total", "cached", "cache_write", "reasoning", "usage_source", "usage_partial", "cost_usd",
}

func requestCells(r *wireRequest) []string {
	u := r.Usage
	partial := ""
	if u == nil {
		u = &wireRequestUsage{}
	} else {
		partial = strconv.FormatBool(u.Partial)
	}
	return []string{
		timeCell(r.Time), r.ID, r.ProjectID, r.TokenID, r.Provider, r.Method, r.Path, r.Model, knownCell(int64(r.Status)), r.Outcome, r.Code, strconv.FormatBool(r.Stream),
		knownCell(r.Timing.TotalMS), knownCell(r.Timing.AuthMS), knownCell(r.Timing.UpstreamMS), knownCell(r.Timing.FirstByteMS),
		strconv.FormatInt(r.Request.Bytes, 10), strconv.FormatInt(r.Response.Bytes, 10), knownCell(r.Response.Events),
		countCell(u.Input), countCell(u.Output), countCell(u.Total), countCell(u.Cached), countCell(u.CacheWrite), countCell(u.Reasoning), u.Source, partial, string(u.CostUSD),
	}
}
