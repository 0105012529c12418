package sqlite

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

const projectColumns = `id, name, description, metadata, provider, active, created_at, updated_at, deleted_at, sealed_key, key_hint, key_ref, capture, endpoints, epoch, epoch_at, revision`

// row is what a query gives: one row, or rows.
type row interface{ Scan(dest ...any) error }

func scanProject(r row) (llmproxy.Project, error) {
	var p llmproxy.Project
	var id []byte
	var metadata, capture, endpoints string
	var created, updated, deleted, epochAt int64
	err := r.Scan(&id, &p.Name, &p.Description, &metadata, &p.Provider, &p.Active, &created, &updated, &deleted, &p.SealedKey, &p.KeyHint, &p.KeyRef, &capture, &endpoints, &p.Epoch, &epochAt, &p.Revision)
	copy(p.ID.UUID[:], id)
	p.Metadata, p.Capture, p.Endpoints = mapOf(metadata), llmproxy.Capture(capture), groupsOf(endpoints)
	p.CreatedAt, p.UpdatedAt, p.DeletedAt, p.EpochAt = fromMillis(created), fromMillis(updated), fromMillis(deleted), fromMillis(epochAt)
	return p, found(err)
}

// found turns the absence of a row into [llmproxy.ErrNotFound].
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return llmproxy.ErrNotFound
	}
	return unavailable(err)
}

func projectValues(p *llmproxy.Project) []any {
	return []any{
		p.ID.UUID[:], p.Name, p.Description, mapText(p.Metadata), p.Provider, p.Active, toMillis(p.CreatedAt), toMillis(p.UpdatedAt), toMillis(p.DeletedAt),
		p.SealedKey, p.KeyHint, p.KeyRef, string(p.Capture), groupsText(p.Endpoints), p.Epoch, toMillis(p.EpochAt), p.Revision,
	}
}

func putProject(ctx context.Context, tx *sql.Tx, verb string, p *llmproxy.Project) error {
	_, err := tx.ExecContext(ctx, verb+` INTO projects (`+projectColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, projectValues(p)...)
	return unavailable(err)
}

// CreateProject stores a new project.
func (s *Store) CreateProject(ctx context.Context, p llmproxy.Project, entry llmproxy.AuditEntry) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := putProject(ctx, tx, "INSERT", &p); err != nil {
			return err
		}
		return putAudit(ctx, tx, &entry)
	})
}

// CreateProjectOnce stores a new project unless one was stored under the same key, and returns the id of that which is stored.
func (s *Store) CreateProjectOnce(ctx context.Context, p llmproxy.Project, entry llmproxy.AuditEntry, once llmproxy.Once) (llmproxy.ProjectID, error) {
	id := p.ID
	err := s.write(ctx, func(tx *sql.Tx) error {
		var project, fingerprint []byte
		err := tx.QueryRowContext(ctx, `SELECT project_id, fingerprint FROM idempotency WHERE key = ? AND until > ?`, once.Key[:], toMillis(p.CreatedAt)).Scan(&project, &fingerprint)
		if err == nil {
			copy(id.UUID[:], project)
			if subtle.ConstantTimeCompare(fingerprint, once.Fingerprint[:]) != 1 {
				return llmproxy.ErrKeyReused
			}
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return unavailable(err)
		}
		if _, err := tx.ExecContext(ctx, `REPLACE INTO idempotency (key, fingerprint, project_id, until) VALUES (?,?,?,?)`, once.Key[:], once.Fingerprint[:], p.ID.UUID[:], toMillis(once.Until)); err != nil {
			return unavailable(err)
		}
		if err := putProject(ctx, tx, "INSERT", &p); err != nil {
			return err
		}
		return putAudit(ctx, tx, &entry)
	})
	if err != nil {
		return llmproxy.ProjectID{}, err
	}
	return id, nil
}

// Project returns a project; a deleted one is not found.
func (s *Store) Project(ctx context.Context, id llmproxy.ProjectID) (llmproxy.Project, error) {
	return scanProject(s.readers.QueryRowContext(ctx, `SELECT `+projectColumns+` FROM projects WHERE id = ? AND deleted_at = 0`, id.UUID[:]))
}

// Projects lists projects, newest first.
func (s *Store) Projects(ctx context.Context, f llmproxy.ProjectFilter, page llmproxy.Page) ([]llmproxy.Project, bool, error) {
	var w where
	w.and("deleted_at = 0")
	if f.Active != nil {
		w.and("active = ?", *f.Active)
	}
	if f.Query != "" {
		w.and("holds(name, ?)", strings.ToLower(f.Query))
	}
	projects, err := list(ctx, s.readers, `SELECT `+projectColumns+` FROM projects`+w.page("id", page), w.args, scanProject)
	if err != nil {
		return nil, false, err
	}
	projects, more := cut(projects, page)
	return projects, more, nil
}

// list runs a query and scans its rows.
func list[T any](ctx context.Context, db *sql.DB, query string, args []any, scan func(row) (T, error)) (all []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, unavailable(rows.Err())
}

// UpdateProject stores what change makes of the project.
func (s *Store) UpdateProject(ctx context.Context, id llmproxy.ProjectID, change func(*llmproxy.Project) (llmproxy.AuditEntry, error)) (llmproxy.Project, error) {
	var p llmproxy.Project
	err := s.write(ctx, func(tx *sql.Tx) error {
		var err error
		p, err = scanProject(tx.QueryRowContext(ctx, `SELECT `+projectColumns+` FROM projects WHERE id = ? AND deleted_at = 0`, id.UUID[:]))
		if err != nil {
			return err
		}
		epoch, epochAt, revision := p.Epoch, p.EpochAt, p.Revision
		entry, err := change(&p)
		if err != nil {
			return err
		}
		p.ID, p.Epoch, p.EpochAt, p.Revision = id, epoch, epochAt, revision+1
		if err := putProject(ctx, tx, "REPLACE", &p); err != nil {
			return err
		}
		return putAudit(ctx, tx, &entry)
	})
	if err != nil {
		return llmproxy.Project{}, err
	}
	return p, nil
}

// countActive counts a project's tokens that a bulk revoke ends. Spends wait for it, so it reads an index alone.
const countActive = `SELECT count(*) FROM tokens t JOIN projects p ON p.id = t.project_id WHERE t.project_id = ? AND t.active = 1 AND t.epoch >= p.epoch AND t.expires_at > ?`

// RevokeProjectTokens refuses all tokens minted so far and returns how many were active.
func (s *Store) RevokeProjectTokens(ctx context.Context, id llmproxy.ProjectID, now time.Time, entry llmproxy.AuditEntry) (revoked int64, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, countActive, id.UUID[:], toMillis(now)).Scan(&revoked)
		if err != nil {
			return unavailable(err)
		}
		result, err := tx.ExecContext(ctx, `UPDATE projects SET epoch = epoch + 1, epoch_at = ?, revision = revision + 1 WHERE id = ? AND deleted_at = 0`, toMillis(now), id.UUID[:])
		if err != nil {
			return unavailable(err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(llmproxy.ErrNotFound, err)
		}
		return putAudit(ctx, tx, &entry)
	})
	return revoked, err
}
