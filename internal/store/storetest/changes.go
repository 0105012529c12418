package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func testChanges(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	ctx := context.Background()
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID)
	require.NoError(t, spend(other, id, hash, Noon))

	update := func(change func(*llmproxy.Gate)) {
		_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
			change(g)
			return Entry("token.update", Noon), nil
		})
		require.NoError(t, err)
	}
	project := func(change func(*llmproxy.Project)) {
		_, err := s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
			change(p)
			return Entry("project.update", Noon), nil
		})
		require.NoError(t, err)
	}
	project(func(p *llmproxy.Project) { p.Active = false })
	require.ErrorIs(t, spend(other, id, hash, Noon), llmproxy.ErrProjectInactive)
	project(func(p *llmproxy.Project) { p.Active, p.SealedKey = true, "v1.fake.other" })
	_, got, err := other.Spend(ctx, id, hash, Noon)
	require.NoError(t, err)
	require.Equal(t, "v1.fake.other", got.SealedKey, "the new key")
	update(func(g *llmproxy.Gate) { g.ExpiresAt = Noon })
	require.ErrorIs(t, spend(other, id, hash, Noon), llmproxy.ErrExpired)
	update(func(g *llmproxy.Gate) { g.ExpiresAt = Noon.Add(time.Hour); g.MaxRequests = 2 })
	require.ErrorIs(t, spend(other, id, hash, Noon), llmproxy.ErrExhausted)
	update(func(g *llmproxy.Gate) { g.MaxRequests = 0 })
	require.NoError(t, spend(other, id, hash, Noon))
	update(func(g *llmproxy.Gate) { g.Active, g.RevokedAt = false, Noon })
	require.ErrorIs(t, spend(other, id, hash, Noon), llmproxy.ErrRevoked)
}

func testRotation(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	id, old := AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.MaxRequests = 50 })
	fresh := llmproxy.HashTokenSecret("fresh")
	var rotated sync.Once
	admitted := race(t, 200, func(i int) error {
		if i == 100 {
			rotated.Do(func() {
				_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
					g.PreviousHash, g.PreviousUntil, g.Hash = g.Hash, Noon.Add(time.Minute), fresh
					return Entry("token.rotate", Noon), nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		_, _, err := s.Spend(ctx, id, old, Noon)
		return err
	}, llmproxy.ErrExhausted)
	require.Equal(t, 50, admitted, "old and new secret share one counter, also while it rotates")

	_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.MaxRequests = 0
		return Entry("token.update", Noon), nil
	})
	require.NoError(t, err)
	require.NoError(t, spend(s, id, fresh, Noon))
	require.NoError(t, spend(s, id, old, Noon.Add(time.Minute-time.Millisecond)), "within its grace")
	require.ErrorIs(t, spend(s, id, old, Noon.Add(time.Minute)), llmproxy.ErrNotFound, "after it")
}

