package dynamo_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// edit sets an attribute of a row by hand, as somebody at the console might.
func edit(t *testing.T, table string, key map[string]string, name string, value types.AttributeValue) {
	t.Helper()
	input := &dynamodb.UpdateItemInput{
		TableName: &table, Key: map[string]types.AttributeValue{}, UpdateExpression: aws.String("SET #name = :value"),
		ExpressionAttributeNames: map[string]string{"#name": name}, ExpressionAttributeValues: map[string]types.AttributeValue{":value": value},
	}
	for part, text := range key {
		input.Key[part] = &types.AttributeValueMemberS{Value: text}
	}
	_, err := dynamodb.NewFromConfig(engine(t).Config()).UpdateItem(context.Background(), input)
	require.NoError(t, err)
}

// TestARowThatCannotBeReadIsUnavailable: it is an accident to look into, not a token or project that does not exist.
func TestARowThatCannotBeReadIsUnavailable(t *testing.T) {
	ctx := context.Background()
	words := &types.AttributeValueMemberS{Value: "no id, no number"}
	type fixture struct {
		s     *dynamo.Store
		p     llmproxy.Project
		id    llmproxy.TokenID
		hash  llmproxy.TokenHash
		table dynamo.Config
	}
	for name, c := range map[string]struct {
		edit func(f fixture)
		call func(f fixture) error
	}{
		"a token's project": {
			func(f fixture) { edit(t, f.table.Tokens, map[string]string{"pk": f.id.String()}, "prj", words) },
			func(f fixture) error { return spend(f.s, f.id, f.hash) },
		},
		"a refused token's epoch": {
			func(f fixture) {
				edit(t, f.table.Tokens, map[string]string{"pk": f.id.String()}, "act", &types.AttributeValueMemberBOOL{Value: false})
				edit(t, f.table.Tokens, map[string]string{"pk": f.id.String()}, "ep", words)
			},
			func(f fixture) error { return spend(f.s, f.id, f.hash) },
		},
		"a window": {
			func(f fixture) {
				edit(t, f.table.Tokens, map[string]string{"pk": f.id.String()}, fmt.Sprint("w", llmproxy.HourOf(storetest.Noon)), words)
			},
			func(f fixture) error { return spend(f.s, f.id, f.hash) },
		},
		"a gate row": {
			func(f fixture) {
				edit(t, f.table.Control, map[string]string{"pk": "P#" + f.p.ID.String(), "sk": "GATE"}, "ep", words)
			},
			func(f fixture) error { return spend(f.s, f.id, f.hash) },
		},
		"a gate row of a listed token": {
			func(f fixture) {
				edit(t, f.table.Control, map[string]string{"pk": "P#" + f.p.ID.String(), "sk": "GATE"}, "ep", words)
			},
			func(f fixture) error {
				_, _, err := f.s.Tokens(ctx, llmproxy.TokenFilter{}, llmproxy.Page{})
				return err
			},
		},
		"a listed project": {
			func(f fixture) {
				edit(t, f.table.Control, map[string]string{"pk": "PROJECTS", "sk": f.p.ID.String()}, "rev", words)
			},
			func(f fixture) error {
				_, _, err := f.s.Projects(ctx, llmproxy.ProjectFilter{}, llmproxy.Page{})
				return err
			},
		},
		"a deleted project": {
			func(f fixture) {
				edit(t, f.table.Control, map[string]string{"pk": "DELETED", "sk": "nobody"}, "del", &types.AttributeValueMemberN{Value: "1"})
			},
			func(f fixture) error { _, err := f.s.Sweep(ctx, storetest.Noon); return err },
		},
		"a session": {
			func(f fixture) {
				edit(t, f.table.Control, map[string]string{"pk": "S#" + strings.Repeat("00", 32), "sk": "SESSION"}, "ex", words)
			},
			func(f fixture) error { _, err := f.s.Session(ctx, llmproxy.SessionHash{}); return err },
		},
		"attempts to sign in": {
			func(f fixture) {
				edit(t, f.table.Control, map[string]string{"pk": "L#" + strings.Repeat("00", 32), "sk": "SIGNINS"}, "at", words)
			},
			func(f fixture) error {
				attempt := llmproxy.SignIn{At: storetest.Noon, Keys: make([][32]byte, 1), Max: 5, Within: time.Minute}
				if _, err := f.s.CountSignIn(ctx, attempt); err == nil {
					return nil
				}
				return f.s.ForgiveSignIn(ctx, attempt)
			},
		},
		"an audit entry": {
			func(f fixture) {
				edit(t, f.table.Control, map[string]string{"pk": "A#2026-11-22", "sk": "no id"}, "action", words)
			},
			func(f fixture) error {
				_, _, err := f.s.Audit(ctx, llmproxy.AuditFilter{}, llmproxy.Page{})
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newTables(t, patient)
			f := fixture{s: open(t, cfg), table: cfg}
			f.p = storetest.AddProject(t, f.s)
			f.id, f.hash = storetest.AddToken(t, f.s, f.p.ID)
			c.edit(f)
			requireUnavailable(t, c.call(f))
		})
	}
}

