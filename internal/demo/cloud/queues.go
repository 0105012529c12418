package cloud

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Way stands in for the way of events on AWS: a bus with one rule, the queue that this fills, its dead letters, and an archive. A message
// that is received is hidden for as long as was asked for, and comes again if it is not deleted. It is an [http.Handler], to be named in
// AWS_ENDPOINT_URL; the names of all that it has are those of the variables here.
type Way struct {
	NoMoves   bool // SQS moves no dead letters by itself
	NoArchive bool
	NoLetters bool // the queue has no queue for dead letters

	mu       sync.Mutex
	queues   map[string][]*Message // by name
	refuse   string                // an action that fails
	asked    []string              // actions, in their order
	replayed []json.RawMessage     // what StartReplay was asked for
	states   []string              // what DescribeReplay is still to answer, the last for ever
	moved    []string              // likewise of ListMessageMoveTasks; none: there is no task
}

// What a [Way] has.
const (
	WayBus     = "events"
	WayRule    = "webhook"
	WayQueue   = "queue"
	WayDead    = "dead"
	wayAccount = "000000000000"
	wayARN     = "arn:aws:events:us-east-1:" + wayAccount + ":"
	queueARN   = "arn:aws:sqs:us-east-1:" + wayAccount + ":"
)

// Message is one in a queue.
type Message struct {
	Body       string
	Attributes map[string]string
	Receives   int
	Visible    time.Time // before which nobody sees it

	id string
}

// Put puts messages into a queue.
func (c *Way) Put(queue string, bodies ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, body := range bodies {
		c.put(queue, &Message{Body: body})
	}
}

func (c *Way) put(queue string, m *Message) {
	if c.queues == nil {
		c.queues = map[string][]*Message{}
	}
	m.id = fmt.Sprintf("message-%d-%d", len(c.asked), len(c.queues[queue]))
	c.queues[queue] = append(c.queues[queue], m)
}

// In are the messages in a queue.
func (c *Way) In(queue string) (messages []Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.queues[queue] {
		messages = append(messages, *m)
	}
	return messages
}

// Asked are the actions that were asked for, in their order.
func (c *Way) Asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// Refuse makes an action fail; "" none.
func (c *Way) Refuse(action string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = action
}

// Answer says in which states a replay is, and a move of dead letters, one after the other each time somebody asks.
func (c *Way) Answer(replay, move []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states, c.moved = replay, move
}

// Replayed is what replays were asked for.
func (c *Way) Replayed() []json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replayed
}

// wayCall is what a call may say, of all that is understood.
type wayCall struct {
	QueueUrl, QueueName, ReceiptHandle, MessageBody string //nolint:revive // as AWS names them
	MaxNumberOfMessages, VisibilityTimeout          int
	MessageAttributes                               map[string]struct{ StringValue string }
	Name, Rule, EventBusName, EventSourceArn        string
	Entries                                         []struct {
		Id, ReceiptHandle string //nolint:revive // as AWS names them
		VisibilityTimeout int
	}
}

// ServeHTTP implements [http.Handler].
func (c *Way) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return // the caller has gone, or was told that it is too much
	}
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var in wayCall
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if json.Unmarshal(body, &in) != nil {
		refuse(w, http.StatusBadRequest, "SerializationException")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, action)
	if action == c.refuse {
		refuse(w, http.StatusForbidden, "AccessDeniedException")
		return
	}
	queue := in.QueueUrl[strings.LastIndex(in.QueueUrl, "/")+1:]
	switch action {
	case "GetQueueUrl":
		answer(w, map[string]string{"QueueUrl": "http://" + r.Host + "/" + wayAccount + "/" + in.QueueName})
	case "GetQueueAttributes":
		answer(w, map[string]any{"Attributes": c.attributes(queue)})
	case "SendMessage":
		m := &Message{Body: in.MessageBody, Attributes: map[string]string{}}
		for name, value := range in.MessageAttributes {
			m.Attributes[name] = value.StringValue
		}
		c.put(queue, m)
		answer(w, map[string]string{"MessageId": m.id})
	case "ReceiveMessage":
		answer(w, map[string]any{"Messages": c.receive(queue, in.MaxNumberOfMessages, in.VisibilityTimeout)})
	case "DeleteMessage":
		c.remove(queue, in.ReceiptHandle)
		answer(w, struct{}{})
	case "ChangeMessageVisibility":
		if !c.hide(queue, in.ReceiptHandle, in.VisibilityTimeout) {
			refuse(w, http.StatusBadRequest, notInFlight)
			return
		}
		answer(w, struct{}{})
	case "DeleteMessageBatch":
		for _, e := range in.Entries {
			c.remove(queue, e.ReceiptHandle)
		}
		answer(w, struct{}{})
	case "ChangeMessageVisibilityBatch":
		failed := []map[string]any{}
		for _, e := range in.Entries {
			if !c.hide(queue, e.ReceiptHandle, e.VisibilityTimeout) {
				failed = append(failed, map[string]any{"Id": e.Id, "Code": notInFlight, "SenderFault": true})
			}
		}
		answer(w, map[string]any{"Failed": failed})
	case "StartMessageMoveTask", "ListMessageMoveTasks":
		c.move(w, action)
	default:
		c.serveBus(w, action, in, body)
	}
}

