package dynamo

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// sessionRow is an operator who has signed in.
type sessionRow struct {
	Partition string `dynamodbav:"pk"`
	Sort      string `dynamodbav:"sk"`
	User      string `dynamodbav:"user"`
	CreatedAt int64  `dynamodbav:"cr"`
	ExpiresAt int64  `dynamodbav:"ex"`
	TTL       int64  `dynamodbav:"ttl"`
}

// sessionPartition has a session. Its secret cannot be read from the hash.
func sessionPartition(hash llmproxy.SessionHash) string { return "S#" + hex.EncodeToString(hash[:]) }

// sessionSort is the sort key of such a row.
const sessionSort = "SESSION"

func sessionRowOf(s *llmproxy.Session) sessionRow {
	return sessionRow{
		Partition: sessionPartition(s.Hash), Sort: sessionSort, User: s.User, CreatedAt: toMillis(s.CreatedAt), ExpiresAt: toMillis(s.ExpiresAt), TTL: s.ExpiresAt.Unix() + 1,
	}
}

// present asks for a row.
func present() *condition {
	return &condition{expression.AttributeExists(expression.Name("pk")), llmproxy.ErrNotFound}
}

// CreateSession stores a new session.
func (s *Store) CreateSession(ctx context.Context, session llmproxy.Session, entry llmproxy.AuditEntry) error {
	return s.settled(ctx, func(ctx context.Context) error {
		var c changes
		c.put(s.control, sessionRowOf(&session), absent())
		return s.told(ctx, &c, entry)
	})
}

// Session returns a session, also one that is over.
func (s *Store) Session(ctx context.Context, hash llmproxy.SessionHash) (llmproxy.Session, error) {
	row, err := s.getControl(ctx, sessionPartition(hash), sessionSort)
	if err != nil {
		return llmproxy.Session{}, err
	}
	var r sessionRow
	if err := attributevalue.UnmarshalMap(row, &r); err != nil {
		return llmproxy.Session{}, unavailable(err)
	}
	return llmproxy.Session{Hash: hash, User: r.User, CreatedAt: fromMillis(r.CreatedAt), ExpiresAt: fromMillis(r.ExpiresAt)}, nil
}

// ExtendSession moves a session's end. The row is put whole: nothing else of it ever changes.
func (s *Store) ExtendSession(ctx context.Context, session llmproxy.Session) error {
	return s.settled(ctx, func(ctx context.Context) error {
		var c changes
		c.put(s.control, sessionRowOf(&session), present())
		return s.transact(ctx, &c)
	})
}

// EndSession removes a session.
func (s *Store) EndSession(ctx context.Context, hash llmproxy.SessionHash, entry llmproxy.AuditEntry) error {
	return s.settled(ctx, func(ctx context.Context) error {
		var c changes
		c.remove(s.control, controlKey(sessionPartition(hash), sessionSort), present())
		return s.told(ctx, &c, entry)
	})
}

// signInsRow has the attempts to sign in that count against a key.
type signInsRow struct {
	Partition string  `dynamodbav:"pk"`
	Sort      string  `dynamodbav:"sk"`
	At        []int64 `dynamodbav:"at"`
	Revision  int64   `dynamodbav:"rev"`
	TTL       int64   `dynamodbav:"ttl"`
}

// signInsPartition has the attempts against a key.
func signInsPartition(key [32]byte) string { return "L#" + hex.EncodeToString(key[:]) }

// signInsSort is the sort key of such a row.
const signInsSort = "SIGNINS"

// signIns reads the attempts that count against a key; the row has no revision where there is none.
func (s *Store) signIns(ctx context.Context, attempt *llmproxy.SignIn, key [32]byte) (r signInsRow, counts []time.Time, err error) {
	row, err := s.getControl(ctx, signInsPartition(key), signInsSort)
	if errors.Is(err, llmproxy.ErrNotFound) {
		return signInsRow{Partition: signInsPartition(key), Sort: signInsSort}, nil, nil
	}
	if err == nil {
		err = unavailable(attributevalue.UnmarshalMap(row, &r))
	}
	if err != nil {
		return r, nil, err
	}
	for _, at := range r.At {
		counts = append(counts, fromMillis(at))
	}
	return r, attempt.Counts(counts), nil
}

// putSignIns stores the attempts of a row that was read, if nobody else has changed it since.
func (c *changes) putSignIns(table *string, r signInsRow, counts []time.Time, attempt *llmproxy.SignIn) {
	cond := atRevision(r.Revision)
	if r.Revision == 0 {
		cond = &condition{expression.AttributeNotExists(expression.Name("pk")), errMoved}
	}
	r.At = make([]int64, 0, len(counts))
	for _, at := range counts {
		r.At = append(r.At, toMillis(at))
	}
	r.Revision++
	r.TTL = attempt.At.Add(attempt.Within).Unix() + 1
	c.put(table, r, cond)
}

// CountSignIn counts an attempt against each of its keys, or against none and says how long to wait.
func (s *Store) CountSignIn(ctx context.Context, attempt llmproxy.SignIn) (wait time.Duration, err error) {
	err = s.settled(ctx, func(ctx context.Context) error {
		var c changes
		wait = 0
		for _, key := range attempt.Keys {
			r, counts, err := s.signIns(ctx, &attempt, key)
			if err != nil {
				return err
			}
			wait = max(wait, attempt.Wait(counts))
			c.putSignIns(s.control, r, append(counts, attempt.At), &attempt)
		}
		if wait > 0 {
			return nil
		}
		return s.transact(ctx, &c)
	})
	return wait, err
}

// ForgiveSignIn takes back what was counted for an attempt.
func (s *Store) ForgiveSignIn(ctx context.Context, attempt llmproxy.SignIn) error {
	return s.settled(ctx, func(ctx context.Context) error {
		var c changes
		for _, key := range attempt.Keys {
			r, counts, err := s.signIns(ctx, &attempt, key)
			if err != nil {
				return err
			}
			for i, at := range counts {
				if at.Equal(attempt.At) {
					c.putSignIns(s.control, r, append(counts[:i:i], counts[i+1:]...), &attempt)
					break
				}
			}
		}
		if len(c.writes) == 0 {
			return nil
		}
		return s.transact(ctx, &c)
	})
}
