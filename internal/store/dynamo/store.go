package dynamo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Config says which tables the store uses and how long it tries.
type Config struct {
	Tokens  string // name of the table laid out as TokensTable
	Control string // name of the table laid out as ControlTable
	// SpendBudget is how long a spend may take in all. 0 is 800 ms.
	SpendBudget time.Duration
	// ChangeBudget is how long a change may take in all, where others come between. 0 is 5 s.
	ChangeBudget time.Duration
	Log          *zap.Logger // nil logs nothing
}

// Store keeps tokens, projects and audit entries. It is safe for concurrent use.
type Store struct {
	tokens, control *string
	log             *zap.Logger
	connections     *http.Transport
	spends          *dynamodb.Client // tries once: Spend itself decides what is tried again
	patient         *dynamodb.Client // management
	patience        patience
	changeBudget    time.Duration
	owners          owners
	days            days
	audited         chan struct{} // see AuditStored
	cleaning        chan struct{} // holds one for each clean-up under way
	background      sync.WaitGroup
}

// How the connections to DynamoDB are kept.
const (
	// A spend needs one for its update and one for its read; this many stay open for the next ones.
	idleConnections = 128
	// A function that slept, or a server that was idle, finds its connections cut by then without having been told. An idle
	// connection is dropped before that; the transport compares wall clocks, so this holds for a frozen process too.
	idleTimeout = 20 * time.Second
)

// maxCleaning is how many clean-ups of old windows run at once. Further ones are left to a later spend.
const maxCleaning = 4

// New returns the store over two tables that are there. It does no I/O.
func New(awsConfig aws.Config, cfg Config) *Store {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.SpendBudget == 0 {
		cfg.SpendBudget = spendBudget
	}
	if cfg.ChangeBudget == 0 {
		cfg.ChangeBudget = changeBudget
	}
	try := cfg.SpendBudget / 2 // as long as one try of a spend: a host that takes no connection by then is of no use to it
	s := &Store{
		tokens: aws.String(cfg.Tokens), control: aws.String(cfg.Control), log: cfg.Log,
		connections: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: try, KeepAlive: idleTimeout}).DialContext,
			TLSHandshakeTimeout:   try,
			MaxIdleConns:          idleConnections,
			MaxIdleConnsPerHost:   idleConnections,
			IdleConnTimeout:       idleTimeout,
			DisableCompression:    true,
			ResponseHeaderTimeout: cfg.ChangeBudget, // of listings too, which have no budget of their own
		},
		audited:      make(chan struct{}, 1),
		cleaning:     make(chan struct{}, maxCleaning),
		changeBudget: cfg.ChangeBudget,
	}
	s.patience = patience{budget: cfg.SpendBudget, fresh: s.connections.CloseIdleConnections}
	client := awshttp.New(&http.Client{Transport: s.connections, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
	s.spends = dynamodb.NewFromConfig(awsConfig, func(o *dynamodb.Options) { o.HTTPClient, o.Retryer = client, aws.NopRetryer{} })
	s.patient = dynamodb.NewFromConfig(awsConfig, func(o *dynamodb.Options) { o.HTTPClient, o.Retryer = client, manageRetryer() })
	return s
}

// Close ends the store. Clean-ups under way end first; spends and changes have ended before.
func (s *Store) Close() error {
	s.background.Wait()
	s.connections.CloseIdleConnections()
	return nil
}

// Ping asks for a row that is not there, to tell whether the store answers.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience.budget)
	defer cancel()
	_, err := s.spends.GetItem(ctx, &dynamodb.GetItemInput{TableName: s.control, Key: controlKey("PING", "PING"), ConsistentRead: aws.Bool(true)})
	return unavailable(err)
}

// unavailable marks an engine's error as such; nil stays nil.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err)
}
