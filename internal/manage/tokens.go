package manage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/sync/errgroup"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Limits of a token's fields.
const (
	maxDurationMinutes = 525600 // 365 days
	maxCount           = 1_000_000_000
	maxDropped         = 50
	maxBatch           = 90 // tokens in one transaction

	// DefaultRequestsPerHour is the hourly limit of a token minted without one.
	DefaultRequestsPerHour = 1000
)

// Limit is a cap that may be left open or switched off.
type Limit struct {
	N    int64 // 1..1e9
	None bool  // no cap
}

// NewToken is what a token is made of.
type NewToken struct {
	ProjectID          llmproxy.ProjectID
	DurationMinutes    int64  // 1..525600
	Name               string // at most 100 characters
	MaxRequests        *Limit // nil takes the installation's default
	RequestsPerHour    *Limit // nil takes DefaultRequestsPerHour
	RequestHeadersDrop []string
}

// TokenPatch is what is to change of a token; nil stays as it is.
type TokenPatch struct {
	Name            *string
	ExpiresAt       *time.Time
	MaxRequests     *Limit
	RequestsPerHour *Limit
	IfRevision      []int64 // one of them has to be current; none takes any
}

// MintToken makes a token. Its secret is returned this once and kept nowhere.
func (s *Service) MintToken(ctx context.Context, actor llmproxy.Actor, in NewToken) (llmproxy.Token, llmproxy.Secret, error) {
	now := s.now()
	g := llmproxy.Gate{Token: llmproxy.Token{
		ID: llmproxy.NewTokenID(now), ProjectID: in.ProjectID, Name: in.Name, CreatedAt: now, Active: true, Revision: 1,
		MaxRequests: s.cfg.DefaultMaxRequests, RequestsPerHour: DefaultRequestsPerHour, RequestHeadersDrop: in.RequestHeadersDrop,
	}}
	if err := in.apply(&g.Token); err != nil {
		return llmproxy.Token{}, llmproxy.Secret{}, err
	}
	secret := llmproxy.NewTokenSecret(g.ID)
	g.Hash = llmproxy.HashTokenSecret(secret.Reveal())
	e := entry(now, actor, "token.create")
	e.ProjectID, e.TokenID = g.ProjectID, g.ID
	_, e.After = changed(nil, tokenFields(&g.Token))
	if err := s.cfg.Store.CreateToken(ctx, g, e); err != nil {
		return llmproxy.Token{}, llmproxy.Secret{}, fmt.Errorf("mint a token for project %s: %w", in.ProjectID, err)
	}
	return g.Token, secret, nil
}

// Check returns what MintToken would say of the fields, as [FieldErrors].
func (in NewToken) Check() error { return in.apply(&llmproxy.Token{}) }

// apply checks the fields and puts them into a token whose creation time and defaults are set.
func (in NewToken) apply(t *llmproxy.Token) error {
	var problems FieldErrors
	checkText(&problems, "name", in.Name, maxName)
	if in.DurationMinutes < 1 || in.DurationMinutes > maxDurationMinutes {
		problems.add("duration_minutes", "must be from 1 to %d", maxDurationMinutes)
	}
	t.ExpiresAt = t.CreatedAt.Add(time.Duration(in.DurationMinutes) * time.Minute)
	setLimit(&problems, "max_requests", &t.MaxRequests, in.MaxRequests)
	setLimit(&problems, "requests_per_hour", &t.RequestsPerHour, in.RequestsPerHour)
	checkDropped(&problems, in.RequestHeadersDrop)
	return problems.err()
}

func setLimit(problems *FieldErrors, field string, to *int64, limit *Limit) {
	switch {
	case limit == nil:
	case limit.None:
		*to = 0
	case limit.N < 1 || limit.N > maxCount:
		problems.add(field, "must be from 1 to %d, or null for none", maxCount)
	default:
		*to = limit.N
	}
}

func checkDropped(problems *FieldErrors, names []string) {
	if len(names) > maxDropped {
		problems.add("request_headers_drop", "has %d names, at most %d are allowed", len(names), maxDropped)
	}
	for i, name := range names {
		if !httpguts.ValidHeaderFieldName(name) {
			problems.add("request_headers_drop", "entry %d is no header name", i+1)
		}
	}
}

// tokenFields are the fields of a token that its audit tells.
func tokenFields(t *llmproxy.Token) map[string]string {
	return map[string]string{
		"name": t.Name, "expires_at": t.ExpiresAt.UTC().Format(time.RFC3339Nano), "is_active": strconv.FormatBool(t.Active),
		"max_requests": limitText(t.MaxRequests), "requests_per_hour": limitText(t.RequestsPerHour), "request_headers_drop": strings.Join(t.RequestHeadersDrop, ","),
	}
}

func limitText(n int64) string {
	if n == 0 {
		return "none"
	}
	return strconv.FormatInt(n, 10)
}

// Token returns a token as it now is.
func (s *Service) Token(ctx context.Context, id llmproxy.TokenID) (llmproxy.Token, error) {
	return s.cfg.Store.Token(ctx, id)
}

// Tokens lists tokens as they now are, newest first.
func (s *Service) Tokens(ctx context.Context, f llmproxy.TokenFilter, page llmproxy.Page) ([]llmproxy.Token, bool, error) {
	f.Now = s.now()
	return s.cfg.Store.Tokens(ctx, f, page)
}

