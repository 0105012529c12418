package llmproxy

import (
	"strings"
	"time"
)

// Page asks for a part of a listing, newest first.
type Page struct {
	Limit int  // 1..100; 0 means 100
	After UUID // the id that the page before ended with; zero begins at the newest

	// AfterKey is what [TokenOrder.KeyOf] says of what the page before ended with, in a listing with an order.
	AfterKey string
}

// ProjectFilter narrows a listing of projects; zero fields do not narrow. Deleted projects are never listed.
type ProjectFilter struct {
	Active *bool
	Query  string // part of the name, in any case
}

// TokenFilter narrows a listing of tokens; zero fields do not narrow.
type TokenFilter struct {
	ProjectID      ProjectID
	Active         *bool         // spendable at Now as far as revocation and expiry go
	ExpiringWithin time.Duration // not expired at Now, but so long after
	Status         TokenStatus   // at Now
	Query          string        // part of the name in any case, or how the id begins
	Now            time.Time     // what Active, ExpiringWithin and Status compare with; required with them
	Order          TokenOrder
}

// QueryDigits are the hexadecimal digits that an id begins with if the query is how it begins; empty if it cannot be.
func (f *TokenFilter) QueryDigits() string {
	digits := strings.ReplaceAll(strings.ToLower(f.Query), "-", "")
	if len(digits) > 32 || strings.Trim(digits, "0123456789abcdef") != "" {
		return ""
	}
	return digits
}

// AuditFilter narrows a listing of audit entries; zero fields do not narrow.
type AuditFilter struct {
	Action    string
	Actor     string
	Outcome   string
	ProjectID ProjectID
	TokenID   TokenID
	RequestID string
	From, To  time.Time // From <= time < To
	Query     string    // part of action, actor, reason or a changed value, in any case
}
