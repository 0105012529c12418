package dispatch

import (
	"strconv"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// deadLetter is an event that the destination will not get.
type deadLetter struct {
	event    *llmproxy.Event
	reason   string
	attempts int
}

// deadLetters is a file of JSON lines {"time","destination","reason","attempts","event"}, one for each such event.
type deadLetters struct {
	file        *lineFile
	destination string
}

func newDeadLetters(path, destination string) *deadLetters {
	return &deadLetters{file: &lineFile{path: path, begins: `{"time":"`, idPath: "event.id"}, destination: destination}
}

// start takes the mark of the last commit.
func (d *deadLetters) start(m fileMark) { d.file.known = m }

// add writes the letters. None of them is written again after a kill, and none is written if there is an error.
func (d *deadLetters) add(letters []deadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	now := time.Now()
	return d.file.append(len(letters), func(i int) llmproxy.EventID { return letters[i].event.ID }, func(dst []byte, i int) []byte {
		letter := &letters[i]
		dst = append(llmproxy.AppendTime(append(dst, d.file.begins...), now), `","destination":`...)
		dst = llmproxy.AppendString(dst, d.destination)
		dst = llmproxy.AppendString(append(dst, `,"reason":`...), letter.reason)
		dst = strconv.AppendInt(append(dst, `,"attempts":`...), int64(letter.attempts), 10)
		return append(letter.event.AppendJSON(append(dst, `,"event":`...)), '}')
	})
}

func (d *deadLetters) mark() fileMark { return d.file.mark() }

func (d *deadLetters) close() error { return d.file.close() }
