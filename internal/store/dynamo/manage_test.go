package dynamo_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// revoke is a change that revokes a token.
func revoke(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
	g.Active, g.RevokedAt = false, storetest.Noon
	e := storetest.Entry("token.revoke", storetest.Noon)
	e.ProjectID, e.TokenID = g.ProjectID, g.ID
	return e, nil
}

// rows reads a whole table.
func rows(t *testing.T, table string) (all []map[string]any) {
	t.Helper()
	client := dynamodb.NewFromConfig(engine(t).Config())
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		require.NoError(t, err)
		for _, item := range page.Items {
			row := map[string]any{}
			require.NoError(t, attributevalue.UnmarshalMap(item, &row))
			all = append(all, row)
		}
	}
	return all
}

// auditOf lists all entries of an action, in pages of so many.
func auditOf(t *testing.T, s *dynamo.Store, action string, limit int) (entries []llmproxy.AuditEntry) {
	t.Helper()
	page := llmproxy.Page{Limit: limit}
	for more := true; more; {
		var some []llmproxy.AuditEntry
		var err error
		some, more, err = s.Audit(context.Background(), llmproxy.AuditFilter{Action: action}, page)
		require.NoError(t, err)
		require.LessOrEqual(t, len(some), limit)
		for _, e := range some {
			entries = append(entries, e)
			page.After = e.ID.UUID
		}
	}
	return entries
}

// TestNinetyTokensAreRevokedInOneTransaction: with an entry each they are more than a transaction takes, so the entries go in as one
// row. They are listed as any others, also where the process died before it gave them rows of their own.
func TestNinetyTokensAreRevokedInOneTransaction(t *testing.T) {
	for name, dies := range map[string]bool{"and told at once": false, "and told later": true} {
		t.Run(name, func(t *testing.T) {
			cfg := newTables(t, patient)
			var transactions atomic.Int64
			s := open(t, cfg, intercept(func(input any, call func() (any, error)) (any, error) {
				switch input.(type) {
				case *dynamodb.TransactWriteItemsInput:
					transactions.Add(1)
				case *dynamodb.BatchWriteItemInput:
					if dies {
						return nil, io.ErrUnexpectedEOF
					}
				}
				return call()
			}))
			p := storetest.AddProject(t, s)
			var ids []llmproxy.TokenID
			var hashes []llmproxy.TokenHash
			for range 90 {
				id, hash := storetest.AddToken(t, s, p.ID)
				ids, hashes = append(ids, id), append(hashes, hash)
			}
			transactions.Store(0)
			tokens, err := s.UpdateTokens(context.Background(), append(ids, ids[0]), revoke)
			require.NoError(t, err)
			require.Len(t, tokens, 91, "one that is named twice is changed once and returned twice")
			require.Equal(t, int64(1), transactions.Load())
			for i, id := range ids {
				require.Equal(t, id, tokens[i].ID)
				require.Equal(t, int64(2), tokens[i].Revision)
			}
			require.ErrorIs(t, spend(s, ids[89], hashes[89]), llmproxy.ErrRevoked)

			entries := auditOf(t, open(t, cfg), "token.revoke", 7)
			told := map[llmproxy.TokenID]bool{}
			for i, e := range entries {
				told[e.TokenID] = true
				if i > 0 {
					require.Greater(t, entries[i-1].ID.String(), e.ID.String(), "newest first")
				}
			}
			require.Len(t, entries, 90)
			require.Len(t, told, 90)
			for _, row := range rows(t, cfg.Control) {
				require.NotEqual(t, "BATCHES", row["pk"], "the row of the batch has gone")
			}
		})
	}
}

func TestMoreThanATransactionTakesIsRefused(t *testing.T) {
	s := open(t, newTables(t, patient))
	p := storetest.AddProject(t, s)
	var ids []llmproxy.TokenID
	for range 40 {
		id, _ := storetest.AddToken(t, s, p.ID)
		ids = append(ids, id)
	}
	_, err := s.UpdateTokens(context.Background(), ids, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.ExpiresAt = g.ExpiresAt.Add(time.Hour) // three rows each
		return storetest.Entry("token.update", storetest.Noon), nil
	})
	require.ErrorContains(t, err, "more than the 100 that one transaction takes")
	token, err := s.Token(context.Background(), ids[0])
	require.NoError(t, err)
	require.Equal(t, int64(1), token.Revision)
}

