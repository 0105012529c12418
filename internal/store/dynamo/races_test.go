package dynamo_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// TestCapAndHourStayExactWhileTheSecretRotates: 300 spends over two stores, half with the old secret and half with the next one, while
// a third store rotates between them. The suite has the same race without a rotation.
func TestCapAndHourStayExactWhileTheSecretRotates(t *testing.T) {
	cfg := newTables(t, patient)
	stores := []*dynamo.Store{open(t, cfg), open(t, cfg)}
	manager := open(t, cfg)
	p := storetest.AddProject(t, manager)
	for round := range rounds() {
		limit := func(g *llmproxy.Gate) { g.MaxRequests = 50 }
		if round%2 == 1 {
			limit = func(g *llmproxy.Gate) { g.RequestsPerHour = 50 }
		}
		id, old := storetest.AddToken(t, manager, p.ID, limit)
		fresh := llmproxy.HashTokenSecret(fmt.Sprint("fresh ", round))
		var h history
		var early atomic.Int64 // the next secret, before it was one
		var wg sync.WaitGroup
		start := make(chan struct{})
		begin := sync.OnceFunc(func() { close(start) })
		for i := range 300 {
			wg.Go(func() {
				<-start
				hash := old
				if i%2 == 0 {
					hash = fresh
				}
				h.note(t, spend(stores[i/2%2], id, hash), &early)
			})
		}
		wg.Go(func() {
			defer begin() // also where it fails
			_, err := manager.UpdateTokens(context.Background(), []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
				begin() // between reading and writing
				g.PreviousHash, g.PreviousUntil, g.Hash = g.Hash, storetest.Noon.Add(time.Hour), fresh
				return storetest.Entry("token.rotate", storetest.Noon), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		require.Equal(t, int64(50), h.admitted.Load(), "round %d: refused %d, too early %d", round, h.refused.Load(), early.Load())
		require.Equal(t, int64(300), h.admitted.Load()+h.refused.Load()+early.Load())
		h.check(t, manager, id, 50)
	}
}

// TestNoTokenOutlivesABulkRevoke: tokens are minted and changed while all are revoked again and again. Whatever was minted before the
// last revoke began is refused after it.
func TestNoTokenOutlivesABulkRevoke(t *testing.T) {
	cfg := newTables(t, patient)
	minter, manager := open(t, cfg), open(t, cfg)
	p := storetest.AddProject(t, manager)
	type minted struct {
		id   llmproxy.TokenID
		hash llmproxy.TokenHash
	}
	var mu sync.Mutex
	var all []minted
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				id, hash := storetest.AddToken(t, minter, p.ID)
				mu.Lock()
				all = append(all, minted{id, hash})
				mu.Unlock()
				_, err := minter.UpdateTokens(context.Background(), []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
					g.Name = "changed"
					return storetest.Entry("token.update", storetest.Noon), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 8 {
		mu.Lock()
		before := len(all)
		mu.Unlock()
		at := storetest.Noon.Add(time.Second)
		_, err := manager.RevokeProjectTokens(context.Background(), p.ID, at, storetest.Entry("project.revoke_tokens", at))
		require.NoError(t, err)
		mu.Lock()
		ended := all[:before]
		mu.Unlock()
		for _, m := range ended {
			require.ErrorIs(t, spend(minter, m.id, m.hash), llmproxy.ErrRevoked)
		}
	}
	wg.Wait()
	at := storetest.Noon.Add(time.Second)
	_, err := manager.RevokeProjectTokens(context.Background(), p.ID, at, storetest.Entry("project.revoke_tokens", at))
	require.NoError(t, err)
	for _, m := range all {
		require.ErrorIs(t, spend(manager, m.id, m.hash), llmproxy.ErrRevoked)
		token, err := manager.Token(context.Background(), m.id)
		require.NoError(t, err)
		require.False(t, token.Active)
	}
}
