package manage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Limits of a project's fields, in characters and entries.
const (
	maxName          = 100
	maxDescription   = 500
	maxMetadata      = 20
	maxMetadataKey   = 40
	maxMetadataValue = 100
)

// NewProject is what a project is made of.
type NewProject struct {
	Name        string
	Description string
	Metadata    map[string]string
	Provider    string // empty takes the default
	APIKey      llmproxy.Secret
	APIKeyRef   string // instead of APIKey
	Capture     llmproxy.Capture
	Endpoints   []llmproxy.EndpointGroup // empty takes inference

	// IdempotencyKey makes one project of requests that are sent again within 24 hours; empty makes one of each.
	IdempotencyKey string
}

// ProjectPatch is what is to change of a project; nil stays as it is.
type ProjectPatch struct {
	Name        *string
	Description *string
	Metadata    *map[string]string
	Provider    *string // another one needs a new key
	APIKey      *llmproxy.Secret
	APIKeyRef   *string
	Capture     *llmproxy.Capture
	Endpoints   *[]llmproxy.EndpointGroup
	Active      *bool
	IfRevision  []int64 // one of them has to be current; none takes any
}

// keepIdempotencyKeys is how long a creation may be sent again.
const keepIdempotencyKeys = 24 * time.Hour

// CreateProject makes a project, active and without tokens. Under an idempotency key that has made one already, that project is returned
// as it now is; [llmproxy.ErrKeyReused] says that the key was used for another request, [llmproxy.ErrNotFound] that the project is gone.
func (s *Service) CreateProject(ctx context.Context, actor llmproxy.Actor, in NewProject) (llmproxy.Project, error) {
	now := s.now()
	p := llmproxy.Project{
		ID: llmproxy.NewProjectID(now), Name: in.Name, Description: in.Description, Metadata: in.Metadata, Provider: in.Provider,
		Active: true, CreatedAt: now, UpdatedAt: now, Capture: in.Capture, Endpoints: in.Endpoints, KeyRef: in.APIKeyRef, Revision: 1,
	}
	if p.Provider == "" {
		p.Provider = s.cfg.Default
	}
	if len(p.Endpoints) == 0 {
		p.Endpoints = []llmproxy.EndpointGroup{llmproxy.GroupInference}
	}
	problems := s.checkProject(&p)
	switch {
	case in.APIKey.IsZero() == (in.APIKeyRef == ""):
		problems.add("api_key", "give either api_key or api_key_ref")
	case !in.APIKey.IsZero():
		checkAPIKey(&problems, in.APIKey)
	default:
		s.checkKeyRef(&problems, in.APIKeyRef)
	}
	if err := problems.err(); err != nil {
		return llmproxy.Project{}, err
	}
	if err := s.sealKey(&p, in.APIKey); err != nil {
		return llmproxy.Project{}, err
	}
	e := entry(now, actor, "project.create")
	e.ProjectID = p.ID
	_, e.After = changed(nil, projectFields(&p))
	if in.IdempotencyKey == "" {
		return p, s.cfg.Store.CreateProject(ctx, p, e)
	}
	id, err := s.cfg.Store.CreateProjectOnce(ctx, p, e, in.once(actor, now))
	switch {
	case err != nil:
		return llmproxy.Project{}, err
	case id == p.ID:
		return p, nil
	}
	return s.cfg.Store.Project(ctx, id)
}

// once is how the store remembers the request. The fingerprint is keyed with the idempotency key, which is not stored, so that whoever
// reads the store cannot try provider keys against it.
func (in *NewProject) once(actor llmproxy.Actor, now time.Time) llmproxy.Once {
	fingerprint := hmac.New(sha256.New, []byte(in.IdempotencyKey))
	_ = json.NewEncoder(fingerprint).Encode(struct { // neither the encoder nor the hash can fail: strings, and a map of them
		Texts     []string
		Metadata  map[string]string
		Endpoints []llmproxy.EndpointGroup
	}{
		[]string{in.Name, in.Description, in.Provider, in.APIKey.Reveal(), in.APIKeyRef, string(in.Capture)}, in.Metadata, in.Endpoints,
	})
	once := llmproxy.Once{Key: sha256.Sum256([]byte(actor.Name + "\x00" + in.IdempotencyKey)), Until: now.Add(keepIdempotencyKeys)}
	fingerprint.Sum(once.Fingerprint[:0])
	return once
}

