package llmproxy_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func ptr[T any](v T) *T { return &v }

func fullEvent() *llmproxy.Event {
	return &llmproxy.Event{
		ID: llmproxy.NewEventID(noon), Time: noon.Add(7 * time.Millisecond), TokenID: llmproxy.NewTokenID(noon), ProjectID: llmproxy.NewProjectID(noon),
		Provider: "openai", Method: "POST", Path: "/v1/chat/completions", Status: 200, Outcome: llmproxy.Complete, Stream: true,
		Timing:  llmproxy.Timing{Total: 1200 * time.Millisecond, Auth: 300 * time.Microsecond, FirstByte: 250 * time.Millisecond, Upstream: 1190 * time.Millisecond},
		Request: llmproxy.Message{Bytes: 12, ContentType: "application/json", Body: &llmproxy.Body{Head: []byte(`{"model":"x"}`)[:12], Size: 12}},
		Response: llmproxy.Message{
			Bytes: 40, ContentType: "text/event-stream", Encoding: "gzip", Events: 3,
			Headers: []llmproxy.Header{{Name: "x-ratelimit-remaining-requests", Value: "9"}, {Name: "x-request-id", Value: "req_1"}},
			Body:    &llmproxy.Body{Head: []byte{0x1f, 0x8b, 0xff}, Tail: []byte{0xfe, 0x00}, Size: 40},
		},
		Model: "gpt-4o", Usage: &llmproxy.Usage{Input: ptr(int64(3)), Output: ptr(int64(0)), Total: ptr(int64(3)), Source: llmproxy.SourceUpstream, CostUSD: ptr(0.25)},
	}
}

func TestEventComesBackFromItsRecord(t *testing.T) {
	e := fullEvent()
	e.Timing.Auth = 0
	line, err := json.Marshal(e)
	require.NoError(t, err)
	require.NotContains(t, string(line), "\n")
	var back llmproxy.Event
	require.NoError(t, json.Unmarshal(line, &back))
	require.Equal(t, e, &back)
}

func TestEventRecordIsTheDocumentedOne(t *testing.T) {
	e := fullEvent()
	e.ID, _ = llmproxy.ParseEventID("019aab3c-0000-7000-8000-000000000001")
	e.TokenID, _ = llmproxy.ParseTokenID("019aab3c-0000-7000-8000-000000000002")
	e.ProjectID, _ = llmproxy.ParseProjectID("019aab3c-0000-7000-8000-000000000003")
	require.Equal(t, `{"version":1,"id":"019aab3c-0000-7000-8000-000000000001","time":"2026-11-22T12:00:00.007Z","token_id":"019aab3c-0000-7000-8000-000000000002","project_id":"019aab3c-0000-7000-8000-000000000003",`+
		`"provider":"openai","method":"POST","path":"/v1/chat/completions","status":200,"outcome":"complete","stream":true,"timing":{"total_ms":1200,"auth_ms":0,"first_byte_ms":250,"upstream_ms":1190},`+
		`"request":{"bytes":12,"content_type":"application/json","body":{"text":"{\"model\":\"x\"","head_bytes":12,"truncated":false,"size":12}},`+
		`"response":{"bytes":40,"content_type":"text/event-stream","content_encoding":"gzip","events":3,"headers":{"x-ratelimit-remaining-requests":"9","x-request-id":"req_1"},"body":{"base64":"H4v/","head_bytes":3,"tail":"/gA=","truncated":true,"size":40}},`+
		`"model":"gpt-4o","usage":{"input":3,"output":0,"total":3,"source":"upstream","cost_usd":0.25}}`, string(e.AppendJSON(nil)))
}

func TestWhatIsUnknownIsAbsent(t *testing.T) {
	begin := llmproxy.Begin{ID: llmproxy.NewEventID(noon), Time: noon, TokenID: llmproxy.NewTokenID(noon), ProjectID: llmproxy.NewProjectID(noon), Method: "POST", Path: "/v1/models/7"}
	line := string(begin.Lost().AppendJSON(nil))
	for _, key := range []string{"provider", "status", "code", "model", "usage", "total_ms", "auth_ms", "body", "headers", "events", "content_type"} {
		require.NotContains(t, line, `"`+key+`"`)
	}
	require.Contains(t, line, `"outcome":"lost"`)
	require.Contains(t, line, `"timing":{}`)
	require.True(t, json.Valid([]byte(line)))
	stranger := llmproxy.Event{ID: begin.ID, Time: noon, Outcome: llmproxy.Refused}
	require.NotContains(t, string(stranger.AppendJSON(nil)), "token_id")
}