func testBulkRevoke(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p, neighbour := AddProject(t, s), AddProject(t, s)
	var ids []llmproxy.TokenID
	var hashes []llmproxy.TokenHash
	for range 5 {
		id, hash := AddToken(t, s, p.ID)
		ids, hashes = append(ids, id), append(hashes, hash)
	}
	AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = Noon })
	AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.Active, g.RevokedAt = false, Noon })
	kept, keptHash := AddToken(t, s, neighbour.ID)

	at := Noon.Add(time.Second)
	n, err := s.RevokeProjectTokens(ctx, p.ID, at, Entry("token.revoke_all", at))
	require.NoError(t, err)
	require.Equal(t, int64(5), n, "those that were active")
	for i, id := range ids {
		require.ErrorIs(t, spend(s, id, hashes[i], at), llmproxy.ErrRevoked)
		token, err := s.Token(ctx, id)
		require.NoError(t, err)
		require.False(t, token.Active, "listings tell the truth at once")
		require.Equal(t, at, token.RevokedAt)
	}
	require.NoError(t, spend(s, kept, keptHash, at), "another project's")
	id, hash := AddToken(t, s, p.ID)
	require.NoError(t, spend(s, id, hash, at), "one minted after")
	n, err = s.RevokeProjectTokens(ctx, p.ID, at, Entry("token.revoke_all", at))
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	_, err = s.RevokeProjectTokens(ctx, llmproxy.NewProjectID(Noon), at, Entry("token.revoke_all", at))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func testDeletion(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID)
	at := Noon.Add(time.Second)
	_, err := s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.DeletedAt, p.SealedKey, p.Active = at, "", false
		return Entry("project.delete", at), nil
	})
	require.NoError(t, err)
	require.ErrorIs(t, spend(s, id, hash, at), llmproxy.ErrRevoked)
	token, err := s.Token(ctx, id)
	require.NoError(t, err)
	require.False(t, token.Active)
	require.Equal(t, at, token.RevokedAt)
	_, err = s.Project(ctx, p.ID)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	projects, _, err := s.Projects(ctx, llmproxy.ProjectFilter{}, llmproxy.Page{})
	require.NoError(t, err)
	require.Empty(t, projects)
	require.ErrorIs(t, s.CreateToken(ctx, llmproxy.Gate{Token: llmproxy.Token{ID: llmproxy.NewTokenID(Noon), ProjectID: p.ID}}, Entry("token.create", at)), llmproxy.ErrNotFound)
	_, err = s.UpdateProject(ctx, p.ID, func(*llmproxy.Project) (llmproxy.AuditEntry, error) {
		return Entry("project.update", at), nil
	})
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func testUpdatesAndSpends(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if err := spend(s, id, hash, Noon); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
			g.Name, g.RequestCount, g.WindowCount, g.LastUsedAt = fmt.Sprint(i), 0, 0, time.Time{}
			return Entry("token.update", Noon), nil
		})
		require.NoError(t, err)
	}
	wg.Wait()
	token, err := s.Token(ctx, id)
	require.NoError(t, err)
	require.Equal(t, int64(100), token.RequestCount)
	require.Equal(t, "19", token.Name)
	require.Equal(t, int64(21), token.Revision, "spends do not touch it")
	require.Equal(t, Noon, token.LastUsedAt)
}

func testBatch(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	first, firstHash := AddToken(t, s, p.ID)
	second, secondHash := AddToken(t, s, p.ID)
	revoke := func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.Active, g.RevokedAt = false, Noon
		return Entry("token.revoke", Noon), nil
	}
	_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{first, llmproxy.NewTokenID(Noon)}, revoke)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	require.NoError(t, spend(s, first, firstHash, Noon), "one is missing, so none is revoked")
	tokens, err := s.UpdateTokens(ctx, []llmproxy.TokenID{first, second}, revoke)
	require.NoError(t, err)
	require.Len(t, tokens, 2)
	require.ErrorIs(t, spend(s, first, firstHash, Noon), llmproxy.ErrRevoked)
	require.ErrorIs(t, spend(s, second, secondHash, Noon), llmproxy.ErrRevoked)
}

func testLargeBatch(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	ids := make([]llmproxy.TokenID, 90)
	hashes := make([]llmproxy.TokenHash, len(ids))
	for i := range ids {
		ids[i], hashes[i] = AddToken(t, s, p.ID)
	}
	tokens, err := s.UpdateTokens(ctx, ids, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.Active, g.RevokedAt = false, Noon
		e := Entry("token.revoke", Noon)
		e.TokenID = g.ID
		return e, nil
	})
	require.NoError(t, err)
	for i, id := range ids {
		require.Equal(t, id, tokens[i].ID, "in the order that was asked for")
		require.ErrorIs(t, spend(s, id, hashes[i], Noon), llmproxy.ErrRevoked)
	}
	told := map[llmproxy.TokenID]bool{}
	page := llmproxy.Page{Limit: 40}
	for more := true; more; {
		var entries []llmproxy.AuditEntry
		entries, more, err = s.Audit(ctx, llmproxy.AuditFilter{Action: "token.revoke"}, page)
		require.NoError(t, err)
		for _, e := range entries {
			require.False(t, told[e.TokenID], "none is told twice")
			told[e.TokenID] = true
			page.After = e.ID.UUID
		}
	}
	require.Len(t, told, len(ids))
}

func testConcurrentUpdates(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	ctx := context.Background()
	p := AddProject(t, s)
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		handle := s
		if i%2 == 1 {
			handle = other
		}
		wg.Go(func() {
			_, err := handle.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
				if p.Revision != 1 {
					return llmproxy.AuditEntry{}, llmproxy.ErrConflict
				}
				p.Name = fmt.Sprint(i)
				return Entry("project.update", Noon), nil
			})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, llmproxy.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), won.Load(), "of those who read revision 1 one wins")
}