// atOnce is how many tokens are read at the same time.
const atOnce = 8

// TokensByID returns tokens as they now are, in the order of their ids. Those that are not there are left out.
func (s *Service) TokensByID(ctx context.Context, ids []llmproxy.TokenID) ([]llmproxy.Token, error) {
	found := make([]llmproxy.Token, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, id := range ids {
		group.Go(func() error {
			token, err := s.cfg.Store.Token(ctx, id)
			if errors.Is(err, llmproxy.ErrNotFound) {
				return nil
			}
			found[i] = token
			return err
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(found, func(t llmproxy.Token) bool { return t.ID.IsZero() }), err
}

// UpdateToken changes what the patch names. A revoked token stays revoked.
func (s *Service) UpdateToken(ctx context.Context, actor llmproxy.Actor, id llmproxy.TokenID, patch TokenPatch) (llmproxy.Token, error) {
	return s.updateOne(ctx, actor, id, "token.update", func(g *llmproxy.Gate) error {
		if err := checkRevision(patch.IfRevision, g.Revision); err != nil {
			return err
		}
		var problems FieldErrors
		set(&g.Name, patch.Name)
		checkText(&problems, "name", g.Name, maxName)
		if patch.ExpiresAt != nil {
			g.ExpiresAt = patch.ExpiresAt.UTC().Truncate(time.Millisecond)
			if g.ExpiresAt.Sub(s.now()) > maxDurationMinutes*time.Minute {
				problems.add("expires_at", "must be within %d minutes from now", maxDurationMinutes)
			}
			if g.ExpiresAt.Before(g.CreatedAt) {
				problems.add("expires_at", "must not lie before the token's creation")
			}
		}
		setLimit(&problems, "max_requests", &g.MaxRequests, patch.MaxRequests)
		setLimit(&problems, "requests_per_hour", &g.RequestsPerHour, patch.RequestsPerHour)
		return problems.err()
	})
}

// updateOne changes one token and tells of the fields that changed.
func (s *Service) updateOne(ctx context.Context, actor llmproxy.Actor, id llmproxy.TokenID, action string, change func(*llmproxy.Gate) error) (llmproxy.Token, error) {
	tokens, err := s.cfg.Store.UpdateTokens(ctx, []llmproxy.TokenID{id}, s.told(actor, action, change))
	if err != nil {
		return llmproxy.Token{}, fmt.Errorf("token %s: %w", id, err)
	}
	return tokens[0], nil
}

// told makes of a change one that comes with its audit entry.
func (s *Service) told(actor llmproxy.Actor, action string, change func(*llmproxy.Gate) error) func(*llmproxy.Gate) (llmproxy.AuditEntry, error) {
	return func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		before := tokenFields(&g.Token)
		if err := change(g); err != nil {
			return llmproxy.AuditEntry{}, err
		}
		e := entry(s.now(), actor, action)
		e.ProjectID, e.TokenID = g.ProjectID, g.ID
		e.Before, e.After = changed(before, tokenFields(&g.Token))
		return e, nil
	}
}

// RevokeTokens revokes up to 90 tokens, all or none. It is final; one that was revoked before keeps its time. An id may stand twice.
func (s *Service) RevokeTokens(ctx context.Context, actor llmproxy.Actor, ids ...llmproxy.TokenID) error {
	if len(ids) == 0 || len(ids) > maxBatch {
		return FieldErrors{{"tokens", fmt.Sprintf("must name from 1 to %d tokens", maxBatch)}}
	}
	now := s.now()
	var each []llmproxy.TokenID
	for _, id := range ids {
		if !slices.Contains(each, id) {
			each = append(each, id)
		}
	}
	_, err := s.cfg.Store.UpdateTokens(ctx, each, s.told(actor, "token.revoke", func(g *llmproxy.Gate) error {
		g.Active = false
		if g.RevokedAt.IsZero() {
			g.RevokedAt = now
		}
		return nil
	}))
	return err
}

// RotateToken gives the token a new secret, returned this once. Id and counter stay. The secret before is good for the grace period
// more, the one before that ends at once.
func (s *Service) RotateToken(ctx context.Context, actor llmproxy.Actor, id llmproxy.TokenID, grace time.Duration) (llmproxy.Token, llmproxy.Secret, error) {
	if grace < 0 || grace > maxDurationMinutes*time.Minute {
		return llmproxy.Token{}, llmproxy.Secret{}, FieldErrors{{"grace_minutes", fmt.Sprintf("must be from 0 to %d", maxDurationMinutes)}}
	}
	secret := llmproxy.NewTokenSecret(id)
	token, err := s.updateOne(ctx, actor, id, "token.rotate", func(g *llmproxy.Gate) error {
		now := s.now()
		switch {
		case !g.Active:
			return llmproxy.ErrRevoked
		case !now.Before(g.ExpiresAt):
			return llmproxy.ErrExpired
		}
		g.PreviousHash, g.PreviousUntil = g.Hash, now.Add(grace)
		g.Hash = llmproxy.HashTokenSecret(secret.Reveal())
		return nil
	})
	if err != nil {
		return llmproxy.Token{}, llmproxy.Secret{}, err
	}
	return token, secret, nil
}
