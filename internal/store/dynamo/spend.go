package dynamo

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// The one atomic step of a spend. #w is the window of the hour. The window before it stays, so that a request that is late, or comes
// from a process whose clock is behind, still counts where it belongs; the two before that one go.
const (
	spendUpdate    = `ADD cnt :1, #w :1 SET lst = :now REMOVE #old, #older`
	spendCondition = `(h = :h OR (h2 = :h AND h2x > :now)) AND act = :t AND ex > :now
AND (attribute_not_exists(mx) OR cnt < mx)
AND (attribute_not_exists(rl) OR attribute_not_exists(#w) OR #w < rl)`
)

// Spend counts one request against the token and returns it with its project, as both now are. On a refusal of the token itself the
// project may have its id alone.
//
// A caller that leaves does not cut it short: what was sent may have counted, and a connection that is cut is lost to the next one.
func (s *Store) Spend(ctx context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (llmproxy.Token, llmproxy.Project, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience.budget)
	defer cancel()
	var beside chan projectRead
	if owner, known := s.owners.of(id); known {
		beside = make(chan projectRead, 1)
		go func() { beside <- s.readProject(ctx, owner) }()
	}
	g, refusal, err := s.count(ctx, id, hash, now)
	if err == nil && refusal == nil && beside == nil {
		s.owners.remember(id, g.ProjectID)
		beside = make(chan projectRead, 1)
		beside <- s.readProject(ctx, g.ProjectID)
	}
	project := projectRead{project: llmproxy.Project{ID: g.ProjectID}}
	if beside != nil {
		project = <-beside // also where it is of no use any more: a read that is cut costs its connection
	}
	switch {
	case err != nil:
		return llmproxy.Token{}, llmproxy.Project{}, unavailable(err)
	case errors.Is(refusal, llmproxy.ErrNotFound): // whoever does not know the secret learns nothing of the token
		return llmproxy.Token{}, llmproxy.Project{}, refusal
	case refusal != nil:
		return g.Token, project.project, refusal
	case project.err != nil:
		return g.Token, llmproxy.Project{ID: g.ProjectID}, unavailable(project.err)
	case !project.there:
		return g.Token, llmproxy.Project{ID: g.ProjectID}, llmproxy.ErrRevoked
	}
	return g.Token, project.project, project.project.Refusal(g.Epoch)
}

// count runs the one atomic step. A refusal comes from the row as the step found it.
func (s *Store) count(ctx context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (g llmproxy.Gate, refusal, err error) {
	hour := llmproxy.HourOf(now)
	input := &dynamodb.UpdateItemInput{
		TableName: s.tokens, Key: tokenKey(id), UpdateExpression: aws.String(spendUpdate), ConditionExpression: aws.String(spendCondition),
		ExpressionAttributeNames: map[string]string{"#w": windowName(hour), "#old": windowName(hour - 2), "#older": windowName(hour - 3)},
		ExpressionAttributeValues: item{
			":1": number(1), ":now": number(now.UnixMilli()), ":h": &types.AttributeValueMemberB{Value: hash[:]}, ":t": &types.AttributeValueMemberBOOL{Value: true},
		},
		ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	var output *dynamodb.UpdateItemOutput
	err = s.patience.ask(ctx, func(ctx context.Context) (err error) {
		output, err = s.spends.UpdateItem(ctx, input)
		return err
	})
	var failed *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &failed):
		return reason(failed.Item, hash, now)
	case err != nil:
		return llmproxy.Gate{}, nil, err
	}
	if old := windowsBefore(output.Attributes, hour-1); len(old) > 0 {
		s.clean(ctx, id, old)
	}
	g, err = gateOf(output.Attributes, hour)
	return g, nil, err
}

// reason says why the step refused the row, which is empty where there is none.
func reason(row item, hash llmproxy.TokenHash, now time.Time) (g llmproxy.Gate, refusal, err error) {
	if len(row) == 0 {
		return llmproxy.Gate{}, llmproxy.ErrNotFound, nil
	}
	if g, err = gateOf(row, llmproxy.HourOf(now)); err != nil {
		return llmproxy.Gate{}, nil, err
	}
	if refusal = g.Refusal(hash, now); refusal == nil {
		return llmproxy.Gate{}, nil, errors.New("the engine refused a spend without a reason")
	}
	return g, refusal, nil
}

// projectRead is a gate row as it was found.
type projectRead struct {
	project llmproxy.Project
	there   bool
	err     error
}

// readProject reads a project's gate row within the patience of a spend.
func (s *Store) readProject(ctx context.Context, id llmproxy.ProjectID) projectRead {
	var output *dynamodb.GetItemOutput
	err := s.patience.ask(ctx, func(ctx context.Context) (err error) {
		output, err = s.spends.GetItem(ctx, &dynamodb.GetItemInput{TableName: s.control, Key: controlKey(gatePartition(id), gateSort), ConsistentRead: aws.Bool(true)})
		return err
	})
	if err != nil || len(output.Item) == 0 {
		return projectRead{project: llmproxy.Project{ID: id}, err: err}
	}
	p, err := projectOfGate(output.Item)
	return projectRead{project: p, there: true, err: err}
}

// cleanBudget is how long a clean-up may take.
const cleanBudget = 2 * time.Second

// clean removes windows that a token left behind while nobody used it, beside the request. One that is lost does no harm: the next
// spend sees them again.
func (s *Store) clean(ctx context.Context, id llmproxy.TokenID, windows []string) {
	select {
	case s.cleaning <- struct{}{}:
	default:
		return
	}
	s.background.Go(func() {
		defer func() { <-s.cleaning }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanBudget)
		defer cancel()
		names := map[string]string{}
		for i, window := range windows {
			names["#"+strconv.Itoa(i)] = window
		}
		placeholders := make([]string, 0, len(names))
		for placeholder := range names {
			placeholders = append(placeholders, placeholder)
		}
		_, err := s.spends.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: s.tokens, Key: tokenKey(id), UpdateExpression: aws.String("REMOVE " + strings.Join(placeholders, ", ")),
			ConditionExpression: aws.String("attribute_exists(pk)"), ExpressionAttributeNames: names, // never makes a row anew
		})
		if err != nil {
			s.log.Debug("old windows of a token stay until its next spend", zap.Stringer("token_id", id), zap.Error(err))
		}
	})
}
