package llmproxy

import (
	"fmt"
	"time"
)

// DestinationState says how a destination is.
type DestinationState string

const (
	DestinationOK        DestinationState = "ok"        // it takes events, or none has come yet
	DestinationFailing   DestinationState = "failing"   // the last try of anything failed; events are kept and tried again
	DestinationElsewhere DestinationState = "elsewhere" // another process delivers, and that one knows how it goes
	DestinationStopped   DestinationState = "stopped"   // nobody delivers; events are kept
)

// Destination is where events go, and how that goes. What is not known is nil, zero or empty.
type Destination struct {
	Name  string // of its cursor and its dead letters, or of its queue
	Kind  string // file, webhook, ...
	State DestinationState

	Backlog      *int64        // events that wait
	BacklogBytes *int64        // what they take, with all that stands between them
	OldestAge    time.Duration // since the oldest waiting event's request arrived; 0 if none waits, or if that is not known
	DeadLetters  *int64        // events that are dead letters now
	Redriving    bool          // dead letters are being sent again

	Since     time.Time // when the counters began
	Delivered *int64    // events that it took
	Retried   *int64    // tries that failed and are made again
	Dead      *int64    // events that became dead letters

	LastDelivery time.Time
	LastError    string // also after it is over; never a secret
	LastErrorAt  time.Time

	NoTest    string // why it cannot be tested from here; empty if it can
	NoRedrive string // why its dead letters cannot be sent again from here; empty if they can
}

// LedgerNoTest is why the ledger cannot be tested, wherever it is kept.
const LedgerNoTest = "The ledger is made of requests, and a test is none: GET /manage/requests shows what it takes."

// What became of a test event.
const (
	TestDelivered = "delivered" // the destination took it
	TestQueued    = "queued"    // it waits among the others; the destination's counters will tell
	TestRefused   = "refused"   // the destination will never take it
	TestFailed    = "failed"    // the destination did not take it, and may later
)

// DestinationTest is what became of a test event.
type DestinationTest struct {
	ID     EventID
	Result string        // one of TestDelivered ...
	Error  string        // why it was not taken; never a secret
	Took   time.Duration // until the destination had answered; 0 if that is not waited for
}

// TestModel is the model of test events. No provider has one of that name.
const TestModel = "llm-proxy-test"

// NewTestEvent is the event of a model call that was never made, marked as such: what shows that a destination takes events. It has
// bodies, usage and times as a real one, and belongs to no project and no token.
func NewTestEvent(now time.Time) *Event {
	const ask = "Is this destination there?"
	const reply = "This is a test event. No request was made."
	request := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]}`, TestModel, ask)
	response := fmt.Sprintf(`{"id":"chatcmpl-test","object":"chat.completion","created":%d,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`,
		now.Unix(), TestModel, reply)
	one, two := int64(1), int64(2)
	message := func(text string) Message {
		return Message{Bytes: int64(len(text)), ContentType: "application/json", Body: &Body{Head: []byte(text), Size: int64(len(text))}}
	}
	return &Event{
		ID: NewEventID(now), Time: now.UTC().Truncate(time.Millisecond), Test: true, Provider: "openai", Method: "POST", Path: "/v1/chat/completions", Status: 200,
		Outcome: Complete, Timing: Timing{Total: 2 * time.Millisecond, FirstByte: time.Millisecond}, Request: message(request), Response: message(response),
		Model: TestModel, Created: now.Unix(), Usage: &Usage{Input: &one, Output: &one, Total: &two, Source: SourceUpstream}, UsageKind: "openai-chat",
	}
}
