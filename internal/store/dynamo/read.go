package dynamo

import (
	"context"
	"errors"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// maxKeys is how many rows DynamoDB gives at once by their keys.
const maxKeys = 100

// getControl reads a row of Control consistently; it is [llmproxy.ErrNotFound] where there is none.
func (s *Store) getControl(ctx context.Context, partition, sort string) (item, error) {
	output, err := s.patient.GetItem(ctx, &dynamodb.GetItemInput{TableName: s.control, Key: controlKey(partition, sort), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, unavailable(err)
	}
	if len(output.Item) == 0 {
		return nil, llmproxy.ErrNotFound
	}
	return output.Item, nil
}

// getAll reads rows by their keys, consistently. Rows that are not there are left out, and the order is anyone's.
func (s *Store) getAll(ctx context.Context, table *string, keys []item) (rows []item, err error) {
	for len(keys) > 0 {
		some := keys[:min(len(keys), maxKeys)]
		keys = keys[len(some):]
		ask := map[string]types.KeysAndAttributes{*table: {Keys: some, ConsistentRead: aws.Bool(true)}}
		for n := 0; len(ask) > 0; n++ { // a large answer, or a throttled table, comes in parts
			if n > 0 && !sleep(ctx, jittered(min(firstWait<<min(n-1, 10), longestWait))) {
				return nil, unavailable(ctx.Err())
			}
			output, err := s.patient.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: ask})
			if err != nil {
				return nil, unavailable(err)
			}
			rows = append(rows, output.Responses[*table]...)
			ask = output.UnprocessedKeys
		}
	}
	return rows, nil
}

// writeAll puts and deletes rows, in any order and not as one.
func (s *Store) writeAll(ctx context.Context, writes map[string][]types.WriteRequest) error {
	for table, all := range writes {
		for len(all) > 0 {
			some := all[:min(len(all), 25)]
			all = all[len(some):]
			ask := map[string][]types.WriteRequest{table: some}
			for n := 0; len(ask) > 0; n++ {
				if n > 0 && !sleep(ctx, jittered(min(firstWait<<min(n-1, 10), longestWait))) {
					return unavailable(ctx.Err())
				}
				output, err := s.patient.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: ask})
				if err != nil {
					return unavailable(err)
				}
				ask = output.UnprocessedItems
			}
		}
	}
	return nil
}

// query asks for the rows of a partition of Control, newest first.
type query struct {
	partition string
	below     string // rows with a smaller sort key; empty asks for all
	atLeast   string // rows with at least this sort key; not together with below
	filter    *expression.ConditionBuilder
	size      int // rows to a page; 0 is as many as fit
}

// pages reads the rows of a partition page by page, consistently. It ends after the first error.
func (s *Store) pages(ctx context.Context, q query) iter.Seq2[[]item, error] {
	return func(yield func([]item, error) bool) {
		input, err := s.queryInput(q)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			output, err := s.patient.Query(ctx, input)
			if err != nil {
				yield(nil, unavailable(err))
				return
			}
			if !yield(output.Items, nil) || len(output.LastEvaluatedKey) == 0 {
				return
			}
			input.ExclusiveStartKey = output.LastEvaluatedKey
		}
	}
}

func (s *Store) queryInput(q query) (*dynamodb.QueryInput, error) {
	key := expression.Key("pk").Equal(expression.Value(q.partition))
	switch {
	case q.below != "" && q.atLeast != "":
		return nil, errors.New("a query has one bound")
	case q.below != "":
		key = key.And(expression.Key("sk").LessThan(expression.Value(q.below)))
	case q.atLeast != "":
		key = key.And(expression.Key("sk").GreaterThanEqual(expression.Value(q.atLeast)))
	}
	builder := expression.NewBuilder().WithKeyCondition(key)
	if q.filter != nil {
		builder = builder.WithFilter(*q.filter)
	}
	expr, err := builder.Build()
	input := &dynamodb.QueryInput{
		TableName: s.control, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), KeyConditionExpression: expr.KeyCondition(), FilterExpression: expr.Filter(),
		ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
	}
	if q.size > 0 {
		input.Limit = aws.Int32(int32(q.size))
	}
	return input, err
}

// read turns rows into what they hold. It ends after the first error.
func read[T any](pages iter.Seq2[[]item, error], one func(item) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for rows, err := range pages {
			if err != nil {
				yield(none, err)
				return
			}
			for _, row := range rows {
				t, err := one(row)
				if !yield(t, unavailable(err)) || err != nil {
					return
				}
			}
		}
	}
}

// page collects those that keep lets through, until there is one more than the page shows: it tells whether there are further ones.
func page[T any](all iter.Seq2[T, error], keep func(*T) bool, p llmproxy.Page) (shown []T, more bool, err error) {
	for one, err := range all {
		switch {
		case err != nil:
			return nil, false, err
		case !keep(&one):
			continue
		case len(shown) == pageLimit(p):
			return shown, true, nil
		}
		shown = append(shown, one)
	}
	return shown, false, nil
}

// below is the sort key that a page goes on from.
func below(p llmproxy.Page) string {
	if p.After.IsZero() {
		return ""
	}
	return p.After.String()
}
