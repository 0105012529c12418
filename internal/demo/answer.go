package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// answer is what an endpoint says: a plain body of known length, or a stream of events.
type answer struct {
	status int
	kind   string // Content-Type; empty for none
	header http.Header
	body   io.Reader        // of a plain answer
	length int64            // of that body
	events iter.Seq[[]byte] // of a stream, each as it goes on the wire; nil for a plain answer
}

func plain(status int, kind string, body []byte) answer {
	return answer{status: status, kind: kind, body: bytes.NewReader(body), length: int64(len(body))}
}

func text(status int, body string) answer {
	return plain(status, "text/plain; charset=utf-8", []byte(body))
}

// object answers with JSON.
func object(v any) answer { return plain(http.StatusOK, "application/json", encode(v)) }

// stream answers with server-sent events.
func stream(events iter.Seq[[]byte]) answer {
	return answer{status: http.StatusOK, kind: "text/event-stream; charset=utf-8", events: events}
}

// done is how OpenAI's older streams end.
var done = []byte("data: [DONE]\n\n")

// data is an event without a name, typed an event that names its type in both places.
func data(v any) []byte { return fmt.Appendf(nil, "data: %s\n\n", encode(v)) }

func typed(name string, v any) []byte {
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, encode(v))
}

// encode writes JSON as a provider does: without escaping for HTML. All that is encoded here are our own types.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

type apiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// fail answers with an error in the shape that clients of the endpoint know.
func (c *call) fail(status int, kind, code, message string) answer {
	if c.anthropic {
		var e struct {
			Type  string `json:"type"`
			Error struct {
				Type    string `json:"type"`
				Message string `json:"message"`
			} `json:"error"`
		}
		e.Type, e.Error.Type, e.Error.Message = "error", kind, message
		return plain(status, "application/json", encode(e))
	}
	e := apiError{Message: message, Type: kind}
	if code != "" {
		e.Code = &code
	}
	return plain(status, "application/json", encode(map[string]apiError{"error": e}))
}

// pattern is the content of binary answers: bytes that differ at each place of a long body.
type pattern struct{ at, left int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), p.left)
	for i := range b[:n] {
		at := p.at + int64(i)
		b[i] = byte(at*31 ^ at>>8 ^ at>>16)
	}
	p.at, p.left = p.at+n, p.left-n
	return int(n), nil
}

// sound answers with n bytes.
func sound(kind string, n int64) answer {
	return answer{status: http.StatusOK, kind: kind, body: &pattern{left: n}, length: n}
}
