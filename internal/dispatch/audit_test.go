package dispatch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/testschema"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// changed is an audit event.
func changed(i int) *llmproxy.Event {
	entry := llmproxy.AuditEntry{
		ID: llmproxy.AuditID{UUID: numbered(9, i)}, Time: born, Action: "project.update", Outcome: llmproxy.AuditRefused, Reason: "no", Suppressed: 1,
		Actor:     llmproxy.Actor{Name: "admin:ada", ClientAddr: "192.0.2.1", Forwarded: "198.51.100.7", RequestID: numbered(8, i).String()},
		ProjectID: llmproxy.ProjectID{UUID: numbered(7, i)}, TokenID: llmproxy.TokenID{UUID: numbered(6, i)},
		Before: map[string]string{"name": "old"}, After: map[string]string{"name": fmt.Sprint("new ", i)},
	}
	return entry.Event()
}

// auditor is a destination that takes audit events.
type auditor struct{ scripted }

func (a *auditor) TakesAudit() bool { return true }

func TestAuditEventsArePassedOverWhereNobodyWantsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := newSource(changed(0), request(0), changed(1)), &scripted{}
		r := run(t, Config{Source: src, Destination: dst, Meter: func(e *llmproxy.Event) error {
			require.Nil(t, e.Audit, "there is nothing to count")
			return nil
		}})
		synctest.Wait()
		require.Equal(t, idsOf([]*llmproxy.Event{request(0)}), dst.ids())
		require.Equal(t, 3, src.committed())
		src.add(changed(2))
		synctest.Wait()
		require.Equal(t, 4, src.committed(), "also where there is nothing else")
		require.Zero(t, r.Stats().Duplicates)
		require.EqualValues(t, 1, r.Stats().Delivered)
		require.NoError(t, r.stop())
	})
}

func TestAnAuditEventIsDeliveredAsAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &auditor{}
		poison := changed(1)
		dst.answers = []answer{refuses(poison.ID)}
		r := run(t, Config{Source: newSource(changed(0), request(0), poison, changed(0)), Destination: dst})
		synctest.Wait()
		require.Equal(t, idsOf([]*llmproxy.Event{changed(0), request(0)}), dst.ids())
		require.NoError(t, r.stop())
		dead := letters(t, r.dead)
		require.Len(t, dead, 1)
		require.Equal(t, *poison, dead[0].Event, "as it was, to be sent again")
	})
}

func TestWhoTakesAuditEvents(t *testing.T) {
	for _, d := range []Destination{&File{}, &Webhook{}, &Helicone{}, &Lunary{}, &S3{}, &CloudWatch{}, &Ledger{}} {
		require.False(t, TakesAudit(d), "%T", d)
	}
	require.True(t, TakesAudit(&EventBridge{}))
	w, err := NewWebhook(WebhookConfig{URL: llmproxy.NewSecret("https://example.com"), Audit: true})
	require.NoError(t, err)
	require.True(t, TakesAudit(w))
}

func TestAuditEventsGoToABusUnderTheirOwnDetailType(t *testing.T) {
	var entries []gjson.Result
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		entries = append(entries, gjson.GetBytes(body, "Entries").Array()...)
		return takesEntries(w, r, body)
	})
	require.Equal(t, make([]Result, 2), handOver(t, "eventbridge", Settings{EventBridge: EventBridgeConfig{Bus: "events", AWS: onAWS(backend.URL)}}, changed(0), request(0)))
	require.Equal(t, []string{"audit", "request"}, []string{entries[0].Get("DetailType").Str, entries[1].Get("DetailType").Str})
	require.JSONEq(t, string(changed(0).AppendJSON(nil)), entries[0].Get("Detail").Str)
}

func TestAnAuditEventIsPostedAsItsRecord(t *testing.T) {
	backend := newStub(t, takesWebhooks)
	require.Equal(t, []Result{{}}, handOver(t, "webhook", Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Audit: true}}, changed(0)))
	require.JSONEq(t, string(changed(0).AppendJSON(nil)), string(backend.body(t, 0)))
	require.Equal(t, changed(0).ID.String(), backend.last.Get("Webhook-Id"))
}

func TestAuditEventsAreAsTheirSchemaSays(t *testing.T) {
	schema, met := testschema.Read(t, "../../docs/audit-event.schema.json"), map[string]bool{}
	small := llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: numbered(9, 0)}, Time: born, Action: "authenticate", Outcome: llmproxy.AuditDone, Actor: llmproxy.Actor{Name: "unknown"}}
	for _, e := range []*llmproxy.Event{changed(0), small.Event()} {
		var v any
		require.NoError(t, json.Unmarshal(e.AppendJSON(nil), &v))
		require.Empty(t, schema.Problems("event", v, met))
	}
	for _, path := range schema.Paths("event") {
		require.True(t, met[path], "%s is described, and no audit event has it", path)
	}
}
