package lambdahttp

import (
	"errors"
	"net/http"
	"net/textproto"

	"github.com/tidwall/gjson"
	"golang.org/x/net/http/httpguts"
)

// Headers are an event's headers, decoded straight into the form that a request has them in. Several lines of one name come joined
// and stay so. The length and the framing of the body are not among them: the event itself tells those.
type Headers struct {
	lines     http.Header
	host      string
	malformed bool // a line that no server would have read
}

// severalHeaders is how many headers memory is taken for at once.
const severalHeaders = 20

// UnmarshalJSON implements [json.Unmarshaler]. Its values share one string.
func (h *Headers) UnmarshalJSON(data []byte) error {
	object := gjson.ParseBytes(data)
	if object.Type == gjson.Null {
		return nil
	}
	if !object.IsObject() {
		return errors.New("headers are not an object")
	}
	h.lines = make(http.Header, severalHeaders)
	var values []string
	var err error
	object.ForEach(func(name, value gjson.Result) bool {
		if value.Type != gjson.String {
			err = errors.New("a header is not a string")
			return false
		}
		if len(values) == cap(values) {
			values = make([]string, 0, severalHeaders)
		}
		values = append(values, value.Str)
		h.add(name.Str, values[len(values)-1:len(values):len(values)])
		return true
	})
	return err
}

// add takes one line.
func (h *Headers) add(name string, value []string) {
	if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value[0]) {
		h.malformed = true
		return
	}
	switch canonical := textproto.CanonicalMIMEHeaderKey(name); canonical {
	case "Host":
		h.host = value[0]
	case "Content-Length", "Transfer-Encoding":
	default:
		if before := h.lines[canonical]; before != nil { // names that differ in case alone: not from the platform
			value = append(before, value[0])
		}
		h.lines[canonical] = value
	}
}
