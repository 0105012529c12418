package manage_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// clock is a time that moves when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// tick is a moment later than any before, as entries of one millisecond have no order.
func (c *clock) tick() time.Time {
	c.move(time.Millisecond)
	return c.now()
}

// set moves it to a moment.
func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// noon is 30 minutes into an hour, with a part of a millisecond that no store keeps.
var noon = time.Date(2026, 11, 22, 12, 30, 0, 7, time.UTC)

const fakeKey = "sk-fake-provider-key-0123456789wxyz"

// house is management over a real store.
type house struct {
	store   *sqlite.Store
	path    string
	service *manage.Service
	clock   *clock
	keys    *seal.Opener
}

var operator = llmproxy.Actor{Name: "token", ClientAddr: "192.0.2.7", Forwarded: "10.1.2.3", RequestID: "request-1"}

func newHouse(t testing.TB, change ...func(*manage.Config)) *house {
	t.Helper()
	h := &house{path: filepath.Join(t.TempDir(), "manage.db"), clock: &clock{at: noon}}
	var err error
	h.store, err = sqlite.Open(context.Background(), sqlite.Config{Path: h.path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.store.Close()) })
	secret := seal.NewSecret()
	public, err := seal.PublicKey(secret)
	require.NoError(t, err)
	sealer, err := seal.NewSealer(public)
	require.NoError(t, err)
	h.keys = seal.NewOpener(seal.Static(secret))
	cfg := manage.Config{Store: h.store, Sealer: sealer, Providers: []string{"anthropic", "openai"}, Default: "openai", Now: h.clock.tick}
	for _, c := range change {
		c(&cfg)
	}
	h.service = manage.New(cfg)
	return h
}

func (h *house) project(t testing.TB, change ...func(*manage.NewProject)) llmproxy.Project {
	t.Helper()
	in := manage.NewProject{Name: "demo", APIKey: llmproxy.NewSecret(fakeKey)}
	for _, c := range change {
		c(&in)
	}
	p, err := h.service.CreateProject(t.Context(), operator, in)
	require.NoError(t, err)
	return p
}

func (h *house) token(t testing.TB, p llmproxy.ProjectID, change ...func(*manage.NewToken)) (llmproxy.Token, string) {
	t.Helper()
	in := manage.NewToken{ProjectID: p, DurationMinutes: 60}
	for _, c := range change {
		c(&in)
	}
	token, secret, err := h.service.MintToken(t.Context(), operator, in)
	require.NoError(t, err)
	return token, secret.Reveal()
}

// spend is what a request with the secret would be told.
func (h *house) spend(t testing.TB, secret string) error {
	t.Helper()
	id, ok := llmproxy.ParseTokenSecret(secret)
	require.True(t, ok)
	_, _, err := h.store.Spend(t.Context(), id, llmproxy.HashTokenSecret(secret), h.clock.now())
	return err
}

// lastAudit is the newest entry.
func (h *house) lastAudit(t testing.TB) llmproxy.AuditEntry {
	t.Helper()
	entries, _, err := h.service.Audit(t.Context(), llmproxy.AuditFilter{}, llmproxy.Page{Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	return entries[0]
}

// audits counts all entries.
func (h *house) audits(t testing.TB) int {
	t.Helper()
	n, page := 0, llmproxy.Page{}
	for more := true; more; {
		var entries []llmproxy.AuditEntry
		var err error
		entries, more, err = h.store.Audit(t.Context(), llmproxy.AuditFilter{}, page)
		require.NoError(t, err)
		n += len(entries)
		if more {
			page.After = entries[len(entries)-1].ID.UUID
		}
	}
	return n
}

// refusesField requires that the error names the field and no other.
func refusesField(t testing.TB, err error, field string, args ...any) {
	t.Helper()
	var fields manage.FieldErrors
	require.ErrorAs(t, err, &fields, args...)
	for _, f := range fields {
		require.Equal(t, field, f.Field, args...)
		require.NotEmpty(t, f.Message, args...)
	}
	require.True(t, manage.IsInputError(err))
}

func ptr[T any](v T) *T { return &v }
