package llmproxy

import "time"

// How long stores keep what has ended.
const (
	TokensKeep = 30 * 24 * time.Hour  // a token after its expiry, and a project with its tokens after its deletion
	AuditKeeps = 400 * 24 * time.Hour // an audit entry: a year and the time to look back at it
)

// How long the ledger keeps what it is told.
const (
	LedgerKeeps      = 30 * 24 * time.Hour  // the row of an event; as long, an event that comes again is known
	LedgerTakes      = 29 * 24 * time.Hour  // what is older is not taken: clocks that differ by less than a day count nothing twice
	LedgerKeepsHours = 400 * 24 * time.Hour // what an hour adds up to: a year and the time to look back at it
)