// sealKey puts a key into the project; a zero one leaves its reference alone.
func (s *Service) sealKey(p *llmproxy.Project, key llmproxy.Secret) error {
	if key.IsZero() {
		return nil
	}
	sealed, err := s.cfg.Sealer.Seal(p.ID, p.Provider, key)
	if err != nil {
		return err
	}
	p.SealedKey, p.KeyRef, p.KeyHint = sealed, "", ""
	if text := key.Reveal(); len(text) >= 16 {
		p.KeyHint = text[len(text)-4:]
	}
	return nil
}

func (s *Service) checkProject(p *llmproxy.Project) FieldErrors {
	var problems FieldErrors
	if strings.TrimSpace(p.Name) == "" {
		problems.add("name", "must not be empty")
	}
	checkText(&problems, "name", p.Name, maxName)
	checkText(&problems, "description", p.Description, maxDescription)
	if len(p.Metadata) > maxMetadata {
		problems.add("metadata", "has %d entries, at most %d are allowed", len(p.Metadata), maxMetadata)
	}
	for key, value := range p.Metadata {
		if key == "" {
			problems.add("metadata", "has an empty key")
		}
		checkText(&problems, "metadata", key, maxMetadataKey)
		checkText(&problems, "metadata."+key, value, maxMetadataValue)
	}
	if !slices.Contains(s.cfg.Providers, p.Provider) {
		problems.add("provider", "there is no such provider, there are: %s", strings.Join(s.cfg.Providers, ", "))
	}
	switch p.Capture {
	case llmproxy.CaptureDefault, llmproxy.CaptureFull, llmproxy.CaptureMetadata:
	default:
		problems.add("capture", "must be %q or %q", llmproxy.CaptureFull, llmproxy.CaptureMetadata)
	}
	for i, group := range p.Endpoints {
		if group != llmproxy.GroupInference && group != llmproxy.GroupStored {
			problems.add("endpoints", "there is no such group, there are: %s, %s", llmproxy.GroupInference, llmproxy.GroupStored)
		}
		if slices.Contains(p.Endpoints[:i], group) {
			problems.add("endpoints", "names a group twice")
		}
	}
	return problems
}

func checkText(problems *FieldErrors, field, text string, most int) {
	if n := utf8.RuneCountInString(text); n > most {
		problems.add(field, "has %d characters, at most %d are allowed", n, most)
	}
	if !utf8.ValidString(text) {
		problems.add(field, "is not valid UTF-8")
	}
}

// checkAPIKey refuses what cannot be a key, for example one that was pasted with its line end. It never shows the key.
func checkAPIKey(problems *FieldErrors, key llmproxy.Secret) {
	for _, c := range []byte(key.Reveal()) {
		if c <= ' ' || c >= 0x7f {
			problems.add("api_key", "has a space, a line end or another character that no key has")
			return
		}
	}
	if len(key.Reveal()) > 4096 {
		problems.add("api_key", "is longer than 4096 characters")
	}
}