func TestMetaLeavesTheBodiesOut(t *testing.T) {
	e := fullEvent()
	require.NotContains(t, string(e.AppendMeta(nil)), `"body"`)
	e.Request.Body, e.Response.Body = nil, nil
	require.Equal(t, string(e.AppendJSON(nil)), string(e.AppendMeta(nil)))
}

func TestBeginComesBackFromItsLine(t *testing.T) {
	begin := llmproxy.Begin{ID: llmproxy.NewEventID(noon), Time: noon, TokenID: llmproxy.NewTokenID(noon), ProjectID: llmproxy.NewProjectID(noon), Method: "POST", Path: "/v1/chat/completions"}
	line := begin.AppendJSON(nil)
	require.True(t, strings.HasPrefix(string(line), `{"begin":"`))
	var back llmproxy.Begin
	require.NoError(t, json.Unmarshal(line, &back))
	require.Equal(t, begin, back)
	require.Error(t, json.Unmarshal([]byte(`{"begin":"x"}`), &back))
}

func TestRecordsThatAreNotOursAreErrors(t *testing.T) {
	for _, line := range []string{
		`{`, `[]`, `{"version":2}`, `{"version":"1"}`, `{"version":1,"id":5}`, `{"version":1,"time":5}`, `{"version":1,"path":[]}`, `{"version":1,"status":1.5}`, `{"version":1,"stream":0}`,
		`{"version":1,"timing":[1]}`, `{"version":1,"usage":{"input":"3"}}`, `{"version":1,"usage":{"cost_usd":true}}`, `{"version":1,"request":{"body":{"base64":7}}}`, `{"version":1,"response":{"headers":{"a":1}}}`,
		`{"version":1} {}`, "", " ", `{}`, `{"version":1,"id":"x"}`, `{"version":1,"time":"yesterday"}`,
		`{"version":1,"request":{"body":{"base64":"AA==","tail":"%"}}}`, `{"version":1,"response":{"body":{"base64":"AA==","tail":"%"}}}`,
	} {
		var e llmproxy.Event
		require.Error(t, json.Unmarshal([]byte(line), &e), line)
	}
}

func TestRecordsAreReadHoweverTheyAreSpaced(t *testing.T) {
	e := fullEvent()
	e.Path, e.Model, e.Timing.Auth = "/v1/\"quoted\"\\{[,]}", "modèle\u202e", 0
	var spaced, back llmproxy.Event
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, e.AppendJSON(nil), "", "\t"))
	require.NoError(t, spaced.UnmarshalJSON(append([]byte(" \n"), indented.Bytes()...)))
	require.Equal(t, e, &spaced)
	require.NoError(t, back.UnmarshalJSON([]byte(`{"version":1,"unknown":{"a":[1,{"b":"}"}]},"id":null,"time":null,"timing":null,"request":{"body":null},"usage":null,"status":null,"path":null,"stream":null}`)))
	require.Zero(t, back)
	require.NoError(t, back.UnmarshalJSON([]byte(`{"version":1,"usage":{"input":null,"output":0,"source":"upstream"}}`)))
	require.Equal(t, &llmproxy.Usage{Output: ptr(int64(0)), Source: llmproxy.SourceUpstream}, back.Usage)
}

