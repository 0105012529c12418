package llmproxy

import "time"

// Page asks for a part of a listing, newest first.
type Page struct {
	Limit int  // 1..100; 0 means 100
	After UUID // the id that the page before ended with; zero begins at the newest
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
	Now            time.Time     // what Active and ExpiringWithin compare with; required with them
}

// AuditFilter narrows a listing of audit entries; zero fields do not narrow.
type AuditFilter struct {
	Action    string
	Actor     string
	Outcome   string
	ProjectID ProjectID
	RequestID string
	From, To  time.Time // From <= time < To
	Query     string    // part of action, actor, reason or a changed value, in any case
}