// TestATransactionWhoseAnswerIsLostHappensOnce: it is sent again under its own name.
func TestATransactionWhoseAnswerIsLostHappensOnce(t *testing.T) {
	cfg := newTables(t, patient)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	var sent atomic.Int64
	s := open(t, cfg, func(awsConfig *aws.Config) {
		awsConfig.APIOptions = append(awsConfig.APIOptions, func(stack *middleware.Stack) error {
			return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("lose", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleFinalize(ctx, in)
				if middleware.GetOperationName(ctx) == "TransactWriteItems" && sent.Add(1) == 1 {
					return middleware.FinalizeOutput{}, metadata, &lostAnswer{}
				}
				return out, metadata, err
			}), "Retry", middleware.After)
		})
	})
	id, hash := storetest.AddToken(t, s, p.ID)
	require.Equal(t, int64(2), sent.Load())
	require.NoError(t, spend(s, id, hash))
	require.Len(t, auditOf(t, s, "token.create", 100), 1)
}

// lostAnswer is what the network says of a connection that broke.
type lostAnswer struct{}

func (*lostAnswer) Error() string         { return "connection reset by peer" }
func (*lostAnswer) ConnectionError() bool { return true }

// TestAChangeThatMeetsABulkRevokeIsMadeAnew: between its reading and its writing all tokens are revoked.
func TestAChangeThatMeetsABulkRevokeIsMadeAnew(t *testing.T) {
	cfg := newTables(t, patient)
	other := open(t, cfg)
	p := storetest.AddProject(t, other)
	id, hash := storetest.AddToken(t, other, p.ID)
	at := storetest.Noon.Add(time.Minute)
	var between sync.Once
	s := open(t, cfg, intercept(func(input any, call func() (any, error)) (any, error) {
		if _, ok := input.(*dynamodb.TransactWriteItemsInput); ok {
			between.Do(func() {
				_, err := other.RevokeProjectTokens(context.Background(), p.ID, at, storetest.Entry("project.revoke_tokens", at))
				require.NoError(t, err)
			})
		}
		return call()
	}))
	var seen []bool
	tokens, err := s.UpdateTokens(context.Background(), []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		seen = append(seen, g.Active)
		g.Name = "renamed"
		return storetest.Entry("token.update", storetest.Noon), nil
	})
	require.NoError(t, err)
	require.Equal(t, []bool{true, false}, seen, "the second time it sees what the revoke made of the token")
	require.False(t, tokens[0].Active)
	require.Equal(t, at, tokens[0].RevokedAt)
	require.ErrorIs(t, spend(s, id, hash), llmproxy.ErrRevoked)
}

// TestAMintThatMeetsADeletionFindsNothing: between its reading and its writing the project is deleted.
func TestAMintThatMeetsADeletionFindsNothing(t *testing.T) {
	cfg := newTables(t, patient)
	other := open(t, cfg)
	p := storetest.AddProject(t, other)
	var between sync.Once
	s := open(t, cfg, intercept(func(input any, call func() (any, error)) (any, error) {
		if _, ok := input.(*dynamodb.TransactWriteItemsInput); ok {
			between.Do(func() { deleteProject(t, other, p.ID, storetest.Noon) })
		}
		return call()
	}))
	err := s.CreateToken(context.Background(), llmproxy.Gate{Token: llmproxy.Token{ID: llmproxy.NewTokenID(storetest.Noon), ProjectID: p.ID, Active: true}}, storetest.Entry("token.create", storetest.Noon))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	require.Empty(t, rows(t, cfg.Tokens))
}

func deleteProject(t *testing.T, s *dynamo.Store, id llmproxy.ProjectID, at time.Time) {
	t.Helper()
	_, err := s.UpdateProject(context.Background(), id, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.DeletedAt, p.SealedKey, p.KeyHint, p.Active = at, "", "", false
		return storetest.Entry("project.delete", at), nil
	})
	require.NoError(t, err)
}

