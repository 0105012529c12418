package manage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Sealer seals provider keys.
type Sealer interface {
	// Seal returns the ciphertext of a provider key, which opens for this project and provider only.
	Seal(project llmproxy.ProjectID, provider string, key llmproxy.Secret) (string, error)
}

// Config joins the parts of a [Service].
type Config struct {
	Store     Store    // required
	Sealer    Sealer   // required
	Providers []string // names that a project may have; required
	Default   string   // provider of a project that names none; required

	// KeyRefPrefix begins the names of secrets that may hold a project's key. Empty: there are none.
	KeyRefPrefix string
	// DefaultMaxRequests is the lifetime cap of a token minted without one. 0 is none.
	DefaultMaxRequests int64
	// Now is the clock. Nil is time.Now.
	Now func() time.Time
}

// Service manages projects and tokens. It is safe for concurrent use. Errors are [FieldErrors] for input that cannot be taken, else
// wrap those of package llmproxy.
type Service struct{ cfg Config }

// New returns the service for a configuration.
func New(cfg Config) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{cfg: cfg}
}

// FieldError says which field cannot be taken and why. It never repeats the value: that may have been a secret in the wrong place.
type FieldError struct{ Field, Message string }

// FieldErrors are all fields of one request that cannot be taken.
type FieldErrors []FieldError

// Error implements error.
func (e FieldErrors) Error() string {
	parts := make([]string, len(e))
	for i, f := range e {
		parts[i] = f.Field + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}

// add notes a field.
func (e *FieldErrors) add(field, format string, args ...any) {
	*e = append(*e, FieldError{field, fmt.Sprintf(format, args...)})
}

// err is nil where no field was noted.
func (e FieldErrors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// now is the moment of a change. Stores keep milliseconds.
func (s *Service) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Millisecond) }

// entry tells of a change by actor.
func entry(at time.Time, actor llmproxy.Actor, action string) llmproxy.AuditEntry {
	return llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(at)}, Time: at, Action: action, Outcome: llmproxy.AuditDone, Actor: actor}
}

// changed keeps the fields that differ: as they were and as they are.
func changed(before, after map[string]string) (was, is map[string]string) {
	was, is = map[string]string{}, map[string]string{}
	for _, field := range slices.Sorted(maps.Keys(after)) {
		if before[field] != after[field] {
			was[field], is[field] = before[field], after[field]
		}
	}
	return was, is
}

// checkRevision refuses a change of what is no longer as the caller saw it.
func checkRevision(want []int64, have int64) error {
	if len(want) > 0 && !slices.Contains(want, have) {
		return fmt.Errorf("revision %d was asked for, %d is current: %w", want, have, llmproxy.ErrConflict)
	}
	return nil
}

// Refuse stores that an attempt was refused.
func (s *Service) Refuse(ctx context.Context, actor llmproxy.Actor, action, reason string, suppressed int64) error {
	e := entry(s.now(), actor, action)
	e.Outcome, e.Reason, e.Suppressed = llmproxy.AuditRefused, reason, suppressed
	return s.cfg.Store.AppendAudit(ctx, e)
}

// Audit lists audit entries, newest first.
func (s *Service) Audit(ctx context.Context, f llmproxy.AuditFilter, page llmproxy.Page) ([]llmproxy.AuditEntry, bool, error) {
	return s.cfg.Store.Audit(ctx, f, page)
}

// IsInputError reports whether an error is the caller's to mend.
func IsInputError(err error) bool {
	var fields FieldErrors
	return errors.As(err, &fields)
}
