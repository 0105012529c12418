package llmproxy

import "time"

// EventVersion is the version of the event record; a field's meaning never changes within it.
const EventVersion = 1

// Outcome says how a request ended.
type Outcome string

const (
	Complete      Outcome = "complete"       // the upstream's answer reached its end, whatever its status
	Cut           Outcome = "cut"            // the upstream's answer broke off after its head
	ClientGone    Outcome = "client_gone"    // the caller left
	Deadline      Outcome = "deadline"       // our own deadline ended it
	Refused       Outcome = "refused"        // we answered, the upstream was not asked
	UpstreamError Outcome = "upstream_error" // no usable answer: our 502 or 504
	Lost          Outcome = "lost"           // admitted, then the process ended; made afterwards from its begin
)

// Begin is written when a request is admitted, so that one whose process dies is known.
type Begin struct {
	ID        EventID
	Time      time.Time
	TokenID   TokenID
	ProjectID ProjectID
	Method    string
	Path      string
}

// Lost is the event of a request that was begun and never ended.
func (b *Begin) Lost() *Event {
	return &Event{ID: b.ID, Time: b.Time, TokenID: b.TokenID, ProjectID: b.ProjectID, Method: b.Method, Path: b.Path, Outcome: Lost}
}

// Event is the record of one request, or of a change of an operator's. In JSON what is unknown is absent, never 0 or ""; times are RFC 3339 in UTC with
// milliseconds, durations integer milliseconds.
type Event struct {
	ID        EventID // minted when the request arrived; the idempotency key everywhere
	Time      time.Time
	TokenID   TokenID
	ProjectID ProjectID
	Provider  string
	Method    string
	Path      string // as asked for, without query
	Status    int    // as the caller got it
	Outcome   Outcome
	Code      string // of our own error, if we answered
	Stream    bool   // the answer was an event stream
	Timing    Timing
	Request   Message
	Response  Message
	Model     string
	Created   int64 // the answer's own time in Unix seconds, if it says
	Usage     *Usage
	Test      bool // nobody made this request: it shows whether a destination takes events, and counts nowhere

	// Audit makes this the event of a change that an operator made or was refused. It has no more then than ID, Time, TokenID and
	// ProjectID, which are the entry's, and its record is the entry.
	Audit *AuditEntry

	// UsageKind is how the endpoint reports usage (a name of package usage, "" if it does not): by it usage can be read, and answers
	// be understood, wherever the record gets to.
	UsageKind string
}

// Timing has the durations of a request on the monotonic clock; 0 is unknown.
type Timing struct {
	Total     time.Duration // from the request's head to the end of the answer
	Auth      time.Duration // the spend
	FirstByte time.Duration // from the request's head to the first byte of the answer's body
	Upstream  time.Duration // from the upstream call to the end of its answer
}

// Message is what is kept of a request or an answer.
type Message struct {
	Bytes       int64    // true size of the body as it passed
	ContentType string   //
	Encoding    string   // Content-Encoding of the body
	Events      int64    // events seen in an event stream
	Headers     []Header // of the answer, those on the allowlist
	Body        *Body    // nil where nothing was captured
}

// Header is one header line.
type Header struct{ Name, Value string }

// Body is what capture kept of a body, as it came over the wire.
type Body struct {
	Head []byte // its beginning
	Tail []byte // its end, where the middle was left out or Head was full
	Size int64  // its true size

	// S3 is the key of an object that holds the whole record, where it is too large for the bus. Head and Tail are empty then.
	S3 string
}

// Truncated reports whether a part of the body is missing.
func (b *Body) Truncated() bool { return int64(len(b.Head)+len(b.Tail)) < b.Size }
