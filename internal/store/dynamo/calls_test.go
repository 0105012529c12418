package dynamo_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// intercept puts f around each call of the client. A spend's client makes one try of each call; what management tries again is one.
func intercept(f func(input any, call func() (any, error)) (any, error)) func(*aws.Config) {
	return func(cfg *aws.Config) {
		cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("intercept", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				var metadata middleware.Metadata
				result, err := f(in.Parameters, func() (any, error) {
					var out middleware.InitializeOutput
					var err error
					out, metadata, err = next.HandleInitialize(ctx, in)
					return out.Result, err
				})
				return middleware.InitializeOutput{Result: result}, metadata, err
			}), middleware.After)
		})
	}
}

// recorder notes calls as sentences such as "UpdateItem tokens-1 <key>".
type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (r *recorder) record(cfg *aws.Config) {
	intercept(func(input any, call func() (any, error)) (any, error) {
		said := operation(input)
		switch input := input.(type) {
		case *dynamodb.UpdateItemInput:
			said += fmt.Sprint(" ", *input.TableName, " ", textOf(input.Key["pk"]))
		case *dynamodb.GetItemInput:
			said += fmt.Sprint(" ", *input.TableName, " ", textOf(input.Key["pk"]))
			if !aws.ToBool(input.ConsistentRead) {
				said += " inconsistently"
			}
		}
		r.mu.Lock()
		r.calls = append(r.calls, said)
		r.mu.Unlock()
		return call()
	})(cfg)
}

// operation is the name of the call that an input belongs to.
func operation(input any) string {
	return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", input), "*dynamodb."), "Input")
}

// taken returns what was recorded and begins anew.
func (r *recorder) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func textOf(v types.AttributeValue) string {
	s, ok := v.(*types.AttributeValueMemberS)
	if !ok {
		return fmt.Sprint(v)
	}
	return s.Value
}

// rowOf reads a token's row as it stands in the table.
func rowOf(t *testing.T, cfg dynamo.Config, id llmproxy.TokenID) map[string]types.AttributeValue {
	t.Helper()
	client := dynamodb.NewFromConfig(engine(t).Config())
	out, err := client.GetItem(context.Background(), &dynamodb.GetItemInput{
		TableName: &cfg.Tokens, Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: id.String()}}, ConsistentRead: aws.Bool(true),
	})
	require.NoError(t, err)
	return out.Item
}

func spend(s *dynamo.Store, id llmproxy.TokenID, hash llmproxy.TokenHash) error {
	_, _, err := s.Spend(context.Background(), id, hash, storetest.Noon)
	return err
}

// TestASpendIsOneUpdateOfItsOwnRowAndOneRead also stands for F6: nothing but its own row is written, so no token can slow another.
func TestASpendIsOneUpdateOfItsOwnRowAndOneRead(t *testing.T) {
	cfg := newTables(t, patient)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	var calls recorder
	s := open(t, cfg, calls.record)
	for range 3 {
		id, hash := storetest.AddToken(t, setup, p.ID, func(g *llmproxy.Gate) { g.MaxRequests, g.RequestsPerHour = 2, 5 })
		for n := range 4 {
			err := spend(s, id, hash)
			if n < 2 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, llmproxy.ErrExhausted)
			}
			require.ElementsMatch(t, []string{
				fmt.Sprintf("UpdateItem %s %s", cfg.Tokens, id),
				fmt.Sprintf("GetItem %s P#%s", cfg.Control, p.ID),
			}, calls.taken())
		}
	}
	stranger := llmproxy.NewTokenID(storetest.Noon)
	require.ErrorIs(t, spend(s, stranger, llmproxy.TokenHash{}), llmproxy.ErrNotFound)
	require.Equal(t, []string{fmt.Sprintf("UpdateItem %s %s", cfg.Tokens, stranger)}, calls.taken(), "a stranger costs one call and learns nothing")
	require.Empty(t, rowOf(t, cfg, stranger), "and no row is made")
}

// TestTheProjectIsReadBesideTheUpdate lets the update begin only when the read has been seen: one after the other would never end well.
func TestTheProjectIsReadBesideTheUpdate(t *testing.T) {
	cfg := newTables(t, patient)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	id, hash := storetest.AddToken(t, setup, p.ID)
	var once sync.Once
	var waits bool
	seen := make(chan struct{})
	s := open(t, cfg, intercept(func(input any, call func() (any, error)) (any, error) {
		switch input.(type) {
		case *dynamodb.GetItemInput:
			if waits {
				once.Do(func() { close(seen) })
			}
		case *dynamodb.UpdateItemInput:
			if waits {
				<-seen
			}
		}
		return call()
	}))
	require.NoError(t, spend(s, id, hash), "the first time the read comes after: the project is not known")
	waits = true
	require.NoError(t, spend(s, id, hash))
}

// TestNothingOfAProjectIsRemembered: another process changes the project between two spends of the same one.
func TestNothingOfAProjectIsRemembered(t *testing.T) {
	cfg := newTables(t, patient)
	s, other := open(t, cfg), open(t, cfg)
	p := storetest.AddProject(t, other)
	id, hash := storetest.AddToken(t, other, p.ID)
	for i := range 5 {
		require.NoError(t, spend(s, id, hash))
		_, err := other.UpdateProject(context.Background(), p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
			p.Active = false
			return storetest.Entry("project.deactivate", storetest.Noon), nil
		})
		require.NoError(t, err)
		require.ErrorIs(t, spend(s, id, hash), llmproxy.ErrProjectInactive)
		_, err = other.UpdateProject(context.Background(), p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
			p.Active, p.SealedKey = true, fmt.Sprint("v1.fake.", i)
			return storetest.Entry("project.activate", storetest.Noon), nil
		})
		require.NoError(t, err)
		_, project, err := s.Spend(context.Background(), id, hash, storetest.Noon)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("v1.fake.", i), project.SealedKey)
	}
}