func (c *Way) attributes(queue string) map[string]string {
	hidden := 0
	for _, m := range c.queues[queue] {
		if m.Visible.After(time.Now()) {
			hidden++
		}
	}
	attributes := map[string]string{
		"QueueArn": queueARN + queue, "ApproximateNumberOfMessagesDelayed": "0",
		"ApproximateNumberOfMessages":           fmt.Sprint(len(c.queues[queue]) - hidden),
		"ApproximateNumberOfMessagesNotVisible": fmt.Sprint(hidden),
	}
	if queue == WayQueue && !c.NoLetters {
		attributes["RedrivePolicy"] = `{"deadLetterTargetArn":"` + queueARN + WayDead + `","maxReceiveCount":5}`
	}
	return attributes
}

func (c *Way) receive(queue string, most, seconds int) []map[string]any {
	var got []map[string]any
	for _, m := range c.queues[queue] {
		if len(got) == most || m.Visible.After(time.Now()) {
			continue
		}
		m.Receives++
		m.Visible = time.Now().Add(time.Duration(seconds) * time.Second)
		attributes := map[string]any{}
		for name, value := range m.Attributes {
			attributes[name] = map[string]string{"DataType": "String", "StringValue": value}
		}
		got = append(got, map[string]any{
			"MessageId": m.id, "ReceiptHandle": m.id, "Body": m.Body, "MessageAttributes": attributes,
			"Attributes": map[string]string{"ApproximateReceiveCount": fmt.Sprint(m.Receives), "SentTimestamp": "1795350914298"},
		})
	}
	return got
}

func (c *Way) remove(queue, handle string) {
	var left []*Message
	for _, m := range c.queues[queue] {
		if m.id != handle {
			left = append(left, m)
		}
	}
	c.queues[queue] = left
}

// notInFlight is what SQS says of the time of a message that is not hidden, or is gone.
const notInFlight = "MessageNotInflight"

// hide reports whether the message was hidden, which then is until the time said.
func (c *Way) hide(queue, handle string, seconds int) bool {
	for _, m := range c.queues[queue] {
		if m.id == handle && m.Visible.After(time.Now()) {
			m.Visible = time.Now().Add(time.Duration(seconds) * time.Second)
			return true
		}
	}
	return false
}

// Expire shows the first messages of a queue to all, as when the time is over for which they were hidden.
func (c *Way) Expire(queue string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.queues[queue][:n] {
		m.Visible = time.Time{}
	}
}

// move plays the tasks that move dead letters. One that was started moves all of them at once.
func (c *Way) move(w http.ResponseWriter, action string) {
	if c.NoMoves {
		refuse(w, http.StatusBadRequest, "InvalidAction")
		return
	}
	if action == "StartMessageMoveTask" {
		for _, m := range c.queues[WayDead] {
			m.Visible = time.Time{}
			c.put(WayQueue, m)
		}
		c.queues[WayDead] = nil
		answer(w, map[string]string{"TaskHandle": "task"})
		return
	}
	results := []map[string]any{}
	if len(c.moved) > 0 {
		results = append(results, map[string]any{"Status": c.moved[0], "ApproximateNumberOfMessagesMoved": len(c.queues[WayQueue]), "FailureReason": "because"})
		c.moved = c.moved[min(1, len(c.moved)-1):]
	}
	answer(w, map[string]any{"Results": results})
}

// serveBus plays EventBridge.
func (c *Way) serveBus(w http.ResponseWriter, action string, in wayCall, body []byte) {
	switch action {
	case "DescribeRule":
		if in.Name != WayRule || in.EventBusName != WayBus {
			refuse(w, http.StatusBadRequest, "ResourceNotFoundException")
			return
		}
		answer(w, map[string]string{"Name": in.Name, "Arn": wayARN + "rule/" + WayBus + "/" + WayRule})
	case "ListTargetsByRule":
		answer(w, map[string]any{"Targets": []map[string]string{
			{"Id": "function", "Arn": "arn:aws:lambda:us-east-1:" + wayAccount + ":function:f"}, {"Id": "queue", "Arn": queueARN + WayQueue},
		}})
	case "ListArchives":
		archives := []map[string]string{{"ArchiveName": "old", "State": "DISABLED"}, {"ArchiveName": "archive", "State": "ENABLED"}}
		if c.NoArchive || in.EventSourceArn != wayARN+"event-bus/"+WayBus {
			archives = archives[:1]
		}
		answer(w, map[string]any{"Archives": archives})
	case "DescribeArchive":
		answer(w, map[string]string{"ArchiveArn": wayARN + "archive/archive"})
	case "StartReplay":
		c.replayed = append(c.replayed, body)
		answer(w, map[string]string{"State": "STARTING"})
	case "DescribeReplay":
		state := "COMPLETED"
		if len(c.states) > 0 {
			state = c.states[0]
			c.states = c.states[min(1, len(c.states)-1):]
		}
		answer(w, map[string]any{"State": state, "StateReason": "because", "EventLastReplayedTime": 1795350914})
	default:
		refuse(w, http.StatusNotImplemented, "UnknownOperationException")
	}
}
