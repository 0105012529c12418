package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// FileConfig says how the file destination writes.
type FileConfig struct {
	Path     string // of the log; its folder must be there, the file is made with mode 0600
	MaxBytes int64  // a log of this size is renamed to name-<UTC time>.ext and a new one begun; 0 is 100 MiB, below 0 never
	Bodies   bool   // lines have the captured bodies
}

// File appends one line of JSON per event to a local file. What it reports as delivered is synced to the disk. A kill at any
// moment neither repeats a line nor leaves a torn one behind: at start the file's lines beyond the last commit are recognized and
// a torn last line is cut off. A file that is renamed, removed or truncated meanwhile is begun anew.
type File struct {
	cfg  FileConfig
	file *lineFile
}

// NewFile returns the file destination.
func NewFile(cfg FileConfig) (*File, error) {
	if cfg.Path == "" {
		return nil, errors.New("the file destination needs a path")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 100 << 20
	}
	return &File{cfg: cfg, file: &lineFile{path: cfg.Path, maxBytes: max(cfg.MaxBytes, 0), begins: `{"timestamp":"`, idPath: "id"}}, nil
}

// WantsBodies implements [Destination].
func (f *File) WantsBodies() bool { return f.cfg.Bodies }

// Start implements [Destination].
func (f *File) Start(_ context.Context, note []byte) error {
	var m fileMark
	if note != nil {
		if err := json.Unmarshal(note, &m); err != nil {
			return fmt.Errorf("note of the event log: %w", err)
		}
	}
	f.file.known = m
	return f.file.open()
}

// Batch implements [Batcher]: a sync costs more than many lines, so what is there goes out together.
func (f *File) Batch() (size int, linger time.Duration) { return 1000, 0 }

// Deliver implements [Destination]. All of the events are in the file afterwards, or none is.
func (f *File) Deliver(_ context.Context, events []*llmproxy.Event) []Result {
	err := f.file.append(len(events), func(i int) llmproxy.EventID { return events[i].ID }, func(dst []byte, i int) []byte {
		return appendLine(dst, events[i], f.cfg.Bodies)
	})
	return all(len(events), Retry(err, 0))
}

// Note implements [Destination].
func (f *File) Note() []byte {
	note, _ := json.Marshal(f.file.mark()) // strings and a number: it cannot fail
	return note
}

// Close implements [Destination].
func (f *File) Close() error { return f.file.close() }

// appendLine adds the event as a line of the log, without its newline. The keys up to provider are always there, null if unknown;
// what follows is as in the record.
func appendLine(dst []byte, e *llmproxy.Event, bodies bool) []byte {
	dst = append(llmproxy.AppendTime(append(dst, `{"timestamp":"`...), e.Time), '"')
	dst = appendID(append(dst, `,"token":`...), e.TokenID.UUID)
	dst = appendID(append(dst, `,"project_id":`...), e.ProjectID.UUID)
	dst = appendText(append(dst, `,"endpoint":`...), e.Path)
	dst = appendText(append(dst, `,"method":`...), e.Method)
	dst = appendNumber(append(dst, `,"status_code":`...), int64(e.Status), e.Status != 0)
	dst = appendNumber(append(dst, `,"duration_ms":`...), e.Timing.Total.Milliseconds(), e.Timing.Total != 0)
	var u llmproxy.Usage
	if e.Usage != nil {
		u = *e.Usage
	}
	dst = appendCount(append(dst, `,"metadata":{"prompt_tokens":`...), u.Input)
	dst = appendCount(append(dst, `,"completion_tokens":`...), u.Output)
	dst = appendCount(append(dst, `,"total_tokens":`...), u.Total)
	dst = appendText(append(dst, `,"model":`...), e.Model)
	created := e.Created
	if created == 0 {
		created = e.Time.Unix()
	}
	dst = strconv.AppendInt(append(dst, `,"created":`...), created, 10)
	dst = appendID(append(dst, `},"id":`...), e.ID.UUID)
	dst = appendText(append(dst, `,"outcome":`...), string(e.Outcome))
	dst = appendText(append(dst, `,"provider":`...), e.Provider)
	return append(e.AppendDetails(dst, bodies), '}')
}

// appendID adds an id, or null.
func appendID(dst []byte, id llmproxy.UUID) []byte {
	if id.IsZero() {
		return append(dst, "null"...)
	}
	return append(id.Append(append(dst, '"')), '"')
}

// appendText adds a string, or null if it is empty.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return llmproxy.AppendString(dst, s)
}

// appendNumber adds a number, or null if it is not known.
func appendNumber(dst []byte, n int64, known bool) []byte {
	if !known {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendCount adds a count, or null if it is not known.
func appendCount(dst []byte, n *int64) []byte {
	if n == nil {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, *n, 10)
}
