package dynamo

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// auditRow is an audit entry. It stands in the partition of the day that its id was minted on.
type auditRow struct {
	Partition  string            `dynamodbav:"pk,omitempty"`
	ID         string            `dynamodbav:"sk"`
	Time       int64             `dynamodbav:"at"`
	Action     string            `dynamodbav:"action"`
	Outcome    string            `dynamodbav:"outcome"`
	Reason     string            `dynamodbav:"reason,omitempty"`
	Actor      string            `dynamodbav:"actor"`
	ClientAddr string            `dynamodbav:"client_addr,omitempty"`
	Forwarded  string            `dynamodbav:"forwarded,omitempty"`
	RequestID  string            `dynamodbav:"request_id,omitempty"`
	Project    string            `dynamodbav:"project_id,omitempty"`
	Token      string            `dynamodbav:"token_id,omitempty"`
	Before     map[string]string `dynamodbav:"before,omitempty"`
	After      map[string]string `dynamodbav:"after,omitempty"`
	Suppressed int64             `dynamodbav:"suppressed,omitempty"`
	TTL        int64             `dynamodbav:"ttl"`
}

// batchRow has the entries of one change: until they are on the bus, and those of a change of more tokens than entries fit beside in one
// transaction until they have rows of their own.
type batchRow struct {
	Partition string     `dynamodbav:"pk"`
	ID        string     `dynamodbav:"sk"`
	Entries   []auditRow `dynamodbav:"entries"`
}

// dayRow says that a day has audit entries.
type dayRow struct {
	Partition string `dynamodbav:"pk"`
	Day       string `dynamodbav:"sk"`
	TTL       int64  `dynamodbav:"ttl"`
}

// dayOf is the day that an entry stands in.
func dayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

func auditRowOf(e *llmproxy.AuditEntry) auditRow {
	r := auditRow{
		Partition: auditPartition(dayOf(e.ID.Time())), ID: e.ID.String(), Time: toMillis(e.Time), Action: e.Action, Outcome: e.Outcome, Reason: e.Reason,
		Actor: e.Actor.Name, ClientAddr: e.Actor.ClientAddr, Forwarded: e.Actor.Forwarded, RequestID: e.Actor.RequestID,
		Before: e.Before, After: e.After, Suppressed: e.Suppressed, TTL: e.ID.Time().Add(llmproxy.AuditKeeps).Unix(),
	}
	if !e.ProjectID.IsZero() {
		r.Project = e.ProjectID.String()
	}
	if !e.TokenID.IsZero() {
		r.Token = e.TokenID.String()
	}
	return r
}

func auditOf(row item) (llmproxy.AuditEntry, error) {
	var r auditRow
	if err := attributevalue.UnmarshalMap(row, &r); err != nil {
		return llmproxy.AuditEntry{}, err
	}
	return r.entry()
}

// entry is what the row holds.
func (r *auditRow) entry() (e llmproxy.AuditEntry, err error) {
	e = llmproxy.AuditEntry{
		Time: fromMillis(r.Time), Action: r.Action, Outcome: r.Outcome, Reason: r.Reason, Actor: llmproxy.Actor{Name: r.Actor, ClientAddr: r.ClientAddr, Forwarded: r.Forwarded, RequestID: r.RequestID},
		Before: r.Before, After: r.After, Suppressed: r.Suppressed,
	}
	if e.ID.UUID, err = llmproxy.ParseUUID(r.ID); err != nil {
		return e, err
	}
	if r.Project != "" {
		if e.ProjectID, err = llmproxy.ParseProjectID(r.Project); err != nil {
			return e, err
		}
	}
	if r.Token != "" {
		e.TokenID, err = llmproxy.ParseTokenID(r.Token)
	}
	return e, err
}

// days remembers which days are known to have entries, so that a day is noted about once by each process.
type days struct {
	mu    sync.Mutex
	noted map[string]bool
}

// maxDays bounds it.
const maxDays = 32

func (d *days) has(day string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.noted[day]
}

func (d *days) add(day string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.noted == nil || len(d.noted) >= maxDays {
		d.noted = map[string]bool{}
	}
	d.noted[day] = true
}

// noteDay makes sure that a listing will look into the day of an entry that is about to be written.
func (s *Store) noteDay(ctx context.Context, at time.Time) error {
	day := dayOf(at)
	if s.days.has(day) {
		return nil
	}
	row, err := attributevalue.MarshalMap(dayRow{Partition: daysPartition, Day: day, TTL: at.Add(llmproxy.AuditKeeps + 24*time.Hour).Unix()})
	if err != nil {
		return err
	}
	if _, err := s.patient.PutItem(ctx, &dynamodb.PutItemInput{TableName: s.control, Item: row}); err != nil {
		return unavailable(err)
	}
	s.days.add(day)
	return nil
}

