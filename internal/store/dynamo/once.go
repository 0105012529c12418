package dynamo

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// onceRow is what was made under an idempotency key. Neither the key nor the request can be read from it.
type onceRow struct {
	Partition   string `dynamodbav:"pk"`
	Sort        string `dynamodbav:"sk"`
	Fingerprint []byte `dynamodbav:"fp"`
	Project     string `dynamodbav:"prj"`
	Until       int64  `dynamodbav:"until"`
	TTL         int64  `dynamodbav:"ttl"`
}

// oncePartition has what was made under a key.
func oncePartition(key [32]byte) string { return "I#" + hex.EncodeToString(key[:]) }

// onceSort is the sort key of such a row.
const onceSort = "ONCE"

// unlessRemembered asks that nothing is remembered under the key at this moment.
func unlessRemembered(at time.Time) *condition {
	return &condition{expression.AttributeNotExists(expression.Name("pk")).Or(expression.Name("until").LessThanEqual(expression.Value(toMillis(at)))), errMoved}
}

// CreateProjectOnce stores a new project unless one was stored under the same key, and returns the id of that which is stored.
func (s *Store) CreateProjectOnce(ctx context.Context, p llmproxy.Project, entry llmproxy.AuditEntry, once llmproxy.Once) (id llmproxy.ProjectID, err error) {
	err = s.settled(ctx, func(ctx context.Context) error {
		earlier, err := s.madeUnder(ctx, once, p.CreatedAt)
		if !errors.Is(err, llmproxy.ErrNotFound) {
			id = earlier
			return err
		}
		id = p.ID
		var c changes
		c.put(s.control, onceRow{
			Partition: oncePartition(once.Key), Sort: onceSort, Fingerprint: once.Fingerprint[:], Project: p.ID.String(), Until: toMillis(once.Until), TTL: once.Until.Unix() + 1,
		}, unlessRemembered(p.CreatedAt))
		c.putNewProject(s.control, &p)
		return s.told(ctx, &c, entry)
	})
	if err != nil {
		return llmproxy.ProjectID{}, err
	}
	return id, nil
}

// madeUnder is the project that was made under the key; [llmproxy.ErrNotFound] if none is remembered at this moment.
func (s *Store) madeUnder(ctx context.Context, once llmproxy.Once, at time.Time) (llmproxy.ProjectID, error) {
	row, err := s.getControl(ctx, oncePartition(once.Key), onceSort)
	if err != nil {
		return llmproxy.ProjectID{}, err
	}
	var r onceRow
	if err := attributevalue.UnmarshalMap(row, &r); err != nil {
		return llmproxy.ProjectID{}, unavailable(err)
	}
	switch {
	case r.Until <= toMillis(at):
		return llmproxy.ProjectID{}, llmproxy.ErrNotFound
	case subtle.ConstantTimeCompare(r.Fingerprint, once.Fingerprint[:]) != 1:
		return llmproxy.ProjectID{}, llmproxy.ErrKeyReused
	}
	id, err := llmproxy.ParseProjectID(r.Project)
	return id, unavailable(err)
}
