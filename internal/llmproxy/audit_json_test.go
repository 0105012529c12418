package llmproxy_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func fullEntry() llmproxy.AuditEntry {
	e := llmproxy.AuditEntry{
		Time: noon, Action: "project.update", Outcome: llmproxy.AuditRefused, Reason: "not \"now\"", Suppressed: 7,
		Actor:  llmproxy.Actor{Name: "admin:ada", ClientAddr: "192.0.2.1", Forwarded: "198.51.100.7\u202e", RequestID: "019aab3c-0000-7000-8000-000000000009"},
		Before: map[string]string{"name": "old", "a\"b": "1"}, After: map[string]string{"name": "new"},
	}
	e.ID.UUID, _ = llmproxy.ParseUUID("019aab3c-0000-7000-8000-000000000001")
	e.TokenID, _ = llmproxy.ParseTokenID("019aab3c-0000-7000-8000-000000000002")
	e.ProjectID, _ = llmproxy.ParseProjectID("019aab3c-0000-7000-8000-000000000003")
	return e
}

func TestAnAuditEventComesBackFromItsRecord(t *testing.T) {
	for _, entry := range []llmproxy.AuditEntry{fullEntry(), {ID: fullEntry().ID, Time: noon, Action: "authenticate", Outcome: llmproxy.AuditRefused, Actor: llmproxy.Actor{Name: "unknown"}}} {
		line, err := json.Marshal(entry.Event())
		require.NoError(t, err)
		require.NotContains(t, string(line), "\n")
		var back llmproxy.Event
		require.NoError(t, json.Unmarshal(line, &back))
		require.Equal(t, entry.Event(), &back)
	}
}

func TestAnAuditRecordIsTheDocumentedOne(t *testing.T) {
	entry := fullEntry()
	require.Equal(t, `{"version":1,"id":"019aab3c-0000-7000-8000-000000000001","time":"2026-11-22T12:00:00.000Z","action":"project.update","outcome":"refused","reason":"not \"now\"",`+
		`"actor":"admin:ada","client_addr":"192.0.2.1","forwarded":"198.51.100.7\u202e","request_id":"019aab3c-0000-7000-8000-000000000009",`+
		`"project_id":"019aab3c-0000-7000-8000-000000000003","token_id":"019aab3c-0000-7000-8000-000000000002","before":{"a\"b":"1","name":"old"},"after":{"name":"new"},"suppressed":7}`,
		string(entry.Event().AppendMeta(nil)))
	require.Equal(t, string(entry.Event().AppendMeta(nil)), string(entry.Event().AppendJSON(nil)))
}

func TestAuditRecordsThatAreNotOursAreErrors(t *testing.T) {
	for _, line := range []string{`{"action":"x"}`, `{"version":2,"action":"x"}`, `{"version":1,"action":5}`, `{"version":1,"action":"x","before":[]}`, `{"version":1,"action":"x","actor":{}}`} {
		var e llmproxy.Event
		require.Error(t, json.Unmarshal([]byte(line), &e), line)
	}
	var entry llmproxy.AuditEntry
	require.Error(t, json.Unmarshal([]byte(`{"version":3}`), &entry))
}
