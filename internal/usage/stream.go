package usage

import (
	"bytes"
	"errors"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
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
	for event, err := range events(head, tail) {
		if err != nil {
			return err
		}
		if !bytes.Contains(event.data, usageName) && (a.model != "" || !bytes.Contains(event.data, modelName)) {
			continue
		}
		for _, holder := range k.holders {
			a.take(k, members(event.data, holder), holder == startedMessage)
		}
	}
	return nil
}

var usageName, modelName = []byte(`"usage"`), []byte(`"model"`)
