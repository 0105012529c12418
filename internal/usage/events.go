package usage

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/tmaxmax/go-sse"
)

// event is one of an event stream.
type event struct {
	name string
	data []byte // not empty; valid as long as what was read
}

// events are those of an event stream (HTML Standard, section 9.2.6) that have data. The stream comes in two pieces, of which the second may be
// empty; its last event need not have its empty line.
func events(head, tail []byte) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		rest := head
		for {
			e, behind, ok := plainEvent(rest)
			if !ok {
				break
			}
			if !yield(e, nil) {
				return
			}
			rest = behind
		}
		if len(rest) == 0 && len(tail) == 0 {
			return
		}
		begun := ""
		if len(rest) < len(head) {
			begun = ":\n" // a mark of the byte order is none within a stream
		}
		r := io.MultiReader(strings.NewReader(begun), bytes.NewReader(rest), bytes.NewReader(tail), strings.NewReader("\n\n"))
		for e, err := range sse.Read(r, &sse.ReadConfig{MaxEventSize: len(rest) + len(tail) + 4<<10}) {
			if err != nil {
				yield(event{}, fmt.Errorf("event stream: %w", err))
				return
			}
			if e.Data != "" && !yield(event{e.Type, []byte(e.Data)}, nil) {
				return
			}
		}
	}
}

var (
	nameField = []byte("event: ")
	dataField = []byte("data: ")
)

// plainEvent cuts the first event off a stream, without copying its data, if it is one line of data, with the event's name before it or not, and
// nothing else, as nearly all events of these APIs are.
func plainEvent(b []byte) (e event, behind []byte, ok bool) {
	if line, named := bytes.CutPrefix(b, nameField); named {
		name, rest, ok := plainLine(line)
		if !ok {
			return event{}, nil, false
		}
		e.name, b = string(name), rest
	}
	if b, ok = bytes.CutPrefix(b, dataField); !ok {
		return event{}, nil, false
	}
	if e.data, b, ok = plainLine(b); !ok || len(b) == 0 || b[0] != '\n' {
		return event{}, nil, false
	}
	return e, b[1:], true
}

// plainLine cuts the first line off, if it is not empty and ends in a line feed alone.
func plainLine(b []byte) (line, rest []byte, ok bool) {
	end := bytes.IndexByte(b, '\n')
	if end <= 0 || bytes.IndexByte(b[:end], '\r') >= 0 {
		return nil, nil, false
	}
	return b[:end:end], b[end+1:], true
}
