package dynamo_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// actions notes what a client does to each kind of table.
type actions struct {
	mu   sync.Mutex
	seen map[string]bool // "tokens UpdateItem"
}

func (a *actions) note(table, action string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[strings.TrimRight(table, "-0123456789")+" "+action] = true
}

func (a *actions) watch(cfg *aws.Config) {
	intercept(func(input any, call func() (any, error)) (any, error) {
		switch input := input.(type) {
		case *dynamodb.UpdateItemInput:
			a.note(*input.TableName, "UpdateItem")
		case *dynamodb.GetItemInput:
			a.note(*input.TableName, "GetItem")
		case *dynamodb.PutItemInput:
			a.note(*input.TableName, "PutItem")
		case *dynamodb.QueryInput:
			a.note(*input.TableName, "Query")
		case *dynamodb.BatchGetItemInput:
			for table := range input.RequestItems {
				a.note(table, "BatchGetItem")
			}
		case *dynamodb.BatchWriteItemInput:
			for table := range input.RequestItems {
				a.note(table, "BatchWriteItem")
			}
		case *dynamodb.TransactWriteItemsInput:
			for _, write := range input.TransactItems {
				switch {
				case write.Put != nil:
					a.note(*write.Put.TableName, "PutItem")
				case write.Update != nil:
					a.note(*write.Update.TableName, "UpdateItem")
				case write.Delete != nil:
					a.note(*write.Delete.TableName, "DeleteItem")
				case write.ConditionCheck != nil:
					a.note(*write.ConditionCheck.TableName, "ConditionCheckItem")
				}
			}
		default:
			a.note("anything", operation(input))
		}
		return call()
	})(cfg)
}

// split spends over one store, signs in over another and manages over a third, as the functions do with their roles.
type split struct {
	*dynamo.Store
	spender, door *dynamo.Store
}

func (s split) Spend(ctx context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (llmproxy.Token, llmproxy.Project, error) {
	return s.spender.Spend(ctx, id, hash, now)
}

func (s split) CreateSession(ctx context.Context, session llmproxy.Session, entry llmproxy.AuditEntry) error {
	return s.door.CreateSession(ctx, session, entry)
}

func (s split) Session(ctx context.Context, hash llmproxy.SessionHash) (llmproxy.Session, error) {
	return s.door.Session(ctx, hash)
}

func (s split) ExtendSession(ctx context.Context, session llmproxy.Session) error {
	return s.door.ExtendSession(ctx, session)
}

func (s split) EndSession(ctx context.Context, hash llmproxy.SessionHash, entry llmproxy.AuditEntry) error {
	return s.door.EndSession(ctx, hash, entry)
}

func (s split) CountSignIn(ctx context.Context, attempt llmproxy.SignIn) (time.Duration, error) {
	return s.door.CountSignIn(ctx, attempt)
}

func (s split) ForgiveSignIn(ctx context.Context, attempt llmproxy.SignIn) error {
	return s.door.ForgiveSignIn(ctx, attempt)
}

// TestEachRoleDoesWhatItIsAllowed: the whole suite, a large batch and a sweep use exactly the actions that the roles are given.
func TestEachRoleDoesWhatItIsAllowed(t *testing.T) {
	var spends, signsIn, manages, sweeps actions
	configs := map[storetest.Store]dynamo.Config{}
	join := func(t *testing.T, cfg dynamo.Config) storetest.Store {
		s := split{Store: open(t, cfg, manages.watch), spender: open(t, cfg, spends.watch), door: open(t, cfg, signsIn.watch)}
		configs[s] = cfg
		return s
	}
	storetest.Run(t, storetest.Engine{
		Open:   func(t *testing.T) storetest.Store { return join(t, newTables(t, patient)) },
		Again:  func(t *testing.T, s storetest.Store) storetest.Store { return join(t, configs[s]) },
		Rounds: 1,
	})
	cfg := newTables(t, patient)
	s := join(t, cfg).(split)
	require.NoError(t, s.spender.Ping(context.Background()))
	p := storetest.AddProject(t, s)
	var ids []llmproxy.TokenID
	for range 51 {
		id, _ := storetest.AddToken(t, s, p.ID)
		ids = append(ids, id)
	}
	_, err := s.UpdateTokens(context.Background(), ids, revoke)
	require.NoError(t, err)
	deleteProject(t, s.Store, p.ID, storetest.Noon)
	sweeper := open(t, cfg, sweeps.watch)
	relayed, err := sweeper.RelayAudit(context.Background(), func(context.Context, []llmproxy.AuditEntry) error { return nil })
	require.NoError(t, err)
	require.Equal(t, 1+51+51+1, relayed)
	removed, err := sweeper.Sweep(context.Background(), storetest.Noon.AddDate(0, 0, 31))
	require.NoError(t, err)
	require.Equal(t, int64(52), removed)
	require.NoError(t, s.spender.Close())
	require.NoError(t, s.door.AppendAudit(context.Background(), storetest.Entry("session.create", storetest.Noon)))

	require.Equal(t, declared(dynamo.SpendActions), slices.Sorted(maps.Keys(spends.seen)))
	require.Equal(t, declared(dynamo.SignInActions), slices.Sorted(maps.Keys(signsIn.seen)))
	require.Equal(t, declared(dynamo.SweepActions), slices.Sorted(maps.Keys(sweeps.seen)))
	require.Equal(t, declared(dynamo.ManageActions), slices.Sorted(maps.Keys(manages.seen)))
}

func declared(a dynamo.Actions) (all []string) {
	for table, names := range map[string][]string{"tokens": a.Tokens, "control": a.Control} {
		for _, name := range names {
			all = append(all, table+" "+name)
		}
	}
	slices.Sort(all)
	return all
}
