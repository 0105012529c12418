package usage

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// check asserts what holds for every answer: no panic, and only counts.
func check(t *testing.T, e *llmproxy.Event) {
	t.Helper()
	if err := Read(e); err != nil && strings.Contains(err.Error(), "panic") {
		t.Fatal(err)
	}
	if len(e.Model) > maxModel || e.Created < 0 {
		t.Fatalf("model %q, created %d", e.Model, e.Created)
	}
	if e.Usage == nil {
		return
	}
	for name, n := range map[string]*int64{
		"input": e.Usage.Input, "output": e.Usage.Output, "total": e.Usage.Total, "cached": e.Usage.Cached, "cache write": e.Usage.CacheWrite, "reasoning": e.Usage.Reasoning,
	} {
		if n != nil && (*n < 0 || *n > maxCount) {
			t.Fatalf("%s is %d", name, *n)
		}
	}
}

// torn is a body of which capture kept cut bytes at the beginning and cut at the end.
func torn(body []byte, cut int) *llmproxy.Body {
	if cut = max(cut, 0); 2*cut >= len(body) {
		return &llmproxy.Body{Head: body, Size: int64(len(body))}
	}
	return &llmproxy.Body{Head: body[:cut], Tail: body[len(body)-cut:], Size: int64(len(body))}
}

func fuzz(f *testing.F, contentType string) {
	f.Fuzz(func(t *testing.T, body []byte, kindIndex uint8, cut int) {
		name := kinds[int(kindIndex)%len(kinds)].name
		e := answered(name, contentType, "")
		e.Response.Body = torn(body, cut)
		e.Request = llmproxy.Message{ContentType: `multipart/form-data; boundary="x"`, Body: torn(body, cut)}
		check(t, e)
	})
}

func FuzzReadJSON(f *testing.F) { fuzz(f, jsonType) }

func FuzzReadSSE(f *testing.F) { fuzz(f, streamType) }

func FuzzReadCompressed(f *testing.F) {
	for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
		f.Add([]byte(compressed(f, coding, `{"model":"m","usage":{"prompt_tokens":3}}`)), coding)
	}
	f.Fuzz(func(t *testing.T, body []byte, coding string) {
		e := answered("openai-chat", jsonType, "")
		e.Response.Encoding, e.Response.Body = coding, captured(string(body))
		check(t, e)
		if n := len(Inflate(coding, body, 1000)); n > 1000 {
			t.Fatalf("%d bytes", n)
		}
	})
}

// FuzzLastMembers asserts that the end of a whole object, however much of its beginning is missing, never tells something that the
// object does not say.
func FuzzLastMembers(f *testing.F) {
	f.Add(`{"a":"x\"y","usage":{"n":1},"b":[1,{"usage":2}]}`, 9)
	f.Add(`{"type":"t","response":{"usage":{"n":1},"m":{}},"z":{"usage":3}}`, 20)
	f.Add(`{"\\":"\\\\","usage":null,"c":"\\\"}"}`, 3)
	f.Fuzz(func(t *testing.T, doc string, from int) {
		if !isObject(doc) || from < 0 || from >= len(doc) {
			return
		}
		whole, tail := lastMembers([]byte(doc), ""), lastMembers([]byte(doc[from:]), "")
		if tail.usage.Exists() && tail.usage.Raw != whole.usage.Raw {
			t.Fatalf("%q from %d: %q, the whole says %q", doc, from, tail.usage.Raw, whole.usage.Raw)
		}
		if want := lastOf(doc, "usage"); strings.TrimSpace(whole.usage.Raw) != want {
			t.Fatalf("%q: %q, want %q", doc, whole.usage.Raw, want)
		}
	})
}

func isObject(doc string) bool {
	return json.Valid([]byte(doc)) && strings.HasPrefix(strings.TrimSpace(doc), "{")
}

// lastOf is the value of an object's last member whose name is written exactly so, read forwards; "" if there is none.
func lastOf(doc, name string) string {
	d := json.NewDecoder(strings.NewReader(doc))
	if _, err := d.Token(); err != nil {
		return ""
	}
	last := ""
	for d.More() {
		start := d.InputOffset()
		if _, err := d.Token(); err != nil {
			return ""
		}
		written := strings.TrimLeft(doc[start:d.InputOffset()], ", \t\r\n")
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return ""
		}
		if written == `"`+name+`"` {
			last = string(value)
		}
	}
	return last
}
