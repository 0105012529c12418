package llmproxy

// MaxOnBus is how large an event is on a bus at most, as JSON; of a larger one the whole record lies in a bucket, under its
// [Event.ClaimKey], and what is on the bus names it.
const MaxOnBus = 200 << 10

// ClaimKey is the name of the object that has the whole record of the event.
func (e *Event) ClaimKey() string {
	return "events/" + e.Time.UTC().Format("2006/01/02/") + e.ID.String() + ".json"
}

// Claim puts the name of the object in place of the bodies. Those of others who have the event stay as they are.
func (e *Event) Claim() {
	key := e.ClaimKey()
	for _, m := range []*Message{&e.Request, &e.Response} {
		if m.Body != nil {
			m.Body = &Body{S3: key, Size: m.Body.Size}
		}
	}
}