// keyRef is what a secret may be called.
var keyRef = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`) })

// checkKeyRef takes only names of secrets that belong to this installation: others might be anybody's.
func (s *Service) checkKeyRef(problems *FieldErrors, ref string) {
	switch {
	case s.cfg.KeyRefPrefix == "":
		problems.add("api_key_ref", "this installation keeps provider keys itself: give api_key")
	case !keyRef().MatchString(ref) || !strings.HasPrefix(ref, s.cfg.KeyRefPrefix) || ref == s.cfg.KeyRefPrefix:
		problems.add("api_key_ref", "must be the name of a secret that begins with %s", s.cfg.KeyRefPrefix)
	}
}

// projectFields are the fields of a project that its audit tells. A key is told by its hint.
func projectFields(p *llmproxy.Project) map[string]string {
	groups := make([]string, len(p.Endpoints))
	for i, g := range p.Endpoints {
		groups[i] = string(g)
	}
	fields := map[string]string{
		"name": p.Name, "description": p.Description, "provider": p.Provider, "is_active": strconv.FormatBool(p.Active),
		"capture": string(p.Capture), "endpoints": strings.Join(groups, ","), "key_hint": p.KeyHint, "api_key_ref": p.KeyRef,
	}
	for key, value := range p.Metadata {
		fields["metadata."+key] = value
	}
	return fields
}

// Project returns a project.
func (s *Service) Project(ctx context.Context, id llmproxy.ProjectID) (llmproxy.Project, error) {
	return s.cfg.Store.Project(ctx, id)
}

// Projects lists projects, newest first.
func (s *Service) Projects(ctx context.Context, f llmproxy.ProjectFilter, page llmproxy.Page) ([]llmproxy.Project, bool, error) {
	return s.cfg.Store.Projects(ctx, f, page)
}

// UpdateProject changes what the patch names. Deactivating refuses the project's tokens from then on, activating lets them work again.
func (s *Service) UpdateProject(ctx context.Context, actor llmproxy.Actor, id llmproxy.ProjectID, patch ProjectPatch) (llmproxy.Project, error) {
	return s.cfg.Store.UpdateProject(ctx, id, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		if err := checkRevision(patch.IfRevision, p.Revision); err != nil {
			return llmproxy.AuditEntry{}, err
		}
		before := *p
		set(&p.Name, patch.Name)
		set(&p.Description, patch.Description)
		set(&p.Metadata, patch.Metadata)
		set(&p.Provider, patch.Provider)
		set(&p.Capture, patch.Capture)
		set(&p.Endpoints, patch.Endpoints)
		set(&p.Active, patch.Active)
		problems := s.checkProject(p)
		if p.Provider != before.Provider && patch.APIKey == nil && patch.APIKeyRef == nil {
			problems.add("provider", "another provider needs its own key: give api_key or api_key_ref too")
		}
		if patch.APIKey != nil && patch.APIKeyRef != nil {
			problems.add("api_key", "give either api_key or api_key_ref")
		}
		if patch.APIKey != nil {
			if patch.APIKey.IsZero() {
				problems.add("api_key", "must not be empty")
			}
			checkAPIKey(&problems, *patch.APIKey)
		}
		if patch.APIKeyRef != nil {
			s.checkKeyRef(&problems, *patch.APIKeyRef)
		}
		if err := problems.err(); err != nil {
			return llmproxy.AuditEntry{}, err
		}
		if patch.APIKeyRef != nil {
			p.KeyRef, p.SealedKey, p.KeyHint = *patch.APIKeyRef, "", ""
		}
		if patch.APIKey != nil {
			if err := s.sealKey(p, *patch.APIKey); err != nil {
				return llmproxy.AuditEntry{}, err
			}
		}
		p.UpdatedAt = s.now()
		e := entry(p.UpdatedAt, actor, updateAction(&before, p))
		e.ProjectID = id
		e.Before, e.After = changed(projectFields(&before), projectFields(p))
		for key, value := range before.Metadata {
			if _, kept := p.Metadata[key]; !kept {
				e.Before["metadata."+key], e.After["metadata."+key] = value, ""
			}
		}
		if p.SealedKey != before.SealedKey {
			e.Before["key_hint"], e.After["key_hint"] = before.KeyHint, p.KeyHint // also where both are alike
		}
		return e, nil
	})
}

// set changes a field that the patch names.
func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

// updateAction is the name of a change; switching a project on or off has its own.
func updateAction(before, after *llmproxy.Project) string {
	switch {
	case before.Active && !after.Active:
		return "project.deactivate"
	case !before.Active && after.Active:
		return "project.activate"
	}
	return "project.update"
}

// DeleteProject ends a project: its key is gone and its tokens are refused as revoked from then on.
func (s *Service) DeleteProject(ctx context.Context, actor llmproxy.Actor, id llmproxy.ProjectID) error {
	_, err := s.cfg.Store.UpdateProject(ctx, id, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		now := s.now()
		p.Active, p.DeletedAt, p.UpdatedAt = false, now, now
		p.SealedKey, p.KeyHint, p.KeyRef = "", "", ""
		e := entry(now, actor, "project.delete")
		e.ProjectID = id
		e.Before = map[string]string{"name": p.Name}
		return e, nil
	})
	return err
}

// RevokeProjectTokens revokes all tokens of a project minted so far and returns how many were active.
func (s *Service) RevokeProjectTokens(ctx context.Context, actor llmproxy.Actor, id llmproxy.ProjectID) (int64, error) {
	now := s.now()
	e := entry(now, actor, "project.revoke_tokens")
	e.ProjectID = id
	revoked, err := s.cfg.Store.RevokeProjectTokens(ctx, id, now, e)
	if err != nil {
		return 0, fmt.Errorf("revoke the tokens of project %s: %w", id, err)
	}
	return revoked, nil
}
