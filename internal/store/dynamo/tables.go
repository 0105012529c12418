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
	SortKey      string  // empty if there is none
	TTL          string  // the attribute that says when a row may go, in seconds since the Unix epoch
	Indexes      []Index // global, of all attributes
}

// Index lists those rows of a table that have its key.
type Index struct{ Name, PartitionKey, SortKey string }

// The tables: the first two are a [Store]'s, the third is a [Ledger]'s.
var (
	// TokensTable has one row per token, which its spends change.
	TokensTable = Table{PartitionKey: "pk", TTL: "ttl"}
	// ControlTable has all that changes rarely: projects, listings, audit.
	ControlTable = Table{PartitionKey: "pk", SortKey: "sk", TTL: "ttl"}
	// LedgerTable has what became of requests, and what they add up to.
	LedgerTable = Table{PartitionKey: "pk", SortKey: "sk", TTL: "ttl", Indexes: []Index{
		{Name: projectIndex, PartitionKey: "prj", SortKey: "sk"},
		{Name: tokenIndex, PartitionKey: "tok", SortKey: "sk"},
		{Name: failedIndex, PartitionKey: "bad", SortKey: "sk"},
	}}
)

// The indexes of LedgerTable.
const (
	projectIndex = "Project" // requests of a project
	tokenIndex   = "Token"   // requests of a token
	failedIndex  = "Failed"  // requests of a day that did not end well
)

// Actions are what a role has to be allowed on each table.
type Actions struct{ Tokens, Control []string }

// What the roles need, and nothing else: of the parts of a transaction each counts as an action of its own.
var (
	// SpendActions are those of Spend and Ping: the proxy's.
	SpendActions = Actions{Tokens: []string{"UpdateItem"}, Control: []string{"GetItem"}}
	// SignInActions are those of sessions, of what counts against a sign-in, and of AppendAudit: the admin side's.
	SignInActions = Actions{Control: []string{"DeleteItem", "GetItem", "PutItem"}}
	// SweepActions are those of Sweep and RelayAudit: of whoever tidies up.
	SweepActions = Actions{Tokens: []string{"BatchWriteItem"}, Control: []string{"BatchWriteItem", "Query"}}
	// ManageActions are those of everything else but CreateTables, and of RelayAudit.
	ManageActions = Actions{
		Tokens:  []string{"BatchGetItem", "GetItem", "PutItem", "UpdateItem"},
		Control: []string{"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query"},
	}
)

// What a role needs on the Ledger's table: who records, and who reads, which is on its indexes too.
var (
	RecordActions = []string{"PutItem", "UpdateItem"}
	ReadActions   = []string{"GetItem", "Query"}
)

// tablePatience is how long a new table may take to be ready.
const tablePatience = time.Minute

// CreateTables makes the tables where they are not there yet, for development and tests; on AWS the stack's template makes them.
func (s *Store) CreateTables(ctx context.Context) error {
	for name, table := range map[*string]Table{s.tokens: TokensTable, s.control: ControlTable} {
		if err := createTable(ctx, s.patient, name, table); err != nil {
			return fmt.Errorf("create table %s: %w", *name, err)
		}
	}
	return nil
}

func createTable(ctx context.Context, client *dynamodb.Client, name *string, table Table) error {
	input := &dynamodb.CreateTableInput{TableName: name, BillingMode: types.BillingModePayPerRequest}
	defined := map[string]bool{}
	key := func(partition, sort string) (schema []types.KeySchemaElement) {
		for _, part := range []types.KeySchemaElement{{AttributeName: aws.String(partition), KeyType: types.KeyTypeHash}, {AttributeName: aws.String(sort), KeyType: types.KeyTypeRange}} {
			if *part.AttributeName == "" {
				continue
			}
			schema = append(schema, part)
			if !defined[*part.AttributeName] {
				defined[*part.AttributeName] = true
				input.AttributeDefinitions = append(input.AttributeDefinitions, types.AttributeDefinition{AttributeName: part.AttributeName, AttributeType: types.ScalarAttributeTypeS})
			}
		}
		return schema
	}
	input.KeySchema = key(table.PartitionKey, table.SortKey)
	for _, index := range table.Indexes {
		input.GlobalSecondaryIndexes = append(input.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(index.Name), KeySchema: key(index.PartitionKey, index.SortKey), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		})
	}
	var there *types.ResourceInUseException
	if _, err := client.CreateTable(ctx, input); errors.As(err, &there) {
		return nil
	} else if err != nil {
		return err
	}
	if err := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second
	}).Wait(ctx, &dynamodb.DescribeTableInput{TableName: name}, tablePatience); err != nil {
		return err
	}
	_, err := client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(table.TTL), Enabled: aws.Bool(true)},
	})
	return err
}
