package llmproxy

import (
	"net"
	"strings"
	"time"
)

// AuditID names an audit entry; it is a UUIDv7, so entries sort by time.
type AuditID struct{ UUID }

// Actor is who asks for a management change.
type Actor struct {
	Name       string // "token" (the management token), "admin:<user>", or "local" for a command on the machine itself
	ClientAddr string // the connection's peer, without port; empty for "local"
	Forwarded  string // X-Forwarded-For as the peer claims it
	RequestID  string // of the management request
}

// maxForwarded is how many characters of X-Forwarded-For are kept.
const maxForwarded = 512

// NewActor is who sends a request, as far as its connection tells: nobody has a name before the credential was looked at.
func NewActor(remoteAddr string, forwardedFor []string, requestID string) Actor {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		host = remoteAddr
	}
	forwarded := strings.ToValidUTF8(strings.Join(forwardedFor, ", "), "�")
	if runes := []rune(forwarded); len(runes) > maxForwarded {
		forwarded = string(runes[:maxForwarded])
	}
	return Actor{Name: "unknown", ClientAddr: host, Forwarded: forwarded, RequestID: requestID}
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
