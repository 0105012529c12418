package manage

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// wireAuditEntry says who did what, or was refused it.
type wireAuditEntry struct {
	ID         string            `json:"id" format:"uuid"`
	Time       time.Time         `json:"time"`
	Action     string            `json:"action" doc:"For example project.create, token.revoke, authenticate"`
	Outcome    string            `json:"outcome" enum:"done,refused"`
	Reason     string            `json:"reason,omitempty" doc:"Why it was refused"`
	Actor      string            `json:"actor" doc:"token, admin:<user>, local for a command on the server's own machine, or unknown"`
	ClientAddr string            `json:"client_addr,omitempty" doc:"The connection's peer"`
	Forwarded  string            `json:"forwarded,omitempty" doc:"X-Forwarded-For: what the peer claims"`
	RequestID  string            `json:"request_id,omitempty"`
	ProjectID  string            `json:"project_id,omitempty" format:"uuid"`
	TokenID    string            `json:"token_id,omitempty" format:"uuid"`
	Before     map[string]string `json:"before" doc:"Changed fields as they were; never a secret"`
	After      map[string]string `json:"after" doc:"Changed fields as they are; never a secret"`
	Suppressed int64             `json:"suppressed,omitempty" doc:"Refused attempts that have no entry of their own"`
}

func auditOut(e *llmproxy.AuditEntry) wireAuditEntry {
	out := wireAuditEntry{
		ID: e.ID.String(), Time: e.Time, Action: e.Action, Outcome: e.Outcome, Reason: e.Reason, Actor: e.Actor.Name,
		ClientAddr: e.Actor.ClientAddr, Forwarded: e.Actor.Forwarded, RequestID: e.Actor.RequestID, Before: e.Before, After: e.After, Suppressed: e.Suppressed,
	}
	if !e.ProjectID.IsZero() {
		out.ProjectID = e.ProjectID.String()
	}
	if !e.TokenID.IsZero() {
		out.TokenID = e.TokenID.String()
	}
	if out.Before == nil {
		out.Before = map[string]string{}
	}
	if out.After == nil {
		out.After = map[string]string{}
	}
	return out
}

var auditColumns = []string{
	"time", "id", "action", "outcome", "reason", "actor", "client_addr", "forwarded", "request_id", "project_id", "token_id", "suppressed", "before", "after",
}

func auditCells(e *wireAuditEntry) []string {
	before, _ := json.Marshal(e.Before) // strings: it cannot fail
	after, _ := json.Marshal(e.After)
	return []string{
		timeCell(e.Time), e.ID, e.Action, e.Outcome, e.Reason, e.Actor, e.ClientAddr, e.Forwarded, e.RequestID, e.ProjectID, e.TokenID,
		strconv.FormatInt(e.Suppressed, 10), string(before), string(after),
	}
}
