package manage

import (
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// wireDestination is where events go, and how that goes. What is unknown is absent.
type wireDestination struct {
	Name         string     `json:"name"`
	Kind         string     `json:"kind,omitempty" doc:"file, webhook, helicone, lunary, s3, cloudwatch, eventbridge or ledger; absent if only a process elsewhere knows"`
	State        string     `json:"state" enum:"ok,failing,elsewhere,stopped" doc:"failing: the last try failed, events are kept and tried again; elsewhere: another process delivers and knows how it goes; stopped: nobody delivers, events are kept"`
	Backlog      *int64     `json:"backlog,omitempty" doc:"Events that wait"`
	BacklogBytes *int64     `json:"backlog_bytes,omitempty"`
	OldestAgeMS  int64      `json:"oldest_age_ms,omitempty" doc:"Since the oldest waiting event's request arrived; of a queue on AWS, since it came into the queue, as of some minutes ago. Absent if none waits, or if that is unknown"`
	DeadLetters  *int64     `json:"dead_letters,omitempty" doc:"Events that the destination did not take, kept with the reason"`
	Redriving    bool       `json:"redriving" doc:"Dead letters are being sent again"`
	Since        *time.Time `json:"since,omitempty" doc:"When delivered, retried and dead began to be counted: with what delivers; of a queue on AWS, with the first hour of the last 14 days of which CloudWatch has any. All four are absent where nobody has told of a batch, which is not the same as 0"`
	Delivered    *int64     `json:"delivered,omitempty" doc:"Events that the destination took"`
	Retried      *int64     `json:"retried,omitempty" doc:"Tries that failed and are made again"`
	Dead         *int64     `json:"dead,omitempty" doc:"Events that became dead letters; without those that a queue on AWS moves there itself, after tries in vain"`
	LastDelivery *time.Time `json:"last_delivery,omitempty"`
	LastError    string     `json:"last_error,omitempty" doc:"Also after it is over"`
	LastErrorAt  *time.Time `json:"last_error_at,omitempty"`
	NoTest       string     `json:"no_test,omitempty" doc:"Why it cannot be tested from here; absent if it can"`
	NoRedrive    string     `json:"no_redrive,omitempty" doc:"Why its dead letters cannot be sent again from here; absent if they can"`
}

// wireDestinationTest is what became of a test event.
type wireDestinationTest struct {
	EventID    string `json:"event_id" format:"uuid" doc:"The event is marked: \"test\":true, model llm-proxy-test"`
	Result     string `json:"result" enum:"delivered,queued,refused,failed" doc:"queued: it waits among the others; refused: it will never be taken; failed: it was not taken now"`
	Error      string `json:"error,omitempty" doc:"Why it was not taken"`
	DurationMS int64  `json:"duration_ms,omitempty" doc:"Until the destination had answered"`
}

// wireRedrive is what a redrive has begun with.
type wireRedrive struct {
	DeadLetters int64 `json:"dead_letters" doc:"How many are sent again; the list of destinations tells how it goes"`
}

func destinationOut(d *llmproxy.Destination) wireDestination {
	return wireDestination{
		Name: d.Name, Kind: d.Kind, State: string(d.State), Backlog: d.Backlog, BacklogBytes: d.BacklogBytes, OldestAgeMS: d.OldestAge.Milliseconds(),
		DeadLetters: d.DeadLetters, Redriving: d.Redriving, Since: momentOut(d.Since), Delivered: d.Delivered, Retried: d.Retried, Dead: d.Dead,
		LastDelivery: momentOut(d.LastDelivery), LastError: d.LastError, LastErrorAt: momentOut(d.LastErrorAt), NoTest: d.NoTest, NoRedrive: d.NoRedrive,
	}
}

// momentOut is a time in milliseconds; nil if there is none.
func momentOut(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}
