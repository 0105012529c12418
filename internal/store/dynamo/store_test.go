package dynamo_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

var (
	_ proxy.Store  = (*dynamo.Store)(nil)
	_ manage.Store = (*dynamo.Store)(nil)
)

// startEngine starts DynamoDB Local once, for all tests of the package.
var startEngine = sync.OnceValues(func() (*dynamolocal.Server, error) { return dynamolocal.Start(context.Background()) })

var engineUsed atomic.Bool

func TestMain(m *testing.M) {
	code := m.Run()
	if engineUsed.Load() {
		if engine, err := startEngine(); err == nil {
			if err := engine.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "DynamoDB Local did not end:", err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// engine is DynamoDB Local; a test skips, and says why, where it cannot be had.
func engine(t testing.TB) *dynamolocal.Server {
	t.Helper()
	engineUsed.Store(true)
	s, err := startEngine()
	if err != nil {
		t.Skipf("SKIPPED, the DynamoDB store is not tested here: %v", err)
	}
	return s
}

var tablesMade atomic.Int64

// patient is a configuration for tests of what is counted: hundreds of spends at once make the engine of a busy machine slower than the
// budgets. Tests of the budget take the usual one.
func patient(cfg *dynamo.Config) { cfg.SpendBudget, cfg.ChangeBudget = 2*time.Minute, time.Minute }

// newTables makes new, empty tables and returns what a store of them is configured with.
func newTables(t testing.TB, change ...func(*dynamo.Config)) dynamo.Config {
	t.Helper()
	n := tablesMade.Add(1)
	cfg := dynamo.Config{Tokens: fmt.Sprint("tokens-", n), Control: fmt.Sprint("control-", n)}
	for _, c := range change {
		c(&cfg)
	}
	s := dynamo.New(engine(t).Config(), cfg)
	require.NoError(t, s.CreateTables(context.Background()))
	require.NoError(t, s.Close())
	keepForever(t, cfg)
	return cfg
}

// keepForever switches the engine's own removal off: the clock of the tests stands still, and one day what they make is over.
func keepForever(t testing.TB, cfg dynamo.Config) {
	t.Helper()
	client := dynamodb.NewFromConfig(engine(t).Config())
	for _, name := range []string{cfg.Tokens, cfg.Control} {
		_, err := client.UpdateTimeToLive(context.Background(), &dynamodb.UpdateTimeToLiveInput{
			TableName: &name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(false)},
		})
		require.NoError(t, err)
	}
}

// open opens a store as another process would.
func open(t testing.TB, cfg dynamo.Config, change ...func(*aws.Config)) *dynamo.Store {
	t.Helper()
	awsConfig := engine(t).Config()
	for _, c := range change {
		c(&awsConfig)
	}
	s := dynamo.New(awsConfig, cfg)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// rounds is how often races run: LLM_PROXY_ROUNDS, else a few.
func rounds() int {
	n, err := strconv.Atoi(os.Getenv("LLM_PROXY_ROUNDS"))
	if err != nil {
		return 20
	}
	return n
}

func TestStore(t *testing.T) {
	configs := map[storetest.Store]dynamo.Config{}
	storetest.Run(t, storetest.Engine{
		Open: func(t *testing.T) storetest.Store {
			cfg := newTables(t, patient)
			s := open(t, cfg)
			configs[s] = cfg
			return s
		},
		Again:  func(t *testing.T, s storetest.Store) storetest.Store { return open(t, configs[s]) },
		Rounds: rounds(),
	})
}
