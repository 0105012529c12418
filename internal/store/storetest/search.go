package storetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func testTokenSearch(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p, revoked := AddProject(t, s), AddProject(t, s)
	add := func(project llmproxy.ProjectID, name string, change func(*llmproxy.Gate)) (llmproxy.TokenID, llmproxy.TokenHash) {
		return AddToken(t, s, project, func(g *llmproxy.Gate) {
			g.Name = name
			if change != nil {
				change(g)
			}
		})
	}
	add(p.ID, "Old", func(g *llmproxy.Gate) { g.ExpiresAt = Noon })
	add(p.ID, "old and revoked", func(g *llmproxy.Gate) { g.ExpiresAt, g.Active, g.RevokedAt = Noon, false, Noon })
	add(revoked.ID, "revoked with its project", nil)
	spent, hash := add(p.ID, "spent 世界 %_", func(g *llmproxy.Gate) { g.MaxRequests, g.RequestsPerHour = 1, 5 })
	add(p.ID, "good, with a cap", func(g *llmproxy.Gate) { g.MaxRequests = 2 })
	good, goodHash := add(p.ID, "GOOD", func(g *llmproxy.Gate) { g.MaxRequests, g.RequestsPerHour = 0, 5 })
	_, err := s.RevokeProjectTokens(ctx, revoked.ID, Noon, Entry("project.revoke_tokens", Noon))
	require.NoError(t, err)
	require.NoError(t, spend(s, spent, hash, Noon))
	for range 3 {
		require.NoError(t, spend(s, good, goodHash, Noon))
	}

	names := func(f llmproxy.TokenFilter) (out []string) {
		f.Now = Noon
		for page, more := (llmproxy.Page{Limit: 1}), true; more; {
			var tokens []llmproxy.Token
			tokens, more, err = s.Tokens(ctx, f, page)
			require.NoError(t, err)
			for i := range tokens {
				out = append(out, tokens[i].Name)
				page.After = tokens[i].ID.UUID
			}
		}
		slices.Sort(out)
		return out
	}
	for status, want := range map[llmproxy.TokenStatus][]string{
		llmproxy.TokenActive: {"GOOD", "good, with a cap"}, llmproxy.TokenExhausted: {"spent 世界 %_"}, llmproxy.TokenExpired: {"Old"},
		llmproxy.TokenRevoked: {"old and revoked", "revoked with its project"},
	} {
		require.Equal(t, want, names(llmproxy.TokenFilter{Status: status}), status)
	}
	require.Equal(t, []string{"old and revoked"}, names(llmproxy.TokenFilter{Status: llmproxy.TokenRevoked, ProjectID: p.ID}))
	for query, want := range map[string][]string{
		"gOOd": {"GOOD", "good, with a cap"}, "世界 %_": {"spent 世界 %_"}, "%": {"spent 世界 %_"}, "none": nil,
		good.String(): {"GOOD"}, strings.ToUpper(good.String()[:36]): {"GOOD"}, strings.ReplaceAll(good.String(), "-", ""): {"GOOD"}, good.String() + "0": nil,
	} {
		require.Equal(t, want, names(llmproxy.TokenFilter{Query: query}), query)
	}
	require.Len(t, names(llmproxy.TokenFilter{Query: good.String()[:8]}), 6, "of one minute are all")
	require.Equal(t, []string{"good, with a cap"}, names(llmproxy.TokenFilter{Query: "cap", Status: llmproxy.TokenActive, ProjectID: p.ID}))

	token, err := s.Token(ctx, good)
	require.NoError(t, err)
	require.Equal(t, int64(3), token.SpentInHour(Noon))
	require.Zero(t, token.SpentInHour(Noon.Add(time.Hour)))
	listed, _, err := s.Tokens(ctx, llmproxy.TokenFilter{Query: good.String()}, llmproxy.Page{})
	require.NoError(t, err)
	require.Equal(t, []llmproxy.Token{token}, listed)
}

func testTokenOrder(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	for i, name := range []string{"beta", "Alpha", "alpha", "ZULU", "ärger", "", "beta"} {
		id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) {
			g.Name, g.ExpiresAt, g.RequestsPerHour = name, Noon.Add(time.Duration(1+i*3%5)*time.Hour), 9
		})
		for range i % 3 {
			require.NoError(t, spend(s, id, hash, Noon.Add(time.Duration(10-i)*time.Minute)))
		}
	}
	all, _, err := s.Tokens(ctx, llmproxy.TokenFilter{}, llmproxy.Page{})
	require.NoError(t, err)
	for _, by := range []llmproxy.TokenOrder{llmproxy.OrderName, llmproxy.OrderExpiry, llmproxy.OrderRequests, llmproxy.OrderLastUsed} {
		for _, order := range []llmproxy.TokenOrder{by, "-" + by} {
			want := slices.Clone(all)
			slices.SortFunc(want, func(a, b llmproxy.Token) int { return order.Compare(order.KeyOf(&a), a.ID, order.KeyOf(&b), b.ID) })
			var got []llmproxy.Token
			for page, more := (llmproxy.Page{Limit: 2}), true; more; {
				var some []llmproxy.Token
				some, more, err = s.Tokens(ctx, llmproxy.TokenFilter{Order: order, ProjectID: p.ID}, page)
				require.NoError(t, err)
				got = append(got, some...)
				last := &got[len(got)-1]
				page.After, page.AfterKey = last.ID.UUID, order.KeyOf(last)
			}
			require.Equal(t, want, got, "%s", order)
		}
	}
	for order, name := range map[llmproxy.TokenOrder]string{llmproxy.OrderName: "", "-" + llmproxy.OrderName: "ärger"} {
		some, more, err := s.Tokens(ctx, llmproxy.TokenFilter{Order: order}, llmproxy.Page{Limit: 1})
		require.NoError(t, err)
		require.True(t, more)
		require.Equal(t, name, some[0].Name)
	}
}

func testAuditOfAToken(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	one, other := llmproxy.NewTokenID(Noon), llmproxy.NewTokenID(Noon)
	var want []llmproxy.AuditID
	for i := range 6 {
		entry := Entry("token.update", Noon.Add(time.Duration(i)*time.Second))
		entry.ProjectID, entry.TokenID = p.ID, one
		if i%2 == 0 {
			entry.TokenID = other
		} else {
			want = append(want, entry.ID)
		}
		require.NoError(t, s.AppendAudit(ctx, entry))
	}
	slices.Reverse(want)
	var got []llmproxy.AuditID
	for page, more := (llmproxy.Page{Limit: 2}), true; more; {
		entries, further, err := s.Audit(ctx, llmproxy.AuditFilter{TokenID: one, ProjectID: p.ID}, page)
		require.NoError(t, err)
		for _, e := range entries {
			require.Equal(t, one, e.TokenID)
			got, page.After = append(got, e.ID), e.ID.UUID
		}
		more = further
	}
	require.Equal(t, want, got)
}
