package sqlite

import (
	"context"
	"database/sql"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// relayChunk is how many audit entries are handed over together.
const relayChunk = 100

// AuditStored receives when this process may have stored audit entries since it last did.
func (s *Store) AuditStored() <-chan struct{} { return s.audited }

// RelayAudit hands audit entries that have not been relayed to publish, oldest first, and notes that they are where it returns nil.
// Entries may come again: where the process ends in between, and where several processes relay at once.
func (s *Store) RelayAudit(ctx context.Context, publish func(context.Context, []llmproxy.AuditEntry) error) (relayed int, err error) {
	for {
		entries, err := list(ctx, s.readers, `SELECT `+auditColumns+` FROM audit WHERE relayed = 0 ORDER BY id LIMIT ?`, []any{relayChunk}, scanAudit)
		if err != nil || len(entries) == 0 {
			return relayed, err
		}
		if err := publish(ctx, entries); err != nil {
			return relayed, err
		}
		if err := s.transact(ctx, func(tx *sql.Tx) error {
			for i := range entries {
				if _, err := tx.ExecContext(ctx, `UPDATE audit SET relayed = 1 WHERE id = ?`, entries[i].ID.UUID[:]); err != nil {
					return unavailable(err)
				}
			}
			return nil
		}); err != nil {
			return relayed, err
		}
		relayed += len(entries)
	}
}