// TestACancelledTransactionIsTriedAgainWhereThatHelps: what the engine says of each write decides.
func TestACancelledTransactionIsTriedAgainWhereThatHelps(t *testing.T) {
	for name, c := range map[string]struct {
		codes []string
		again bool
	}{
		"another transaction holds a row":       {[]string{"None", "TransactionConflict"}, true},
		"a row is throttled":                    {[]string{"ThrottlingError"}, true},
		"a partition is throttled":              {[]string{"None", "ProvisionedThroughputExceeded"}, true},
		"a write is wrong":                      {[]string{"ValidationError", "None"}, false},
		"a row is too large beside a conflict":  {[]string{"TransactionConflict", "ItemCollectionSizeLimitExceeded"}, false},
		"nothing is said of any write":          {[]string{"None", "None"}, false},
		"the first condition is one that lasts": {[]string{"ConditionalCheckFailed", "TransactionConflict"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			s := open(t, newTables(t, patient), intercept(func(input any, call func() (any, error)) (any, error) {
				if _, ok := input.(*dynamodb.TransactWriteItemsInput); !ok {
					return call()
				}
				if tries++; tries > 1 {
					return call()
				}
				cancelled := &types.TransactionCanceledException{}
				for _, code := range c.codes {
					reason := types.CancellationReason{Code: aws.String(code)}
					if code == "None" {
						reason.Code = nil // either is said
					}
					cancelled.CancellationReasons = append(cancelled.CancellationReasons, reason)
				}
				return nil, cancelled
			}))
			err := s.CreateProject(context.Background(), llmproxy.Project{ID: llmproxy.NewProjectID(storetest.Noon)}, storetest.Entry("project.create", storetest.Noon))
			if c.again {
				require.NoError(t, err)
				require.Equal(t, 2, tries)
				return
			}
			require.Error(t, err)
			require.Equal(t, 1, tries)
		})
	}
}

// TestAChangeThatNeverComesThroughIsUnavailable: other changes come between for as long as the caller has patience.
func TestAChangeThatNeverComesThroughIsUnavailable(t *testing.T) {
	cfg := newTables(t, patient)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	s := open(t, cfg, intercept(func(input any, call func() (any, error)) (any, error) {
		if _, ok := input.(*dynamodb.TransactWriteItemsInput); ok {
			return nil, &types.TransactionCanceledException{CancellationReasons: []types.CancellationReason{{Code: aws.String("TransactionConflict")}}}
		}
		return call()
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.Name = "never"
		return storetest.Entry("project.update", storetest.Noon), nil
	})
	requireUnavailable(t, err)
	got, err := setup.Project(context.Background(), p.ID)
	require.NoError(t, err)
	require.Equal(t, "demo", got.Name)
}
