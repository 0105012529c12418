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

func TestAProjectIsMadeWithItsKeySealedAndItsEntryTold(t *testing.T) {
	h := newHouse(t)
	p := h.project(t, func(in *manage.NewProject) {
		in.Name, in.Description, in.Metadata = "Team A", "of the sixth floor", map[string]string{"cost_centre": "4711"}
	})
	at := noon.Truncate(time.Millisecond).Add(time.Millisecond)
	require.Equal(t, "openai", p.Provider, "the default")
	require.Equal(t, []llmproxy.EndpointGroup{llmproxy.GroupInference}, p.Endpoints)
	require.True(t, p.Active)
	require.Equal(t, at, p.CreatedAt)
	require.Equal(t, "wxyz", p.KeyHint)
	require.NotContains(t, p.SealedKey, fakeKey)
	opened, err := h.keys.Open(t.Context(), &p)
	require.NoError(t, err)
	require.Equal(t, fakeKey, opened.Reveal())
	stored, err := h.service.Project(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, p, stored)

	e := h.lastAudit(t)
	require.Equal(t, "project.create", e.Action)
	require.Equal(t, llmproxy.AuditDone, e.Outcome)
	require.Equal(t, operator, e.Actor)
	require.Equal(t, p.ID, e.ProjectID)
	require.Equal(t, at, e.Time)
	require.Equal(t, "Team A", e.After["name"])
	require.Equal(t, "4711", e.After["metadata.cost_centre"])
	require.Equal(t, "wxyz", e.After["key_hint"])
	require.NotContains(t, fmt.Sprint(e), fakeKey)
}

func TestAShortKeyHasNoHint(t *testing.T) {
	p := newHouse(t).project(t, func(in *manage.NewProject) { in.APIKey = llmproxy.NewSecret("sk-fake-short") })
	require.Empty(t, p.KeyHint, "four of thirteen characters would be too much of it")
}

func TestAProjectThatCannotBeTakenNamesItsField(t *testing.T) {
	long := strings.Repeat("ä", 101)
	many := map[string]string{}
	for i := range 21 {
		many[fmt.Sprint(i)] = ""
	}
	for _, c := range []struct {
		field  string
		change func(*manage.NewProject)
	}{
		{"name", func(in *manage.NewProject) { in.Name = "" }},
		{"name", func(in *manage.NewProject) { in.Name = " \t" }},
		{"name", func(in *manage.NewProject) { in.Name = long }},
		{"name", func(in *manage.NewProject) { in.Name = "a\xff" }},
		{"description", func(in *manage.NewProject) { in.Description = strings.Repeat("a", 501) }},
		{"metadata", func(in *manage.NewProject) { in.Metadata = many }},
		{"metadata", func(in *manage.NewProject) { in.Metadata = map[string]string{"": "x"} }},
		{"metadata", func(in *manage.NewProject) { in.Metadata = map[string]string{strings.Repeat("k", 41): "x"} }},
		{"metadata.k", func(in *manage.NewProject) { in.Metadata = map[string]string{"k": long} }},
		{"provider", func(in *manage.NewProject) { in.Provider = "nobody" }},
		{"capture", func(in *manage.NewProject) { in.Capture = "all" }},
		{"endpoints", func(in *manage.NewProject) { in.Endpoints = []llmproxy.EndpointGroup{"admin"} }},
		{"endpoints", func(in *manage.NewProject) { in.Endpoints = []llmproxy.EndpointGroup{"stored", "stored"} }},
		{"api_key", func(in *manage.NewProject) { in.APIKey = llmproxy.Secret{} }},
		{"api_key", func(in *manage.NewProject) { in.APIKeyRef = "stack/keys/a" }},
		{"api_key", func(in *manage.NewProject) { in.APIKey = llmproxy.NewSecret(fakeKey + "\n") }},
		{"api_key", func(in *manage.NewProject) { in.APIKey = llmproxy.NewSecret(fakeKey + "é") }},
		{"api_key", func(in *manage.NewProject) { in.APIKey = llmproxy.NewSecret(strings.Repeat("k", 4097)) }},
	} {
		h := newHouse(t, func(cfg *manage.Config) { cfg.KeyRefPrefix = "stack/keys/" })
		in := manage.NewProject{Name: "demo", APIKey: llmproxy.NewSecret(fakeKey)}
		c.change(&in)
		_, err := h.service.CreateProject(t.Context(), operator, in)
		refusesField(t, err, c.field, "%+v", in)
		require.NotContains(t, err.Error(), fakeKey)
		require.Zero(t, h.audits(t), "nothing happened")
	}
}

