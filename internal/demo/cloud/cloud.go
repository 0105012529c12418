// Package cloud stands in for the parts of an AWS account that the proxy asks beside its tables: EventBridge, SQS, S3 and Secrets
// Manager. It understands the calls that our functions and servers make and no others, keeps what it was given in memory, and can be
// told to be ill. For the tables there is the real engine's own stand-in, DynamoDB Local.
package cloud

import (
	"crypto/md5" //nolint:gosec // SQS answers with it
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Cloud is the account. Its methods are safe for concurrent use. It is an [http.Handler], to be named in AWS_ENDPOINT_URL.
type Cloud struct {
	// Secrets are the current versions of secrets, by name. They do not change once it serves.
	Secrets map[string]string
	// Took is told each event that a bus or a queue took. Nil: nobody is. It may be called several times at once.
	Took func(where Place, r Record)

	mu      sync.Mutex
	ill     Illness
	records map[Place][]Record
	objects map[string]object // by bucket/key
}

// Place is where an event may have come to.
type Place string

// The places.
const (
	Bus   Place = "bus"
	Queue Place = "queue"
	Audit Place = "audit" // of a bus, what is of that detail type
)

// Record is an event that was taken.
type Record struct {
	By   string // name of the bus, or URL of the queue
	JSON json.RawMessage
}

// Illness says what does not work.
type Illness struct {
	Bus, Queue, Bucket, Secrets bool            // they break the connection
	Hold                        <-chan struct{} // while it is open, the bus does not answer; nil: it does
}

// Make changes what does not work.
func (c *Cloud) Make(ill Illness) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ill = ill
}

// Records are the events that a place has taken, in their order.
func (c *Cloud) Records(where Place) []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records[where])
}

// Objects are those in the buckets, by bucket/key.
func (c *Cloud) Objects() map[string][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string][]byte, len(c.objects))
	for name, o := range c.objects {
		all[name] = o.body
	}
	return all
}

// maxBody is the most that a call may have.
const maxBody = 64 << 20

// ServeHTTP implements [http.Handler].
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return // the caller has gone, or was told that it is too much
	}
	c.mu.Lock()
	ill := c.ill
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	target := r.Header.Get("X-Amz-Target")
	switch {
	case target == "AWSEvents.PutEvents":
		if ill.Hold != nil {
			<-ill.Hold
		}
		breakOff(ill.Bus)
		c.putEvents(w, body)
	case target == "AmazonSQS.SendMessage":
		breakOff(ill.Queue)
		c.sendMessage(w, body)
	case target == "secretsmanager.GetSecretValue":
		breakOff(ill.Secrets)
		c.getSecret(w, body)
	case target == "" && strings.Trim(r.URL.Path, "/") != "":
		breakOff(ill.Bucket)
		c.bucket(w, r, body)
	default:
		refuse(w, http.StatusNotImplemented, "UnknownOperationException")
	}
}

// breakOff ends the connection without an answer.
func breakOff(ill bool) {
	if ill {
		panic(http.ErrAbortHandler)
	}
}

func (c *Cloud) putEvents(w http.ResponseWriter, body []byte) {
	var in struct {
		Entries []struct{ EventBusName, DetailType, Detail string }
	}
	if json.Unmarshal(body, &in) != nil {
		refuse(w, http.StatusBadRequest, "SerializationException")
		return
	}
	type taken struct {
		EventID string `json:"EventId"`
	}
	out := struct {
		FailedEntryCount int
		Entries          []taken
	}{}
	for _, entry := range in.Entries {
		place := Bus
		if entry.DetailType == "audit" {
			place = Audit
		}
		c.take(place, Record{By: entry.EventBusName, JSON: json.RawMessage(entry.Detail)})
		out.Entries = append(out.Entries, taken{"event"})
	}
	answer(w, out)
}

func (c *Cloud) sendMessage(w http.ResponseWriter, body []byte) {
	var in struct{ QueueUrl, MessageBody string } //nolint:revive // as AWS names them
	var message struct {
		Detail json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &in) != nil || json.Unmarshal([]byte(in.MessageBody), &message) != nil {
		refuse(w, http.StatusBadRequest, "SerializationException")
		return
	}
	c.take(Queue, Record{By: in.QueueUrl, JSON: message.Detail})
	sum := md5.Sum([]byte(in.MessageBody)) //nolint:gosec // as above
	answer(w, map[string]string{"MessageId": "message", "MD5OfMessageBody": hex.EncodeToString(sum[:])})
}

func (c *Cloud) getSecret(w http.ResponseWriter, body []byte) {
	var in struct{ SecretId, VersionStage string } //nolint:revive // as AWS names them
	if json.Unmarshal(body, &in) != nil {
		refuse(w, http.StatusBadRequest, "SerializationException")
		return
	}
	value, ok := c.Secrets[in.SecretId]
	if !ok || in.VersionStage == "AWSPREVIOUS" {
		refuse(w, http.StatusBadRequest, "ResourceNotFoundException")
		return
	}
	answer(w, map[string]string{"Name": in.SecretId, "SecretString": value})
}

func (c *Cloud) take(where Place, r Record) {
	c.mu.Lock()
	if c.records == nil {
		c.records = map[Place][]Record{}
	}
	c.records[where] = append(c.records[where], r)
	c.mu.Unlock()
	if c.Took != nil {
		c.Took(where, r)
	}
}

func refuse(w http.ResponseWriter, status int, kind string) {
	w.WriteHeader(status)
	answer(w, map[string]string{"__type": kind})
}

func answer(w http.ResponseWriter, body any) {
	_ = json.NewEncoder(w).Encode(body) // the caller may have gone
}
