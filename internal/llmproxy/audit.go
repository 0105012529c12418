package llmproxy

import "time"

// AuditID names an audit entry; it is a UUIDv7, so entries sort by time.
type AuditID struct{ UUID }

// Actor is who asks for a management change.
type Actor struct {
	Name       string // "token" (the management token), "admin:<user>", or "local" for a command on the machine itself
	ClientAddr string // the connection's peer, without port; empty for "local"
	Forwarded  string // X-Forwarded-For as the peer claims it
	RequestID  string // of the management request
}

// Outcomes of an audit entry.
const (
	AuditDone    = "done"
	AuditRefused = "refused"
)

// AuditEntry says who did what, or was refused it. It is stored in the same transaction as the change it tells of.
type AuditEntry struct {
	ID         AuditID
	Time       time.Time
	Action     string // "project.create", "token.revoke", ...
	Outcome    string // AuditDone or AuditRefused
	Reason     string // why it was refused
	Actor      Actor
	ProjectID  ProjectID         // zero if it concerns none
	TokenID    TokenID           // zero if it concerns none
	Before     map[string]string // changed fields as they were; never a secret
	After      map[string]string // changed fields as they are; never a secret
	Suppressed int64             // refused attempts left out since the entry before
}
