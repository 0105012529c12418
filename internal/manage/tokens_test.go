package manage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

func TestAMintedTokenHasItsDefaultsAndItsSecretIsKeptNowhere(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	token, secret := h.token(t, p.ID, func(in *manage.NewToken) { in.Name, in.RequestHeadersDrop = "ci", []string{"X-Trace"} })
	id, ok := llmproxy.ParseTokenSecret(secret)
	require.True(t, ok)
	require.Equal(t, token.ID, id)
	require.Equal(t, h.clock.now().Truncate(time.Millisecond), token.CreatedAt)
	require.Equal(t, token.CreatedAt.Add(time.Hour), token.ExpiresAt)
	require.Equal(t, int64(1000), token.RequestsPerHour)
	require.Zero(t, token.MaxRequests, "none by default")
	stored, err := h.service.Token(t.Context(), token.ID)
	require.NoError(t, err)
	require.Equal(t, token, stored)
	e := h.lastAudit(t)
	require.Equal(t, "token.create", e.Action)
	require.Equal(t, []any{p.ID, token.ID}, []any{e.ProjectID, e.TokenID})
	require.Equal(t, "ci", e.After["name"])
	require.Equal(t, "1000", e.After["requests_per_hour"])
	require.Equal(t, "none", e.After["max_requests"])
	require.NotContains(t, fmt.Sprint(e), secret)
	require.NoError(t, h.spend(t, secret))
}

func TestLimitsAreTakenFromTheRequestElseFromTheInstallation(t *testing.T) {
	h := newHouse(t, func(cfg *manage.Config) { cfg.DefaultMaxRequests = 500 })
	p := h.project(t)
	for _, c := range []struct {
		max, hour         *manage.Limit
		wantMax, wantHour int64
	}{
		{nil, nil, 500, 1000},
		{&manage.Limit{N: 1}, &manage.Limit{N: 1_000_000_000}, 1, 1_000_000_000},
		{&manage.Limit{None: true}, &manage.Limit{None: true}, 0, 0},
	} {
		token, _ := h.token(t, p.ID, func(in *manage.NewToken) { in.MaxRequests, in.RequestsPerHour = c.max, c.hour })
		require.Equal(t, []int64{c.wantMax, c.wantHour}, []int64{token.MaxRequests, token.RequestsPerHour})
	}
}

func TestATokenThatCannotBeTakenNamesItsField(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	before := h.audits(t)
	for _, c := range []struct {
		field  string
		change func(*manage.NewToken)
	}{
		{"duration_minutes", func(in *manage.NewToken) { in.DurationMinutes = 0 }},
		{"duration_minutes", func(in *manage.NewToken) { in.DurationMinutes = -1 }},
		{"duration_minutes", func(in *manage.NewToken) { in.DurationMinutes = 525601 }},
		{"name", func(in *manage.NewToken) { in.Name = strings.Repeat("a", 101) }},
		{"max_requests", func(in *manage.NewToken) { in.MaxRequests = &manage.Limit{} }},
		{"max_requests", func(in *manage.NewToken) { in.MaxRequests = &manage.Limit{N: 1_000_000_001} }},
		{"requests_per_hour", func(in *manage.NewToken) { in.RequestsPerHour = &manage.Limit{N: -5} }},
		{"request_headers_drop", func(in *manage.NewToken) { in.RequestHeadersDrop = []string{"X A"} }},
		{"request_headers_drop", func(in *manage.NewToken) { in.RequestHeadersDrop = strings.Split(strings.Repeat("a,", 50)+"a", ",") }},
	} {
		in := manage.NewToken{ProjectID: p.ID, DurationMinutes: 525600}
		require.NoError(t, in.Check())
		c.change(&in)
		_, _, err := h.service.MintToken(t.Context(), operator, in)
		refusesField(t, err, c.field, "%+v", in)
	}
	require.Equal(t, before, h.audits(t))
}

