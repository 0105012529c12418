package eventbridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// auditType is the detail type of audit events.
const auditType = "audit"

// Audit puts audit entries on a bus: source llm-proxy, detail type audit, the entry as detail. It keeps nothing: the store has what the
// bus did not take. It is safe for concurrent use.
type Audit struct {
	Bus  Bus
	Name string // of the bus
}

// PublishAudit returns nil when the bus has taken all entries. After an error it may have taken any number of them. What it refuses of
// a call is sent once more.
func (a *Audit) PublishAudit(ctx context.Context, entries []llmproxy.AuditEntry) error {
	for rest := entries; len(rest) > 0; {
		n := min(len(rest), maxBatch)
		call := make([]types.PutEventsRequestEntry, n)
		for i := range call {
			call[i] = types.PutEventsRequestEntry{
				EventBusName: &a.Name, Source: aws.String(source), DetailType: aws.String(auditType), Detail: aws.String(string(rest[i].AppendJSON(nil))), Time: &rest[i].Time,
			}
		}
		left, err := a.put(ctx, call)
		if len(left) > 0 && err == nil {
			sleep(ctx, firstPause)
			left, err = a.put(ctx, left)
		}
		if err == nil && len(left) > 0 {
			err = errRefused
		}
		if err != nil {
			return fmt.Errorf("put audit events on the bus %s: %w", a.Name, err)
		}
		rest = rest[n:]
	}
	return nil
}

// put makes one call and returns what the bus refused of it.
func (a *Audit) put(ctx context.Context, entries []types.PutEventsRequestEntry) (refused []types.PutEventsRequestEntry, err error) {
	out, err := a.Bus.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
	if err != nil {
		return nil, err
	}
	if len(out.Entries) != len(entries) {
		return nil, errors.New("the answer is not about the entries that were sent")
	}
	for i, result := range out.Entries {
		if result.ErrorCode != nil || result.EventId == nil {
			refused = append(refused, entries[i])
		}
	}
	return refused, nil
}
