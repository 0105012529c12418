package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// maxWrites is how many writes DynamoDB takes in one transaction.
const maxWrites = 100

// errMoved says that another change came between reading and writing: read anew and try again.
var errMoved = errors.New("another change came between")

// errTaken says that there is a row where a new one should be.
var errTaken = errors.New("its id is taken")

// condition is what a write asks of the row as it is. It failed because of what failed says.
type condition struct {
	is     expression.ConditionBuilder
	failed error
}

// absent asks for no row.
func absent() *condition {
	return &condition{expression.AttributeNotExists(expression.Name("pk")), errTaken}
}

// atRevision asks for the row as it was read.
func atRevision(revision int64) *condition {
	return &condition{expression.Name("rev").Equal(expression.Value(revision)), errMoved}
}

// liveAt asks for the gate row of a project that is there and has not revoked its tokens since.
func liveAt(epoch int64) *condition {
	return &condition{expression.Name("ep").Equal(expression.Value(epoch)).And(expression.AttributeNotExists(expression.Name("del"))), errMoved}
}

// changes collects the writes of one transaction.
type changes struct {
	writes []types.TransactWriteItem
	failed []error // by write: what its condition's failure means
	err    error   // the first that building a write met
}

func (c *changes) add(write types.TransactWriteItem, failed error, err error) {
	c.writes, c.failed, c.err = append(c.writes, write), append(c.failed, failed), errors.Join(c.err, err)
}

// put writes a row; cond may be nil.
func (c *changes) put(table *string, row any, cond *condition) {
	values, err := attributevalue.MarshalMap(row)
	put := &types.Put{TableName: table, Item: values}
	failed := errMoved
	if cond != nil {
		var expr expression.Expression
		var buildErr error
		expr, buildErr = expression.NewBuilder().WithCondition(cond.is).Build()
		err, failed = errors.Join(err, buildErr), cond.failed
		put.ConditionExpression, put.ExpressionAttributeNames, put.ExpressionAttributeValues = expr.Condition(), expr.Names(), expr.Values()
	}
	c.add(types.TransactWriteItem{Put: put}, failed, err)
}

// update changes attributes of a row.
func (c *changes) update(table *string, key item, update expression.UpdateBuilder, cond *condition) {
	expr, err := expression.NewBuilder().WithUpdate(update).WithCondition(cond.is).Build()
	c.add(types.TransactWriteItem{Update: &types.Update{
		TableName: table, Key: key, UpdateExpression: expr.Update(), ConditionExpression: expr.Condition(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
	}}, cond.failed, err)
}

// remove deletes a row.
func (c *changes) remove(table *string, key item, cond *condition) {
	expr, err := expression.NewBuilder().WithCondition(cond.is).Build()
	c.add(types.TransactWriteItem{Delete: &types.Delete{
		TableName: table, Key: key, ConditionExpression: expr.Condition(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
	}}, cond.failed, err)
}

// check asks of a row what the other writes stand on.
func (c *changes) check(table *string, key item, cond *condition) {
	expr, err := expression.NewBuilder().WithCondition(cond.is).Build()
	c.add(types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: table, Key: key, ConditionExpression: expr.Condition(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
	}}, cond.failed, err)
}

// transact writes all changes or none. The error wraps [errMoved] where another change came between.
func (s *Store) transact(ctx context.Context, c *changes) error {
	if c.err != nil {
		return c.err
	}
	if len(c.writes) > maxWrites {
		return fmt.Errorf("a change of %d rows is more than the %d that one transaction takes", len(c.writes), maxWrites)
	}
	_, err := s.patient.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: c.writes})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return unavailable(err)
	}
	// Failed conditions that are final count first: trying again would not cure them.
	moved := false
	for i, why := range cancelled.CancellationReasons {
		switch code := reasonCode(why); code {
		case "None":
		case "ConditionalCheckFailed":
			if i < len(c.failed) && !errors.Is(c.failed[i], errMoved) {
				return c.failed[i]
			}
			moved = true
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			moved = true
		default:
			return unavailable(err)
		}
	}
	if !moved {
		return unavailable(err)
	}
	return fmt.Errorf("%w: %w", errMoved, err)
}

func reasonCode(why types.CancellationReason) string {
	if why.Code == nil {
		return "None"
	}
	return *why.Code
}

// settled runs attempt, which reads and transacts, until no other change comes between.
func (s *Store) settled(ctx context.Context, attempt func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.changeBudget)
	defer cancel()
	for n := 0; ; n++ {
		err := attempt(ctx)
		if !errors.Is(err, errMoved) {
			return err
		}
		if !sleep(ctx, jittered(min(firstWait<<min(n, 10), longestWait))) {
			return unavailable(err)
		}
	}
}