// told writes the changes with their audit entries in one transaction, and what is to be relayed of them. Where the entries do not fit beside the changes they go in as
// one row, which becomes rows of their own right after, or before the next listing.
func (s *Store) told(ctx context.Context, c *changes, entries ...llmproxy.AuditEntry) error {
	rows := make([]auditRow, len(entries))
	for i := range entries {
		if err := s.noteDay(ctx, entries[i].ID.Time()); err != nil {
			return err
		}
		rows[i] = auditRowOf(&entries[i])
	}
	c.put(s.control, relayRowOf(rows), absent())
	if len(c.writes)+len(rows) <= maxWrites {
		for _, row := range rows {
			c.put(s.control, row, absent())
		}
		return s.transactTold(ctx, c)
	}
	c.put(s.control, batchRow{Partition: batchesPartition, ID: rows[0].ID, Entries: rows}, absent())
	if err := s.transactTold(ctx, c); err != nil {
		return err
	}
	if err := s.spreadBatches(ctx); err != nil {
		s.log.Warn("audit entries of a batch get their rows at the next listing", zap.Error(err))
	}
	return nil
}

// spreadBatches gives the entries of batches rows of their own. It may be cut short, and two may do it at once.
func (s *Store) spreadBatches(ctx context.Context) error {
	for batch, err := range read(s.pages(ctx, query{partition: batchesPartition}), batchOf) {
		if err != nil {
			return err
		}
		var puts []types.WriteRequest
		for _, entry := range batch.Entries {
			values, err := attributevalue.MarshalMap(entry)
			if err != nil {
				return err
			}
			puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: values}})
		}
		for _, writes := range [][]types.WriteRequest{puts, {deletion(controlKey(batchesPartition, batch.ID))}} {
			if err := s.writeAll(ctx, map[string][]types.WriteRequest{*s.control: writes}); err != nil {
				return err
			}
		}
	}
	return nil
}

func batchOf(row item) (batchRow, error) {
	var r batchRow
	err := attributevalue.UnmarshalMap(row, &r)
	return r, err
}

// AppendAudit stores an entry that belongs to no change.
func (s *Store) AppendAudit(ctx context.Context, entry llmproxy.AuditEntry) error {
	return s.settled(ctx, func(ctx context.Context) error { return s.told(ctx, &changes{}, entry) })
}

// Audit lists entries, newest first: day by day, through the days that have any.
func (s *Store) Audit(ctx context.Context, f llmproxy.AuditFilter, p llmproxy.Page) ([]llmproxy.AuditEntry, bool, error) {
	if err := s.spreadBatches(ctx); err != nil {
		return nil, false, err
	}
	q := query{below: below(p)}
	if f == (llmproxy.AuditFilter{}) {
		q.size = pageLimit(p) + 1
	}
	f.Query = strings.ToLower(f.Query)
	return page(read(s.auditPages(ctx, q, f, p), auditOf), func(e *llmproxy.AuditEntry) bool { return matches(e, f) }, p)
}

// auditPages reads the rows of all days that can have what is asked for. It ends after the first error.
func (s *Store) auditPages(ctx context.Context, q query, f llmproxy.AuditFilter, p llmproxy.Page) iter.Seq2[[]item, error] {
	return func(yield func([]item, error) bool) {
		for day, err := range s.auditDays(ctx, f, p) {
			if err != nil {
				yield(nil, err)
				return
			}
			q.partition = auditPartition(day)
			for rows, err := range s.pages(ctx, q) {
				if !yield(rows, err) || err != nil {
					return
				}
			}
		}
	}
}

// auditDays are the days that can have what is asked for, the newest first.
func (s *Store) auditDays(ctx context.Context, f llmproxy.AuditFilter, p llmproxy.Page) iter.Seq2[string, error] {
	last := "9999-12-31"
	if !f.To.IsZero() {
		last = dayOf(f.To)
	}
	if !p.After.IsZero() {
		last = min(last, dayOf(p.After.Time()))
	}
	q := query{partition: daysPartition}
	if !f.From.IsZero() {
		q.atLeast = dayOf(f.From)
	}
	return func(yield func(string, error) bool) {
		for day, err := range read(s.pages(ctx, q), dayNoted) {
			if err == nil && day > last {
				continue
			}
			if !yield(day, err) || err != nil {
				return
			}
		}
	}
}

// dayNoted is the day that a row tells of.
func dayNoted(row item) (string, error) {
	var r dayRow
	err := attributevalue.UnmarshalMap(row, &r)
	return r.Day, err
}

// matches reports whether an entry is asked for. The query is in lower case.
func matches(e *llmproxy.AuditEntry, f llmproxy.AuditFilter) bool {
	for _, same := range [][2]string{{f.Action, e.Action}, {f.Actor, e.Actor.Name}, {f.Outcome, e.Outcome}, {f.RequestID, e.Actor.RequestID}} {
		if same[0] != "" && same[0] != same[1] {
			return false
		}
	}
	switch {
	case !f.ProjectID.IsZero() && f.ProjectID != e.ProjectID,
		!f.TokenID.IsZero() && f.TokenID != e.TokenID,
		!f.From.IsZero() && e.Time.Before(f.From),
		!f.To.IsZero() && !e.Time.Before(f.To):
		return false
	}
	return f.Query == "" || slices.ContainsFunc(texts(e), func(t string) bool { return strings.Contains(strings.ToLower(t), f.Query) })
}

// texts are the parts of an entry that a query looks into.
func texts(e *llmproxy.AuditEntry) []string {
	all := []string{e.Action, e.Actor.Name, e.Reason}
	for _, values := range []map[string]string{e.Before, e.After} {
		for _, value := range values {
			all = append(all, value)
		}
	}
	return all
}