func TestATokenIsRefusedFromItsExpiryOnAndWhenExtendedWorksAgain(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	token, secret := h.token(t, p.ID)
	h.clock.set(token.ExpiresAt.Add(-time.Millisecond))
	require.NoError(t, h.spend(t, secret))
	h.clock.set(token.ExpiresAt)
	require.ErrorIs(t, h.spend(t, secret), llmproxy.ErrExpired)
	later := h.clock.now().Add(time.Hour)
	_, err := h.service.UpdateToken(t.Context(), operator, token.ID, manage.TokenPatch{ExpiresAt: &later})
	require.NoError(t, err)
	require.NoError(t, h.spend(t, secret))
	_, err = h.service.UpdateToken(t.Context(), operator, token.ID, manage.TokenPatch{ExpiresAt: ptr(h.clock.now())})
	require.NoError(t, err)
	require.ErrorIs(t, h.spend(t, secret), llmproxy.ErrExpired, "and earlier")
	for _, at := range []time.Time{h.clock.now().Add(525600*time.Minute + time.Second), noon.Add(-time.Hour), {}} {
		_, err = h.service.UpdateToken(t.Context(), operator, token.ID, manage.TokenPatch{ExpiresAt: &at})
		refusesField(t, err, "expires_at", at)
	}
}

