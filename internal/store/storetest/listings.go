package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func testProjectList(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	for i := range 7 {
		AddProject(t, s, func(p *llmproxy.Project) {
			p.ID, p.Name, p.Active = llmproxy.NewProjectID(Noon.Add(time.Duration(i)*time.Second)), fmt.Sprint("Team ", i), i%2 == 0
		})
	}
	var names []string
	page := llmproxy.Page{Limit: 3}
	for more := true; more; {
		var projects []llmproxy.Project
		var err error
		projects, more, err = s.Projects(ctx, llmproxy.ProjectFilter{}, page)
		require.NoError(t, err)
		for _, p := range projects {
			names = append(names, p.Name)
		}
		page.After = projects[len(projects)-1].ID.UUID
		AddProject(t, s, func(p *llmproxy.Project) { p.ID = llmproxy.NewProjectID(Noon.Add(time.Hour)) }) // a new one meanwhile
	}
	require.Equal(t, []string{"Team 6", "Team 5", "Team 4", "Team 3", "Team 2", "Team 1", "Team 0"}, names)
	active := true
	projects, _, err := s.Projects(ctx, llmproxy.ProjectFilter{Active: &active, Query: "TEAM"}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, projects, 4)
	AddProject(t, s, func(p *llmproxy.Project) { p.Name = "Forschung & ÄRGER" })
	projects, _, err = s.Projects(ctx, llmproxy.ProjectFilter{Query: "& ärg"}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, projects, 1)
	_, err = s.Project(ctx, llmproxy.NewProjectID(Noon))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func testTokenList(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p, other := AddProject(t, s), AddProject(t, s)
	for i := range 5 {
		AddToken(t, s, p.ID, func(g *llmproxy.Gate) {
			g.ID = llmproxy.NewTokenID(Noon.Add(time.Duration(i) * time.Second))
			g.Name, g.ExpiresAt = fmt.Sprint(i), Noon.Add(time.Duration(i)*time.Hour)
			g.Active = i != 4
		})
	}
	AddToken(t, s, other.ID)
	names := func(f llmproxy.TokenFilter) (out []string) {
		page := llmproxy.Page{Limit: 2}
		for more := true; more; {
			var tokens []llmproxy.Token
			var err error
			tokens, more, err = s.Tokens(ctx, f, page)
			require.NoError(t, err)
			for _, token := range tokens {
				out = append(out, token.Name)
				page.After = token.ID.UUID
			}
		}
		return out
	}
	yes, no := true, false
	require.Equal(t, []string{"4", "3", "2", "1", "0"}, names(llmproxy.TokenFilter{ProjectID: p.ID}))
	require.Equal(t, []string{"3", "2", "1"}, names(llmproxy.TokenFilter{ProjectID: p.ID, Active: &yes, Now: Noon}))
	require.Equal(t, []string{"4", "0"}, names(llmproxy.TokenFilter{ProjectID: p.ID, Active: &no, Now: Noon}))
	require.Equal(t, []string{"2", "1"}, names(llmproxy.TokenFilter{ProjectID: p.ID, ExpiringWithin: 2 * time.Hour, Now: Noon}))
	tokens, _, err := s.Tokens(ctx, llmproxy.TokenFilter{}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, tokens, 6)
	_, err = s.Token(ctx, llmproxy.NewTokenID(Noon))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func testTexts(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	hostile := "a'\"; DROP TABLE projects; --\r\n\x00\u202e<img src=x onerror=alert(1)>世界🎉"
	want := AddProject(t, s, func(p *llmproxy.Project) {
		p.Name, p.Description, p.KeyHint, p.KeyRef = hostile, hostile, "wxyz", "stack/keys/"+hostile
		p.Metadata = map[string]string{hostile: hostile, "empty": ""}
	})
	got, err := s.Project(ctx, want.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	id, hash := AddToken(t, s, want.ID, func(g *llmproxy.Gate) { g.Name, g.RequestHeadersDrop = hostile, []string{"X-A", "X-B"} })
	token, err := s.Token(ctx, id)
	require.NoError(t, err)
	require.Equal(t, hostile, token.Name)
	require.Equal(t, []string{"X-A", "X-B"}, token.RequestHeadersDrop)
	_, project, err := s.Spend(ctx, id, hash, Noon)
	require.NoError(t, err)
	require.Equal(t, want.KeyRef, project.KeyRef)
}