// TestADeletedProjectLosesItsKeyAtOnceAndItsRowsLater: its tokens are refused all the time.
func TestADeletedProjectLosesItsKeyAtOnceAndItsRowsLater(t *testing.T) {
	ctx := context.Background()
	cfg := newTables(t, patient)
	s := open(t, cfg)
	kept, gone := storetest.AddProject(t, s), storetest.AddProject(t, s, func(p *llmproxy.Project) { p.SealedKey = "v1.fake.gone" })
	keptToken, keptHash := storetest.AddToken(t, s, kept.ID)
	var ids []llmproxy.TokenID
	var hashes []llmproxy.TokenHash
	for range 30 {
		id, hash := storetest.AddToken(t, s, gone.ID)
		ids, hashes = append(ids, id), append(hashes, hash)
	}
	require.NoError(t, spend(s, ids[0], hashes[0]))
	deleteProject(t, s, gone.ID, storetest.Noon)
	require.NotContains(t, fmt.Sprint(rows(t, cfg.Control)), "v1.fake.gone", "the key is gone at once")
	require.ErrorIs(t, spend(s, ids[0], hashes[0]), llmproxy.ErrRevoked)

	removed, err := s.Sweep(ctx, storetest.Noon.Add(30*24*time.Hour))
	require.NoError(t, err)
	require.Zero(t, removed, "for 30 days its tokens stay visible")
	after := storetest.Noon.Add(30*24*time.Hour + time.Millisecond)
	removed, err = s.Sweep(ctx, after)
	require.NoError(t, err)
	require.Equal(t, int64(31), removed)
	require.Len(t, rows(t, cfg.Tokens), 1)
	for _, row := range rows(t, cfg.Control) {
		if id, ok := row["project_id"]; ok && id == gone.ID.String() {
			continue // what audit tells of it stays
		}
		require.NotContains(t, fmt.Sprint(row), gone.ID.String())
	}
	require.ErrorIs(t, spend(s, ids[1], hashes[1]), llmproxy.ErrNotFound)
	require.NoError(t, spend(s, keptToken, keptHash), "another project's")
	removed, err = s.Sweep(ctx, after)
	require.NoError(t, err)
	require.Zero(t, removed)
}

// TestATokenWithoutItsProjectIsRevoked: where a gate row is missing, by whatever accident, the answer is no.
func TestATokenWithoutItsProjectIsRevoked(t *testing.T) {
	cfg := newTables(t, patient)
	s := open(t, cfg)
	p := storetest.AddProject(t, s)
	id, hash := storetest.AddToken(t, s, p.ID)
	_, err := dynamodb.NewFromConfig(engine(t).Config()).DeleteItem(context.Background(), &dynamodb.DeleteItemInput{
		TableName: &cfg.Control, Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "P#" + p.ID.String()}, "sk": &types.AttributeValueMemberS{Value: "GATE"}},
	})
	require.NoError(t, err)
	for range 2 {
		require.ErrorIs(t, spend(s, id, hash), llmproxy.ErrRevoked)
	}
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	require.False(t, token.Active)
}

// endOf is when the engine may remove a row; the zero time is never.
func endOf(row map[string]any) time.Time {
	seconds, ok := row["ttl"].(float64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// TestWhatEndsHasItsTimeToLive: the engine removes rows by the attribute that the tables name.
func TestWhatEndsHasItsTimeToLive(t *testing.T) {
	cfg := newTables(t, patient)
	s := open(t, cfg)
	p := storetest.AddProject(t, s)
	expires := storetest.Noon.Add(time.Hour)
	id, _ := storetest.AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = expires })
	check := func(expires time.Time) {
		t.Helper()
		gone := expires.Add(30 * 24 * time.Hour)
		require.Equal(t, gone, endOf(rows(t, cfg.Tokens)[0]))
		seen := map[string]bool{}
		for _, row := range rows(t, cfg.Control) {
			partition := row["pk"].(string)
			switch {
			case partition == "TOKENS", partition == "T#"+p.ID.String():
				require.Equal(t, gone, endOf(row), "listed as long as it is there")
			case partition == "A#2026-11-22", partition == "RELAY":
				require.Equal(t, storetest.Noon.Add(400*24*time.Hour), endOf(row))
			case partition == "DAYS":
				require.Equal(t, storetest.Noon.Add(401*24*time.Hour), endOf(row))
			default:
				require.NotContains(t, row, "ttl", "%s stays", partition)
			}
			seen[partition] = true
		}
		require.Len(t, seen, 7)
	}
	check(expires)
	later := expires.Add(100 * time.Hour)
	_, err := s.UpdateTokens(context.Background(), []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.ExpiresAt = later
		return storetest.Entry("token.update", storetest.Noon), nil
	})
	require.NoError(t, err)
	check(later)
}

