package usage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/tmaxmax/go-sse"
)

// readStream reads an event stream. Where its middle is missing, the head's whole events count, then what is left of the event that
// the tail begins in, then the tail's events; the event that the gap begins in is passed over.
func (a *answer) readStream(k *kind, body *llmproxy.Body) error {
	if !body.Truncated() {
		return a.readEvents(k, body.Head, body.Tail)
	}
	head := body.Head[:bytes.LastIndexByte(body.Head, '\n')+1]
	err := a.readEvents(k, head, nil)
	torn, tail, isLine := bytes.Cut(body.Tail, []byte("\n"))
	for _, holder := range k.holders {
		if isLine && holder != startedMessage { // the stream's first event is not its last
			a.take(k, lastMembers(torn, holder), false)
		}
	}
	return errors.Join(err, a.readEvents(k, tail, nil))
}

// readEvents reads the events of head followed by tail; the last need not have its empty line.
func (a *answer) readEvents(k *kind, head, tail []byte) error {
	r := io.MultiReader(bytes.NewReader(head), bytes.NewReader(tail), strings.NewReader("\n\n"))
	for event, err := range sse.Read(r, &sse.ReadConfig{MaxEventSize: len(head) + len(tail) + 4<<10}) {
		if err != nil {
			return fmt.Errorf("event stream: %w", err)
		}
		if !strings.Contains(event.Data, `"usage"`) && (a.model != "" || !strings.Contains(event.Data, `"model"`)) {
			continue
		}
		data := []byte(event.Data)
		for _, holder := range k.holders {
			a.take(k, members(data, holder), holder == startedMessage)
		}
	}
	return nil
}