// FuzzReadEvent gives the reader whatever comes: it never panics, and what it takes is JSON that it writes and reads the same again.
func FuzzReadEvent(f *testing.F) {
	f.Add(fullEvent().AppendJSON(nil))
	entry := fullEntry()
	f.Add(entry.AppendJSON(nil))
	f.Add([]byte(`{"version":1,"response":{"headers":{"a\"b":"c"},"body":{"tail":"x","text":""}},"id":5}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var e, back llmproxy.Event
		if e.UnmarshalJSON(line) != nil {
			return
		}
		if !json.Valid(line) {
			t.Fatalf("took %q", line)
		}
		written := e.AppendMeta(nil)
		if err := back.UnmarshalJSON(written); err != nil {
			t.Fatalf("%v in %q", err, written)
		}
		if again := back.AppendMeta(nil); !bytes.Equal(again, written) {
			t.Fatalf("%q came back as %q", written, again)
		}
	})
}

func TestBodiesCutThroughACharacterStayText(t *testing.T) {
	text := []byte("Grüße")
	b := llmproxy.Body{Head: text[:3], Tail: text[4:], Size: 100} // the cuts go through ü on both sides
	e := llmproxy.Event{Response: llmproxy.Message{Body: &b}}
	require.Contains(t, string(e.AppendJSON(nil)), `"body":{"text":"Gr","head_bytes":2,"tail":"ße","truncated":true,"size":100}`)

	whole := llmproxy.Body{Head: text[:3], Tail: text[3:], Size: int64(len(text))}
	e.Response.Body = &whole
	require.Contains(t, string(e.AppendJSON(nil)), `"body":{"text":"Grüße","head_bytes":7,"truncated":false,"size":7}`)

	binary := llmproxy.Body{Head: []byte{0xff, 0xd8}, Tail: []byte{0xff}, Size: 3}
	e.Response.Body = &binary
	require.Contains(t, string(e.AppendJSON(nil)), `"body":{"base64":"/9j/","head_bytes":3,"truncated":false,"size":3}`)
}

func TestStringsAreSafeToShow(t *testing.T) {
	hostile := "a\r\nb\x1b[31mred\x00\u202egnp\u2028\u0085\x7f\xff\"\\\t" + "\u2066é世🎉"
	out := string(llmproxy.AppendString(nil, hostile))
	var back string
	require.NoError(t, json.Unmarshal([]byte(out), &back))
	require.Equal(t, strings.ToValidUTF8(hostile, "\uFFFD"), back)
	for _, r := range out {
		require.True(t, r >= ' ' && r != 0x7f && !(r >= 0x80 && r < 0xa0) && !(r >= 0x2028 && r <= 0x202e) && !(r >= 0x2066 && r <= 0x2069), "%U is shown", r)
	}
	require.Contains(t, out, "é世🎉", "letters stay readable")
}

func TestTimesHaveTheirFormat(t *testing.T) {
	east := time.FixedZone("east", 5*3600+1800)
	for _, at := range []time.Time{noon, noon.Add(7 * time.Millisecond), noon.Add(999*time.Millisecond + 999*time.Microsecond), noon.In(east), time.Unix(0, 0), {}} {
		require.Equal(t, at.UTC().Format(llmproxy.TimeFormat), string(llmproxy.AppendTime(nil, at)))
	}
}

func FuzzEventRecord(f *testing.F) {
	f.Add("/v1/chat/completions", "m", []byte("head"), []byte("tail"), int64(8), 200)
	f.Add("\x00\u202e", "\xff", []byte{0xff, 0xfe}, []byte{0xc3}, int64(1<<40), 0)
	f.Fuzz(func(t *testing.T, path, model string, head, tail []byte, size int64, status int) {
		if len(head) == 0 {
			tail = nil
		}
		size = max(size, int64(len(head)+len(tail)))
		e := llmproxy.Event{
			ID: llmproxy.NewEventID(noon), Time: noon, Path: path, Model: model, Status: status, Outcome: llmproxy.Cut,
			Response: llmproxy.Message{Bytes: size, Body: &llmproxy.Body{Head: head, Tail: tail, Size: size}},
		}
		line := e.AppendJSON(nil)
		if bytes.ContainsAny(line, "\n\r\x00\x1b") {
			t.Fatalf("a control character in %q", line)
		}
		var back llmproxy.Event
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if back.Path != strings.ToValidUTF8(path, "\uFFFD") && utf8.ValidString(path) {
			t.Fatalf("path %q came back as %q", path, back.Path)
		}
		if !e.Response.Body.Truncated() && !bytes.Equal(append(back.Response.Body.Head, back.Response.Body.Tail...), append(head[:len(head):len(head)], tail...)) {
			t.Fatalf("body %q %q came back as %q %q", head, tail, back.Response.Body.Head, back.Response.Body.Tail)
		}
	})
}

func BenchmarkAppendMeta(b *testing.B) {
	e := fullEvent()
	e.Usage = nil
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.AppendMeta(buf[:0])
	}
}

func BenchmarkUnmarshalEvent(b *testing.B) {
	line := fullEvent().AppendMeta(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		var e llmproxy.Event
		if err := e.UnmarshalJSON(line); err != nil {
			b.Fatal(err)
		}
	}
}

func TestABodyThatLiesElsewhereIsNamed(t *testing.T) {
	e := fullEvent()
	e.Request.Body = &llmproxy.Body{S3: "events/2026/11/22/x.json", Size: 300_000}
	line := string(e.AppendJSON(nil))
	require.Contains(t, line, `"body":{"s3":"events/2026/11/22/x.json","size":300000}`)
	var back llmproxy.Event
	require.NoError(t, json.Unmarshal([]byte(line), &back))
	require.Equal(t, e.Request.Body, back.Request.Body)
}
