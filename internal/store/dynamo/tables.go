package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Table is what the template, the tests and this package agree on. All keys are strings.
type Table struct {
	PartitionKey string
	SortKey      string // empty if there is none
	TTL          string // the attribute that says when a row may go, in seconds since the Unix epoch
}

// The two tables.
var (
	// TokensTable has one row per token, which its spends change.
	TokensTable = Table{PartitionKey: "pk", TTL: "ttl"}
	// ControlTable has all that changes rarely: projects, listings, audit.
	ControlTable = Table{PartitionKey: "pk", SortKey: "sk", TTL: "ttl"}
)

// Actions are what a role has to be allowed on each table.
type Actions struct{ Tokens, Control []string }

// What the roles need, and nothing else: of the parts of a transaction each counts as an action of its own.
var (
	// SpendActions are those of Spend and Ping: the proxy's.
	SpendActions = Actions{Tokens: []string{"UpdateItem"}, Control: []string{"GetItem"}}
	// ManageActions are those of everything else but CreateTables.
	ManageActions = Actions{
		Tokens:  []string{"BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "UpdateItem"},
		Control: []string{"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query"},
	}
)

// tablePatience is how long a new table may take to be ready.
const tablePatience = time.Minute

// CreateTables makes the tables where they are not there yet, for development and tests; on AWS the stack's template makes them.
func (s *Store) CreateTables(ctx context.Context) error {
	for name, table := range map[*string]Table{s.tokens: TokensTable, s.control: ControlTable} {
		if err := s.createTable(ctx, name, table); err != nil {
			return fmt.Errorf("create table %s: %w", *name, err)
		}
	}
	return nil
}

func (s *Store) createTable(ctx context.Context, name *string, table Table) error {
	input := &dynamodb.CreateTableInput{TableName: name, BillingMode: types.BillingModePayPerRequest}
	addKey := func(name string, kind types.KeyType) {
		input.AttributeDefinitions = append(input.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS})
		input.KeySchema = append(input.KeySchema, types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kind})
	}
	addKey(table.PartitionKey, types.KeyTypeHash)
	if table.SortKey != "" {
		addKey(table.SortKey, types.KeyTypeRange)
	}
	var there *types.ResourceInUseException
	if _, err := s.patient.CreateTable(ctx, input); errors.As(err, &there) {
		return nil
	} else if err != nil {
		return err
	}
	if err := dynamodb.NewTableExistsWaiter(s.patient, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second
	}).Wait(ctx, &dynamodb.DescribeTableInput{TableName: name}, tablePatience); err != nil {
		return err
	}
	_, err := s.patient.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(table.TTL), Enabled: aws.Bool(true)},
	})
	return err
}
