package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func testOnce(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	ctx := context.Background()
	key := llmproxy.Once{Key: [32]byte{1}, Fingerprint: [32]byte{2}, Until: Noon.Add(24 * time.Hour)}
	project := func(at time.Time) llmproxy.Project {
		return llmproxy.Project{ID: llmproxy.NewProjectID(at), Name: "once", Provider: "openai", Active: true, CreatedAt: at, UpdatedAt: at, SealedKey: "v1.fake.sealed", Revision: 1}
	}
	ids := make([]llmproxy.ProjectID, 20)
	var wg sync.WaitGroup
	for i := range ids {
		handle := s
		if i%2 == 1 {
			handle = other
		}
		wg.Go(func() {
			var err error
			if ids[i], err = handle.CreateProjectOnce(ctx, project(Noon), Entry("project.create", Noon), key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id, "all are told of the same project")
	}
	count := func() (int, int) {
		projects, _, err := s.Projects(ctx, llmproxy.ProjectFilter{}, llmproxy.Page{})
		require.NoError(t, err)
		entries, _, err := s.Audit(ctx, llmproxy.AuditFilter{}, llmproxy.Page{})
		require.NoError(t, err)
		return len(projects), len(entries)
	}
	projects, entries := count()
	require.Equal(t, []int{1, 1}, []int{projects, entries}, "it was made once and told once")

	changed := key
	changed.Fingerprint = [32]byte{3}
	_, err := s.CreateProjectOnce(ctx, project(Noon), Entry("project.create", Noon), changed)
	require.ErrorIs(t, err, llmproxy.ErrKeyReused)
	another := key
	another.Key = [32]byte{4}
	id, err := s.CreateProjectOnce(ctx, project(Noon), Entry("project.create", Noon), another)
	require.NoError(t, err)
	require.NotEqual(t, ids[0], id)

	id, err = s.CreateProjectOnce(ctx, project(key.Until.Add(-time.Millisecond)), Entry("project.create", Noon), key)
	require.NoError(t, err)
	require.Equal(t, ids[0], id, "still known")
	late := project(key.Until)
	changed.Until = key.Until.Add(24 * time.Hour)
	id, err = s.CreateProjectOnce(ctx, late, Entry("project.create", Noon), changed)
	require.NoError(t, err)
	require.Equal(t, late.ID, id, "forgotten, so the key is free for any request")

	same := Entry("project.create", Noon)
	require.NoError(t, s.AppendAudit(ctx, same))
	before, _ := count()
	third := key
	third.Key = [32]byte{5}
	_, err = s.CreateProjectOnce(ctx, project(Noon), same, third) // its id is taken: this entry cannot be stored
	require.Error(t, err)
	after, _ := count()
	require.Equal(t, before, after, "what cannot be audited does not happen")
	_, err = s.CreateProjectOnce(ctx, project(Noon), Entry("project.create", Noon), third)
	require.NoError(t, err, "nor was the key taken")
}