// TestLongListings: more tokens than one call reads, over two projects, in pages of the largest size.
func TestLongListings(t *testing.T) {
	ctx := context.Background()
	s := open(t, newTables(t, patient))
	p, other := storetest.AddProject(t, s), storetest.AddProject(t, s)
	var wg sync.WaitGroup
	for worker := range 5 {
		wg.Go(func() {
			for i := range 46 {
				project := p.ID
				if i%23 == 0 {
					project = other.ID
				}
				storetest.AddToken(t, s, project, func(g *llmproxy.Gate) {
					g.ID = llmproxy.NewTokenID(storetest.Noon.Add(time.Duration(i*5+worker) * time.Second))
					g.Active = i%2 == 1
				})
			}
		})
	}
	wg.Wait()
	list := func(f llmproxy.TokenFilter) (pages []int) {
		var last llmproxy.TokenID
		page := llmproxy.Page{}
		for more := true; more; {
			var tokens []llmproxy.Token
			var err error
			tokens, more, err = s.Tokens(ctx, f, page)
			require.NoError(t, err)
			pages = append(pages, len(tokens))
			for _, token := range tokens {
				if !last.IsZero() {
					require.Less(t, token.ID.String(), last.String(), "newest first, none twice")
				}
				last, page.After = token.ID, token.ID.UUID
			}
		}
		return pages
	}
	yes, no := true, false
	require.Equal(t, []int{100, 100, 30}, list(llmproxy.TokenFilter{}))
	require.Equal(t, []int{100, 100, 20}, list(llmproxy.TokenFilter{ProjectID: p.ID}))
	require.Equal(t, []int{10}, list(llmproxy.TokenFilter{ProjectID: other.ID}))
	require.Equal(t, []int{100, 15}, list(llmproxy.TokenFilter{Active: &yes, Now: storetest.Noon}))
	require.Equal(t, []int{100, 15}, list(llmproxy.TokenFilter{Active: &no, Now: storetest.Noon}))
	revoked, err := s.RevokeProjectTokens(ctx, p.ID, storetest.Noon, storetest.Entry("project.revoke_tokens", storetest.Noon))
	require.NoError(t, err)
	require.Equal(t, int64(110), revoked)
	require.Equal(t, []int{5}, list(llmproxy.TokenFilter{Active: &yes, Now: storetest.Noon}), "listings tell the truth at once")
}

// TestAuditIsListedThroughItsDays: days without entries cost nothing, however many lie between.
func TestAuditIsListedThroughItsDays(t *testing.T) {
	ctx := context.Background()
	cfg := newTables(t, patient)
	var calls recorder
	s := open(t, cfg, calls.record)
	day := func(n int) time.Time { return storetest.Noon.AddDate(0, 0, -n) }
	for _, n := range []int{0, 1, 300} {
		for i := range 3 {
			require.NoError(t, s.AppendAudit(ctx, storetest.Entry(fmt.Sprint("day ", n), day(n).Add(time.Duration(i)*time.Minute))))
		}
	}
	calls.taken()
	list := func(f llmproxy.AuditFilter, limit int) (actions []string) {
		page := llmproxy.Page{Limit: limit}
		for more := true; more; {
			var entries []llmproxy.AuditEntry
			var err error
			entries, more, err = s.Audit(ctx, f, page)
			require.NoError(t, err)
			for _, e := range entries {
				actions = append(actions, e.Action)
				page.After = e.ID.UUID
			}
		}
		return actions
	}
	all := []string{"day 0", "day 0", "day 0", "day 1", "day 1", "day 1", "day 300", "day 300", "day 300"}
	require.Equal(t, all, list(llmproxy.AuditFilter{}, 100))
	require.Len(t, calls.taken(), 5, "batches, days, and three days of entries")
	for limit := 1; limit <= 4; limit++ {
		require.Equal(t, all, list(llmproxy.AuditFilter{}, limit), "in pages of %d", limit)
	}
	require.Equal(t, all[3:6], list(llmproxy.AuditFilter{From: day(2), To: day(0)}, 2))
	require.Equal(t, all[4:], list(llmproxy.AuditFilter{To: day(1).Add(2 * time.Minute)}, 2))
	require.Equal(t, all[:5], list(llmproxy.AuditFilter{From: day(1).Add(time.Minute)}, 2))
	require.Equal(t, all[6:], list(llmproxy.AuditFilter{Query: "DAY 300"}, 2))
	require.Empty(t, list(llmproxy.AuditFilter{Outcome: llmproxy.AuditRefused}, 2))
}