func TestAPatchOfATokenKeepsTheRest(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	token, secret := h.token(t, p.ID)
	require.NoError(t, h.spend(t, secret))
	got, err := h.service.UpdateToken(t.Context(), operator, token.ID, manage.TokenPatch{Name: ptr("new"), MaxRequests: &manage.Limit{N: 1}, IfRevision: []int64{1}})
	require.NoError(t, err, "a spend does not count as a change")
	require.Equal(t, []any{"new", int64(1), int64(1000), int64(1), int64(2)}, []any{got.Name, got.MaxRequests, got.RequestsPerHour, got.RequestCount, got.Revision})
	require.Equal(t, map[string]string{"name": "", "max_requests": "none"}, h.lastAudit(t).Before)
	require.ErrorIs(t, h.spend(t, secret), llmproxy.ErrExhausted)
	_, err = h.service.UpdateToken(t.Context(), operator, token.ID, manage.TokenPatch{IfRevision: []int64{1}})
	require.ErrorIs(t, err, llmproxy.ErrConflict)
	_, err = h.service.UpdateToken(t.Context(), operator, token.ID, manage.TokenPatch{MaxRequests: &manage.Limit{}})
	refusesField(t, err, "max_requests")
	_, err = h.service.UpdateToken(t.Context(), operator, llmproxy.NewTokenID(noon), manage.TokenPatch{})
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func TestRevocationIsFinal(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	token, secret := h.token(t, p.ID)
	require.NoError(t, h.service.RevokeTokens(t.Context(), operator, token.ID))
	first, err := h.service.Token(t.Context(), token.ID)
	require.NoError(t, err)
	require.ErrorIs(t, h.spend(t, secret), llmproxy.ErrRevoked)
	require.Equal(t, map[string]string{"is_active": "false"}, h.lastAudit(t).After)
	h.clock.move(time.Minute)
	require.NoError(t, h.service.RevokeTokens(t.Context(), operator, token.ID))
	got, err := h.service.UpdateToken(t.Context(), operator, token.ID, manage.TokenPatch{ExpiresAt: ptr(h.clock.now().Add(time.Hour))})
	require.NoError(t, err)
	require.False(t, got.Active)
	require.False(t, first.RevokedAt.IsZero())
	require.Equal(t, first.RevokedAt, got.RevokedAt, "the time of the first")
	require.ErrorIs(t, h.spend(t, secret), llmproxy.ErrRevoked)
	_, _, err = h.service.RotateToken(t.Context(), operator, token.ID, 0)
	require.ErrorIs(t, err, llmproxy.ErrRevoked)
}

func TestABatchRevokesAllOrNoneWithAnEntryEach(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	first, firstSecret := h.token(t, p.ID)
	second, secondSecret := h.token(t, p.ID)
	err := h.service.RevokeTokens(t.Context(), operator, first.ID, llmproxy.NewTokenID(noon), second.ID)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	require.NoError(t, h.spend(t, firstSecret))
	before := h.audits(t)
	require.NoError(t, h.service.RevokeTokens(t.Context(), operator, first.ID, second.ID, first.ID))
	require.Equal(t, before+2, h.audits(t), "one that stands twice is revoked once")
	require.ErrorIs(t, h.spend(t, firstSecret), llmproxy.ErrRevoked)
	require.ErrorIs(t, h.spend(t, secondSecret), llmproxy.ErrRevoked)
	refusesField(t, h.service.RevokeTokens(t.Context(), operator), "tokens")
	refusesField(t, h.service.RevokeTokens(t.Context(), operator, make([]llmproxy.TokenID, 91)...), "tokens")
}

func TestARotationKeepsIdAndCounterAndGivesGrace(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	token, old := h.token(t, p.ID, func(in *manage.NewToken) { in.DurationMinutes = 600; in.MaxRequests = &manage.Limit{N: 4} })
	require.NoError(t, h.spend(t, old))
	rotated, secret, err := h.service.RotateToken(t.Context(), operator, token.ID, time.Minute)
	require.NoError(t, err)
	require.Equal(t, token.ID, rotated.ID)
	require.Equal(t, int64(1), rotated.RequestCount)
	require.NotEqual(t, old, secret.Reveal())
	h.clock.move(time.Minute - 10*time.Millisecond)
	require.NoError(t, h.spend(t, old), "within its grace")
	require.NoError(t, h.spend(t, secret.Reveal()))
	e := h.lastAudit(t)
	require.Equal(t, "token.rotate", e.Action)
	require.NotContains(t, fmt.Sprint(e), secret.Reveal())

	_, third, err := h.service.RotateToken(t.Context(), operator, token.ID, 0)
	require.NoError(t, err)
	require.ErrorIs(t, h.spend(t, old), llmproxy.ErrNotFound, "a second rotation ends the first grace")
	require.ErrorIs(t, h.spend(t, secret.Reveal()), llmproxy.ErrNotFound, "no grace was given")
	require.NoError(t, h.spend(t, third.Reveal()))
	require.ErrorIs(t, h.spend(t, third.Reveal()), llmproxy.ErrExhausted, "one counter for all of them")

	for _, grace := range []time.Duration{-time.Second, 525601 * time.Minute} {
		_, _, err = h.service.RotateToken(t.Context(), operator, token.ID, grace)
		refusesField(t, err, "grace_minutes", grace)
	}
	h.clock.set(token.ExpiresAt)
	_, _, err = h.service.RotateToken(t.Context(), operator, token.ID, 0)
	require.ErrorIs(t, err, llmproxy.ErrExpired)
}

func TestTokensAreListedAsTheyAreNow(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	h.token(t, p.ID)
	long, _ := h.token(t, p.ID, func(in *manage.NewToken) { in.DurationMinutes = 600 })
	h.clock.move(time.Hour)
	tokens, _, err := h.service.Tokens(t.Context(), llmproxy.TokenFilter{Active: ptr(true)}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, tokens, 1)
	require.Equal(t, long.ID, tokens[0].ID)
	projects, _, err := h.service.Projects(t.Context(), llmproxy.ProjectFilter{Query: "DEM"}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, projects, 1)
}

func TestARefusedAttemptIsStoredWithItsReason(t *testing.T) {
	h := newHouse(t)
	require.NoError(t, h.service.Refuse(t.Context(), operator, "authenticate", "wrong credential", 3))
	e := h.lastAudit(t)
	require.Equal(t, []any{"authenticate", llmproxy.AuditRefused, "wrong credential", int64(3), operator}, []any{e.Action, e.Outcome, e.Reason, e.Suppressed, e.Actor})
}
