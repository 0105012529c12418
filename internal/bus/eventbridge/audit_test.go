package eventbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/auditrelay"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

var _ auditrelay.Bus = (*eventbridge.Audit)(nil)

// scriptedBus answers its calls one by one: how many of the first entries it refuses, or an error.
type scriptedBus struct {
	answers []any
	calls   [][]types.PutEventsRequestEntry
}

func (b *scriptedBus) PutEvents(_ context.Context, in *sdkbridge.PutEventsInput, _ ...func(*sdkbridge.Options)) (*sdkbridge.PutEventsOutput, error) {
	b.calls = append(b.calls, in.Entries)
	refuse := 0
	if len(b.answers) > 0 {
		next := b.answers[0]
		b.answers = b.answers[1:]
		switch next := next.(type) {
		case error:
			return nil, next
		case int:
			refuse = next
		}
	}
	if refuse < 0 {
		return &sdkbridge.PutEventsOutput{}, nil
	}
	out := &sdkbridge.PutEventsOutput{}
	for i := range in.Entries {
		if i < refuse {
			out.Entries = append(out.Entries, types.PutEventsResultEntry{ErrorCode: aws.String("ThrottlingException")})
			continue
		}
		out.Entries = append(out.Entries, types.PutEventsResultEntry{EventId: aws.String("taken")})
	}
	return out, nil
}

func entries(n int) (all []llmproxy.AuditEntry) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range n {
		all = append(all, llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(at)}, Time: at, Action: fmt.Sprintf("action.%d", i), Outcome: llmproxy.AuditDone, Actor: llmproxy.Actor{Name: "token"}})
	}
	return all
}

func TestAuditEntriesGoToTheBusUnderTheirOwnDetailType(t *testing.T) {
	b, told := &scriptedBus{}, entries(23)
	require.NoError(t, (&eventbridge.Audit{Bus: b, Name: "events"}).PublishAudit(t.Context(), told))
	require.Len(t, b.calls, 3, "ten to a call")
	var n int
	for _, call := range b.calls {
		for _, e := range call {
			require.Equal(t, [3]string{"llm-proxy", "audit", "events"}, [3]string{*e.Source, *e.DetailType, *e.EventBusName})
			require.Equal(t, told[n].Time, *e.Time)
			var back llmproxy.AuditEntry
			require.NoError(t, json.Unmarshal([]byte(*e.Detail), &back))
			require.Equal(t, told[n], back)
			n++
		}
	}
	require.Equal(t, 23, n)
}

func TestOfAuditEntriesThatAreRefusedEachIsSentOnceMore(t *testing.T) {
	b := &scriptedBus{answers: []any{3}}
	require.NoError(t, (&eventbridge.Audit{Bus: b, Name: "events"}).PublishAudit(t.Context(), entries(5)))
	require.Len(t, b.calls, 2)
	require.Equal(t, b.calls[0][:3], b.calls[1], "only what was refused")
	for name, b := range map[string]*scriptedBus{
		"refused twice": {answers: []any{1, 1}}, "no answer": {answers: []any{errors.New("no route")}}, "no answer the second time": {answers: []any{1, errors.New("no route")}},
		"an answer about nothing": {answers: []any{-1}},
	} {
		require.ErrorContains(t, (&eventbridge.Audit{Bus: b, Name: "events"}).PublishAudit(t.Context(), entries(5)), "on the bus events", name)
	}
}
