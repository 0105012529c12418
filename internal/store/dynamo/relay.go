package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// relayRow is what is to be relayed of one change. One that nobody relays goes with its entries.
type relayRow struct {
	batchRow
	TTL int64 `dynamodbav:"ttl"`
}

// relayRowOf remembers a change's entries until they are relayed.
func relayRowOf(entries []auditRow) relayRow {
	return relayRow{batchRow{Partition: relayPartition, ID: entries[0].ID, Entries: entries}, entries[0].TTL}
}

// transactTold writes all changes, which have audit entries, or none.
func (s *Store) transactTold(ctx context.Context, c *changes) error {
	if err := s.transact(ctx, c); err != nil {
		return err
	}
	select {
	case s.audited <- struct{}{}:
	default:
	}
	return nil
}

// AuditStored receives when this process may have stored audit entries since it last did.
func (s *Store) AuditStored() <-chan struct{} { return s.audited }

// RelayAudit hands audit entries that have not been relayed to publish, those of some changes at a time, and notes that they are where
// it returns nil. Entries may come again: where the process ends in between, and where several processes relay at once.
func (s *Store) RelayAudit(ctx context.Context, publish func(context.Context, []llmproxy.AuditEntry) error) (relayed int, err error) {
	for rows, err := range s.pages(ctx, query{partition: relayPartition}) {
		if err != nil || len(rows) == 0 {
			return relayed, err
		}
		var entries []llmproxy.AuditEntry
		var done []types.WriteRequest
		for _, row := range rows {
			some, err := entriesOf(row)
			if err != nil {
				return relayed, unavailable(err)
			}
			entries = append(entries, some...)
			done = append(done, deletion(item{"pk": row["pk"], "sk": row["sk"]}))
		}
		if err := publish(ctx, entries); err != nil {
			return relayed, err
		}
		if err := s.writeAll(ctx, map[string][]types.WriteRequest{*s.control: done}); err != nil {
			return relayed, err
		}
		relayed += len(entries)
	}
	return relayed, nil
}

// entriesOf are the entries in a row of several.
func entriesOf(row item) ([]llmproxy.AuditEntry, error) {
	batch, err := batchOf(row)
	if err != nil {
		return nil, err
	}
	entries := make([]llmproxy.AuditEntry, len(batch.Entries))
	for i := range batch.Entries {
		if entries[i], err = batch.Entries[i].entry(); err != nil {
			return nil, err
		}
	}
	return entries, nil
}