func TestEveryLimitIsReachable(t *testing.T) {
	h := newHouse(t)
	metadata := map[string]string{}
	for i := range 20 {
		metadata[fmt.Sprintf("%040d", i)] = strings.Repeat("世", 100)
	}
	p := h.project(t, func(in *manage.NewProject) {
		in.Name, in.Description, in.Metadata = strings.Repeat("世", 100), strings.Repeat("世", 500), metadata
		in.Endpoints, in.Capture, in.Provider = []llmproxy.EndpointGroup{"stored", "inference"}, llmproxy.CaptureMetadata, "anthropic"
	})
	got, err := h.service.Project(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, p, got)
}

func TestAKeyElsewhereIsNamedUnderTheInstallationsPrefixOnly(t *testing.T) {
	h := newHouse(t, func(cfg *manage.Config) { cfg.KeyRefPrefix = "stack/keys/" })
	create := func(h *house, ref string) (llmproxy.Project, error) {
		return h.service.CreateProject(t.Context(), operator, manage.NewProject{Name: "demo", APIKeyRef: ref})
	}
	p, err := create(h, "stack/keys/team-a")
	require.NoError(t, err)
	require.Equal(t, "stack/keys/team-a", p.KeyRef)
	require.Empty(t, p.SealedKey)
	for _, ref := range []string{"other/keys/a", "stack/keys/", "stack/keys/a b", "stack/keys/" + strings.Repeat("a", 512), "arn:aws:secretsmanager:x"} {
		_, err = create(h, ref)
		refusesField(t, err, "api_key_ref", ref)
	}
	_, err = create(newHouse(t), "stack/keys/team-a")
	refusesField(t, err, "api_key_ref")
}

func TestAPatchChangesWhatItNames(t *testing.T) {
	h := newHouse(t)
	p := h.project(t, func(in *manage.NewProject) { in.Metadata = map[string]string{"a": "1", "b": "2"} })
	h.clock.move(time.Minute)
	got, err := h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{Name: ptr("new"), Metadata: &map[string]string{"b": "3"}})
	require.NoError(t, err)
	want := p
	want.Name, want.Metadata, want.Revision, want.UpdatedAt = "new", map[string]string{"b": "3"}, 2, h.clock.now().Truncate(time.Millisecond)
	require.Equal(t, want, got)
	e := h.lastAudit(t)
	require.Equal(t, "project.update", e.Action)
	require.Equal(t, map[string]string{"name": "demo", "metadata.a": "1", "metadata.b": "2"}, e.Before)
	require.Equal(t, map[string]string{"name": "new", "metadata.a": "", "metadata.b": "3"}, e.After)

	_, err = h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{Name: ptr("")})
	refusesField(t, err, "name")
	_, err = h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{APIKey: ptr(llmproxy.NewSecret(""))})
	refusesField(t, err, "api_key")
	_, err = h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{APIKeyRef: ptr("x")})
	refusesField(t, err, "api_key_ref")
	_, err = h.service.UpdateProject(t.Context(), operator, llmproxy.NewProjectID(noon), manage.ProjectPatch{Name: ptr("x")})
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	require.Equal(t, 2, h.audits(t), "what was refused left nothing")
}

func TestAnotherProviderNeedsItsOwnKey(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	_, err := h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{Provider: ptr("anthropic")})
	refusesField(t, err, "provider")
	const other = "sk-fake-another-key-0123456789abcd"
	got, err := h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{Provider: ptr("anthropic"), APIKey: ptr(llmproxy.NewSecret(other))})
	require.NoError(t, err)
	require.Equal(t, "abcd", got.KeyHint)
	opened, err := h.keys.Open(t.Context(), &got)
	require.NoError(t, err)
	require.Equal(t, other, opened.Reveal())
	require.Equal(t, "wxyz", h.lastAudit(t).Before["key_hint"])
}

func TestANewKeyIsToldAlsoWhereItsHintIsAlike(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	_, err := h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{APIKey: ptr(llmproxy.NewSecret("sk-fake-other-key-0123456789wxyz"))})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"key_hint": "wxyz"}, h.lastAudit(t).After)
}

func TestAKeyMovesElsewhereAndBack(t *testing.T) {
	h := newHouse(t, func(cfg *manage.Config) { cfg.KeyRefPrefix = "stack/keys/" })
	p := h.project(t)
	got, err := h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{APIKeyRef: ptr("stack/keys/a")})
	require.NoError(t, err)
	require.Equal(t, []string{"", "", "stack/keys/a"}, []string{got.SealedKey, got.KeyHint, got.KeyRef})
	_, err = h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{APIKeyRef: ptr("stack/keys/a"), APIKey: ptr(llmproxy.NewSecret(fakeKey))})
	refusesField(t, err, "api_key")
	got, err = h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{APIKey: ptr(llmproxy.NewSecret(fakeKey))})
	require.NoError(t, err)
	require.Empty(t, got.KeyRef)
	require.NotEmpty(t, got.SealedKey)
}

