package manage

import (
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// wireProject is a project as it goes out: never its key.
type wireProject struct {
	ProjectID   string            `json:"project_id" format:"uuid"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Metadata    map[string]string `json:"metadata"`
	Provider    string            `json:"provider" doc:"Name of a provider of GET /manage/info"`
	IsActive    bool              `json:"is_active" doc:"Where false, its tokens are refused"`
	KeyHint     string            `json:"key_hint,omitempty" doc:"Last four characters of the provider key"`
	APIKeyRef   string            `json:"api_key_ref,omitempty" doc:"Name of the secret that holds the provider key instead"`
	Capture     string            `json:"capture,omitempty" enum:"full,metadata" doc:"What events carry of bodies; absent: as the installation is set"`
	Endpoints   []string          `json:"endpoints" nullable:"false" enum:"inference,stored" doc:"Groups of endpoints that its tokens may call"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
	Revision    int64             `json:"revision" doc:"Raised by each change; in quotes it is the ETag"`
}

// wireNewProject is what a project is made of.
type wireNewProject struct {
	Name        string                      `json:"name" minLength:"1" maxLength:"100"`
	Description optional[string]            `json:"description,omitempty" maxLength:"500"`
	Metadata    optional[map[string]string] `json:"metadata,omitempty" maxProperties:"20" doc:"Keys of at most 40, values of at most 100 characters"`
	Provider    optional[string]            `json:"provider,omitempty" minLength:"1" doc:"Name of a provider of GET /manage/info; absent or null: its default"`
	APIKey      optional[secretText]        `json:"api_key,omitempty" minLength:"1" maxLength:"4096" doc:"The provider key. It goes in and never comes out"`
	APIKeyRef   optional[string]            `json:"api_key_ref,omitempty" minLength:"1" maxLength:"512" doc:"Instead of api_key: name of the secret that holds it"`
	Capture     optional[captureName]       `json:"capture,omitempty" doc:"Absent or null: as the installation is set"`
	Endpoints   optional[[]string]          `json:"endpoints,omitempty" enum:"inference,stored" doc:"Absent or null: inference alone"`
}

// ProjectChange is what is to change of a project: absent is unchanged, null is cleared.
type ProjectChange struct {
	Name        optional[string]            `json:"name,omitempty" nullable:"false" minLength:"1" maxLength:"100"`
	Description optional[string]            `json:"description,omitempty" maxLength:"500"`
	Metadata    optional[map[string]string] `json:"metadata,omitempty" maxProperties:"20" doc:"Replaces all entries"`
	Provider    optional[string]            `json:"provider,omitempty" nullable:"false" minLength:"1" doc:"Another provider needs its own api_key or api_key_ref"`
	APIKey      optional[secretText]        `json:"api_key,omitempty" nullable:"false" minLength:"1" maxLength:"4096" doc:"A new provider key"`
	APIKeyRef   optional[string]            `json:"api_key_ref,omitempty" nullable:"false" minLength:"1" maxLength:"512"`
	Capture     optional[captureName]       `json:"capture,omitempty" doc:"null: as the installation is set"`
	Endpoints   optional[[]string]          `json:"endpoints,omitempty" enum:"inference,stored" doc:"null: inference alone"`
	IsActive    optional[bool]              `json:"is_active,omitempty" nullable:"false" doc:"false refuses its tokens from then on, true lets them work again"`
}

// wireProjectChangeByID is a change that names its project in the body.
type wireProjectChangeByID struct {
	ProjectID string `json:"project_id" format:"uuid"`
	ProjectChange
}

// wireProjectID names a project in a body.
type wireProjectID struct {
	ProjectID string `json:"project_id" format:"uuid"`
}

// wireRevoked is the answer to a bulk revoke.
type wireRevoked struct {
	Revoked int64 `json:"revoked" doc:"Tokens that were active until now"`
}

func projectOut(p *llmproxy.Project) wireProject {
	out := wireProject{
		ProjectID: p.ID.String(), Name: p.Name, Description: p.Description, Metadata: p.Metadata, Provider: p.Provider, IsActive: p.Active,
		KeyHint: p.KeyHint, APIKeyRef: p.KeyRef, Capture: string(p.Capture), Endpoints: make([]string, len(p.Endpoints)),
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, Revision: p.Revision,
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	for i, g := range p.Endpoints {
		out.Endpoints[i] = string(g)
	}
	return out
}

func groupsIn(names []string) []llmproxy.EndpointGroup {
	groups := make([]llmproxy.EndpointGroup, len(names))
	for i, name := range names {
		groups[i] = llmproxy.EndpointGroup(name)
	}
	return groups
}

func (w *wireNewProject) in() NewProject {
	return NewProject{
		Name: w.Name, Description: w.Description.Value, Metadata: w.Metadata.Value, Provider: w.Provider.Value,
		APIKey: w.APIKey.Value.Secret, APIKeyRef: w.APIKeyRef.Value, Capture: llmproxy.Capture(w.Capture.Value), Endpoints: groupsIn(w.Endpoints.Value),
	}
}

func (c *ProjectChange) in() (ProjectPatch, error) {
	var problems FieldErrors
	patch := ProjectPatch{
		Name: c.Name.given(&problems, "name"), Description: c.Description.cleared(), Metadata: c.Metadata.cleared(),
		Provider: c.Provider.given(&problems, "provider"), APIKeyRef: c.APIKeyRef.given(&problems, "api_key_ref"),
		Active: c.IsActive.given(&problems, "is_active"),
	}
	if key := c.APIKey.given(&problems, "api_key"); key != nil {
		patch.APIKey = &key.Secret
	}
	if c.Capture.Set {
		capture := llmproxy.Capture(c.Capture.Value)
		patch.Capture = &capture
	}
	if c.Endpoints.Set {
		groups := groupsIn(c.Endpoints.Value)
		if len(groups) == 0 {
			groups = []llmproxy.EndpointGroup{llmproxy.GroupInference}
		}
		patch.Endpoints = &groups
	}
	return patch, problems.err()
}