// TestManagementSaysThatTheEngineIsAway: with an error of its own for each verb, so that no change is taken for done.
func TestManagementSaysThatTheEngineIsAway(t *testing.T) {
	cfg := newTables(t, patient)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	id, _ := storetest.AddToken(t, setup, p.ID)
	s := open(t, cfg, intercept(func(any, func() (any, error)) (any, error) { return nil, io.ErrUnexpectedEOF }))
	ctx := context.Background()
	entry := storetest.Entry("test", storetest.Noon)
	for name, call := range map[string]func() error{
		"ping":           func() error { return s.Ping(ctx) },
		"create project": func() error { return s.CreateProject(ctx, p, entry) },
		"create once":    func() error { _, err := s.CreateProjectOnce(ctx, p, entry, llmproxy.Once{}); return err },
		"project":        func() error { _, err := s.Project(ctx, p.ID); return err },
		"projects":       func() error { _, _, err := s.Projects(ctx, llmproxy.ProjectFilter{}, llmproxy.Page{}); return err },
		"update project": func() error {
			_, err := s.UpdateProject(ctx, p.ID, func(*llmproxy.Project) (llmproxy.AuditEntry, error) { return entry, nil })
			return err
		},
		"revoke all": func() error { _, err := s.RevokeProjectTokens(ctx, p.ID, storetest.Noon, entry); return err },
		"create token": func() error {
			return s.CreateToken(ctx, llmproxy.Gate{Token: llmproxy.Token{ID: id, ProjectID: p.ID}}, entry)
		},
		"token":        func() error { _, err := s.Token(ctx, id); return err },
		"tokens":       func() error { _, _, err := s.Tokens(ctx, llmproxy.TokenFilter{}, llmproxy.Page{}); return err },
		"update token": func() error { _, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, revoke); return err },
		"append audit": func() error { return s.AppendAudit(ctx, entry) },
		"audit":        func() error { _, _, err := s.Audit(ctx, llmproxy.AuditFilter{}, llmproxy.Page{}); return err },
		"sweep":        func() error { _, err := s.Sweep(ctx, storetest.Noon); return err },
	} {
		require.ErrorIs(t, call(), llmproxy.ErrUnavailable, name)
	}
	require.Error(t, s.CreateTables(ctx))
}

// TestTablesAreMadeOnce: and the engine is told by which attribute it removes rows.
func TestTablesAreMadeOnce(t *testing.T) {
	ctx := context.Background()
	cfg := dynamo.Config{Tokens: "tokens-made-once", Control: "control-made-once"}
	s := open(t, cfg)
	require.NoError(t, s.CreateTables(ctx))
	client := dynamodb.NewFromConfig(engine(t).Config())
	for name, table := range map[string]dynamo.Table{cfg.Tokens: dynamo.TokensTable, cfg.Control: dynamo.ControlTable} {
		ttl, err := client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
		require.NoError(t, err)
		require.Equal(t, types.TimeToLiveStatusEnabled, ttl.TimeToLiveDescription.TimeToLiveStatus)
		require.Equal(t, table.TTL, *ttl.TimeToLiveDescription.AttributeName)
	}
	p := storetest.AddProject(t, s)
	require.NoError(t, s.CreateTables(ctx), "those that are there stay")
	_, err := s.Project(ctx, p.ID)
	require.NoError(t, err)
}