func TestDeactivatingRefusesAtOnceAndActivatingLetsThemWorkAgain(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	_, secret := h.token(t, p.ID)
	require.NoError(t, h.spend(t, secret))
	_, err := h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{Active: ptr(false)})
	require.NoError(t, err)
	require.Equal(t, "project.deactivate", h.lastAudit(t).Action)
	require.ErrorIs(t, h.spend(t, secret), llmproxy.ErrProjectInactive)
	_, err = h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{Active: ptr(true)})
	require.NoError(t, err)
	require.Equal(t, "project.activate", h.lastAudit(t).Action)
	require.NoError(t, h.spend(t, secret))
}

func TestAChangeOfWhatSomebodyElseChangedIsAConflict(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	_, err := h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{Name: ptr("first"), IfRevision: []int64{7, p.Revision}})
	require.NoError(t, err)
	_, err = h.service.UpdateProject(t.Context(), operator, p.ID, manage.ProjectPatch{Name: ptr("second"), IfRevision: []int64{p.Revision}})
	require.ErrorIs(t, err, llmproxy.ErrConflict)
	got, err := h.service.Project(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, "first", got.Name)
}

func TestADeletedProjectLeavesNoUsableTokenAndNoKey(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	token, secret := h.token(t, p.ID)
	require.NoError(t, h.service.DeleteProject(t.Context(), operator, p.ID))
	require.Equal(t, "project.delete", h.lastAudit(t).Action)
	require.ErrorIs(t, h.spend(t, secret), llmproxy.ErrRevoked)
	_, err := h.service.Project(t.Context(), p.ID)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	got, err := h.service.Token(t.Context(), token.ID)
	require.NoError(t, err)
	require.False(t, got.Active)
	require.ErrorIs(t, h.service.DeleteProject(t.Context(), operator, p.ID), llmproxy.ErrNotFound)
	_, _, err = h.service.MintToken(t.Context(), operator, manage.NewToken{ProjectID: p.ID, DurationMinutes: 1})
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	_, project, err := h.store.Spend(t.Context(), token.ID, llmproxy.HashTokenSecret(secret), h.clock.now())
	require.Error(t, err)
	require.Empty(t, project.SealedKey, "the key is gone from the row too")
}

func TestRevokingAllTokensCountsThoseThatWereActive(t *testing.T) {
	h := newHouse(t)
	p := h.project(t)
	_, first := h.token(t, p.ID)
	_, second := h.token(t, p.ID)
	n, err := h.service.RevokeProjectTokens(t.Context(), operator, p.ID)
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
	require.ErrorIs(t, h.spend(t, first), llmproxy.ErrRevoked)
	require.ErrorIs(t, h.spend(t, second), llmproxy.ErrRevoked)
	require.Equal(t, "project.revoke_tokens", h.lastAudit(t).Action)
	_, third := h.token(t, p.ID)
	require.NoError(t, h.spend(t, third), "one minted after")
	_, err = h.service.RevokeProjectTokens(t.Context(), operator, llmproxy.NewProjectID(noon))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func TestACreationUnderAKeyHappensOnceADay(t *testing.T) {
	h := newHouse(t)
	in := manage.NewProject{Name: "once", APIKey: llmproxy.NewSecret(fakeKey), Metadata: map[string]string{"a": "1", "b": "2"}, IdempotencyKey: "7f1c"}
	first, err := h.service.CreateProject(t.Context(), operator, in)
	require.NoError(t, err)
	h.clock.move(23 * time.Hour)
	again, err := h.service.CreateProject(t.Context(), operator, in)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, 1, h.audits(t))

	for name, change := range map[string]func(*manage.NewProject){
		"name":        func(in *manage.NewProject) { in.Name = "other" },
		"description": func(in *manage.NewProject) { in.Description = "other" },
		"key":         func(in *manage.NewProject) { in.APIKey = llmproxy.NewSecret(fakeKey + "2") },
		"metadata":    func(in *manage.NewProject) { in.Metadata = map[string]string{"a": "1"} },
		"capture":     func(in *manage.NewProject) { in.Capture = llmproxy.CaptureFull },
		"endpoints":   func(in *manage.NewProject) { in.Endpoints = []llmproxy.EndpointGroup{llmproxy.GroupStored} },
		"provider":    func(in *manage.NewProject) { in.Provider = "anthropic" },
	} {
		other := in
		change(&other)
		_, err = h.service.CreateProject(t.Context(), operator, other)
		require.ErrorIs(t, err, llmproxy.ErrKeyReused, name)
	}
	somebody := operator
	somebody.Name = "admin:eve"
	theirs, err := h.service.CreateProject(t.Context(), somebody, in)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, theirs.ID, "keys of two actors never meet")

	require.NoError(t, h.service.DeleteProject(t.Context(), operator, first.ID))
	_, err = h.service.CreateProject(t.Context(), operator, in)
	require.ErrorIs(t, err, llmproxy.ErrNotFound, "what it made is gone, and it makes no second one")
	h.clock.move(time.Hour)
	fresh, err := h.service.CreateProject(t.Context(), operator, in)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, fresh.ID)
}
