package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// CreateSession stores a new session.
func (s *Store) CreateSession(ctx context.Context, session llmproxy.Session, entry llmproxy.AuditEntry) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO sessions (hash, user, created_at, expires_at) VALUES (?,?,?,?)`,
			session.Hash[:], session.User, toMillis(session.CreatedAt), toMillis(session.ExpiresAt)); err != nil {
			return unavailable(err)
		}
		return putAudit(ctx, tx, &entry)
	})
}

// Session returns a session, also one that is over.
func (s *Store) Session(ctx context.Context, hash llmproxy.SessionHash) (llmproxy.Session, error) {
	session := llmproxy.Session{Hash: hash}
	var created, expires int64
	err := s.readers.QueryRowContext(ctx, `SELECT user, created_at, expires_at FROM sessions WHERE hash = ?`, hash[:]).Scan(&session.User, &created, &expires)
	session.CreatedAt, session.ExpiresAt = fromMillis(created), fromMillis(expires)
	return session, found(err)
}

// ExtendSession moves a session's end.
func (s *Store) ExtendSession(ctx context.Context, session llmproxy.Session) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		return changedOne(tx.ExecContext(ctx, `UPDATE sessions SET expires_at = ? WHERE hash = ?`, toMillis(session.ExpiresAt), session.Hash[:]))
	})
}

// EndSession removes a session.
func (s *Store) EndSession(ctx context.Context, hash llmproxy.SessionHash, entry llmproxy.AuditEntry) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := changedOne(tx.ExecContext(ctx, `DELETE FROM sessions WHERE hash = ?`, hash[:])); err != nil {
			return err
		}
		return putAudit(ctx, tx, &entry)
	})
}

// changedOne is [llmproxy.ErrNotFound] where a statement has met no row.
func changedOne(result sql.Result, err error) error {
	if err != nil {
		return unavailable(err)
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return llmproxy.ErrNotFound
	}
	return unavailable(err)
}

// CountSignIn counts an attempt against each of its keys, or against none and says how long to wait.
func (s *Store) CountSignIn(ctx context.Context, attempt llmproxy.SignIn) (wait time.Duration, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		for _, key := range attempt.Keys {
			earlier, err := signIns(ctx, tx, key)
			if err != nil {
				return err
			}
			wait = max(wait, attempt.Wait(attempt.Counts(earlier)))
		}
		if wait > 0 {
			return nil
		}
		for _, key := range attempt.Keys {
			if _, err := tx.ExecContext(ctx, `INSERT INTO sign_ins (key, at, until) VALUES (?,?,?)`, key[:], toMillis(attempt.At), toMillis(attempt.At.Add(attempt.Within))); err != nil {
				return unavailable(err)
			}
		}
		return nil
	})
	return wait, err
}

// signIns are the moments of the attempts against a key.
func signIns(ctx context.Context, tx *sql.Tx, key [32]byte) (moments []time.Time, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT at FROM sign_ins WHERE key = ?`, key[:])
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var at int64
		if err := rows.Scan(&at); err != nil {
			return nil, unavailable(err)
		}
		moments = append(moments, fromMillis(at))
	}
	return moments, unavailable(rows.Err())
}

// ForgiveSignIn takes back what was counted for an attempt.
func (s *Store) ForgiveSignIn(ctx context.Context, attempt llmproxy.SignIn) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, key := range attempt.Keys {
			if _, err := tx.ExecContext(ctx, `DELETE FROM sign_ins WHERE rowid = (SELECT rowid FROM sign_ins WHERE key = ? AND at = ? LIMIT 1)`, key[:], toMillis(attempt.At)); err != nil {
				return unavailable(err)
			}
		}
		return nil
	})
}
