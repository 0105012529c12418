package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// inTime is what a spend may take on a busy machine: its budget and what the machine adds. Faults that last are made to last longer.
const inTime = 10 * time.Second

// network is the way to the engine, which can be disturbed.
type network struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	n := &network{t, toxiproxy.NewProxy(server, "dynamodb", "127.0.0.1:0", strings.TrimPrefix(engine(t).URL, "http://"))}
	require.NoError(t, n.proxy.Start())
	t.Cleanup(n.proxy.Stop)
	return n
}

// route leads a client over this network.
func (n *network) route(cfg *aws.Config) { cfg.BaseEndpoint = aws.String("http://" + n.proxy.Listen) }

// disturb adds a toxic to what the engine answers and returns what takes it away.
func (n *network) disturb(kind, attributes string, share float64) (mend func()) {
	n.t.Helper()
	_, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":%q,"type":%[1]q,"stream":"downstream","toxicity":%g,"attributes":{%s}}`, kind, share, attributes)))
	require.NoError(n.t, err)
	return func() { require.NoError(n.t, n.proxy.Toxics.RemoveToxic(context.Background(), kind)) }
}

// onUpdates fails or disturbs the updates of spends.
func onUpdates(f func(call func() (any, error)) (any, error)) func(*aws.Config) {
	return intercept(func(input any, call func() (any, error)) (any, error) {
		if _, ok := input.(*dynamodb.UpdateItemInput); ok {
			return f(call)
		}
		return call()
	})
}

// requireUnavailable checks what the proxy turns into 503, and never into 401: a client that reads 401 throws its token away.
func requireUnavailable(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
	for _, wrong := range []error{llmproxy.ErrNotFound, llmproxy.ErrRevoked, llmproxy.ErrExpired, llmproxy.ErrExhausted} {
		require.NotErrorIs(t, err, wrong)
	}
}

// requireRecovery waits until spends are taken again, in the same process.
func requireRecovery(t *testing.T, s *dynamo.Store, id llmproxy.TokenID, hash llmproxy.TokenHash) {
	t.Helper()
	require.Eventually(t, func() bool { return spend(s, id, hash) == nil }, time.Minute, 10*time.Millisecond, "recovers by itself")
}

func TestAnEngineThatFailsIsAskedTwice(t *testing.T) {
	var lost net.Error = &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	for name, c := range map[string]struct {
		fault error
		fails int64 // how often; the tries after that go through
		tries int64
		ok    bool
	}{
		"throttled once":               {&types.ProvisionedThroughputExceededException{}, 1, 2, true},
		"throttled":                    {&types.ProvisionedThroughputExceededException{}, 9, 2, false},
		"throttled by the account":     {&types.RequestLimitExceeded{}, 9, 2, false},
		"a connection breaks once":     {lost, 1, 2, true},
		"connections break":            {lost, 9, 2, false},
		"a transaction holds the row":  {&types.TransactionConflictException{}, 3, 4, true},
		"the table is not there":       {&types.ResourceNotFoundException{}, 9, 1, false},
		"the role does not allow it":   {&smithy.GenericAPIError{Code: "AccessDeniedException"}, 9, 1, false},
		"the request is not signed so": {&smithy.GenericAPIError{Code: "UnrecognizedClientException"}, 9, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newTables(t, patient)
			var tries atomic.Int64
			s := open(t, cfg, onUpdates(func(call func() (any, error)) (any, error) {
				if tries.Add(1) <= c.fails {
					return nil, c.fault
				}
				return call()
			}))
			p := storetest.AddProject(t, s)
			id, hash := storetest.AddToken(t, s, p.ID)
			err := spend(s, id, hash)
			require.Equal(t, c.tries, tries.Load(), "tries")
			token, tokenErr := s.Token(context.Background(), id)
			require.NoError(t, tokenErr)
			if c.ok {
				require.NoError(t, err)
				require.Equal(t, int64(1), token.RequestCount, "counted once")
				return
			}
			requireUnavailable(t, err)
			require.Zero(t, token.RequestCount)
			tries.Store(c.fails)
			requireRecovery(t, s, id, hash)
		})
	}
}

// TestARowThatTransactionsHoldForeverIsUnavailable: the waits between tries are bounded all together.
func TestARowThatTransactionsHoldForeverIsUnavailable(t *testing.T) {
	cfg := newTables(t, patient)
	var tries atomic.Int64
	s := open(t, cfg, onUpdates(func(func() (any, error)) (any, error) {
		tries.Add(1)
		return nil, &types.TransactionConflictException{}
	}))
	requireUnavailable(t, spend(s, llmproxy.NewTokenID(storetest.Noon), llmproxy.TokenHash{}))
	require.LessOrEqual(t, tries.Load(), int64(6), "waits of 10, 20, 40 and 80 ms at least leave no time for more within 250 ms")
}

func TestAProjectThatCannotBeReadIsUnavailable(t *testing.T) {
	cfg := newTables(t, patient)
	var failing atomic.Bool
	s := open(t, cfg, intercept(func(input any, call func() (any, error)) (any, error) {
		if _, ok := input.(*dynamodb.GetItemInput); ok && failing.Load() {
			return nil, &types.ProvisionedThroughputExceededException{}
		}
		return call()
	}))
	p := storetest.AddProject(t, s)
	id, hash := storetest.AddToken(t, s, p.ID)
	for range 2 { // the first time after the update, then beside it
		failing.Store(true)
		token, _, err := s.Spend(context.Background(), id, hash, storetest.Noon)
		requireUnavailable(t, err)
		require.Equal(t, id, token.ID, "the token is known")
		failing.Store(false)
		requireRecovery(t, s, id, hash)
	}
}

func TestAnEngineThatRefusesConnectionsIsUnavailable(t *testing.T) {
	cfg := newTables(t)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	id, hash := storetest.AddToken(t, setup, p.ID)
	n := newNetwork(t)
	s := open(t, cfg, n.route)
	requireRecovery(t, s, id, hash)
	require.NoError(t, s.Ping(context.Background()))
	n.proxy.Stop()
	for range 3 {
		began := time.Now()
		requireUnavailable(t, spend(s, id, hash))
		require.Less(t, time.Since(began), inTime)
	}
	require.ErrorIs(t, s.Ping(context.Background()), llmproxy.ErrUnavailable)
	require.NoError(t, n.proxy.Start())
	requireRecovery(t, s, id, hash)
}

func TestANameThatDoesNotResolveIsUnavailable(t *testing.T) {
	s := open(t, newTables(t), func(cfg *aws.Config) { cfg.BaseEndpoint = aws.String("http://dynamodb.invalid:8000") })
	began := time.Now()
	requireUnavailable(t, spend(s, llmproxy.NewTokenID(storetest.Noon), llmproxy.TokenHash{}))
	require.Less(t, time.Since(began), inTime)
}

func TestAnEngineThatSpeaksNoTLSIsUnavailable(t *testing.T) {
	s := open(t, newTables(t), func(cfg *aws.Config) {
		cfg.BaseEndpoint = aws.String(strings.Replace(*cfg.BaseEndpoint, "http:", "https:", 1))
	})
	began := time.Now()
	requireUnavailable(t, spend(s, llmproxy.NewTokenID(storetest.Noon), llmproxy.TokenHash{}))
	require.Less(t, time.Since(began), inTime)
}

// TestASlowEngineIsCutAtTheBudget: answers come 20 s late, spends end within their budget and leave nothing running.
func TestASlowEngineIsCutAtTheBudget(t *testing.T) {
	cfg := newTables(t)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	id, hash := storetest.AddToken(t, setup, p.ID)
	n := newNetwork(t)
	s := open(t, cfg, n.route)
	requireRecovery(t, s, id, hash)
	mend := n.disturb("latency", `"latency":20000`, 1)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			began := time.Now()
			err := spend(s, id, hash)
			if took := time.Since(began); took > inTime {
				t.Errorf("a spend took %s", took)
			}
			if !errors.Is(err, llmproxy.ErrUnavailable) {
				t.Errorf("a spend ended with %v", err)
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return !strings.Contains(stacks(), "dynamo.(*Store)") }, time.Minute, 20*time.Millisecond, "no spend goes on behind the caller's back")
	mend()
	requireRecovery(t, s, id, hash)
}

// stacks are those of all goroutines.
func stacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// TestACallerWhoLeavesDoesNotCutItsSpend: what was sent may have counted, so it is seen through, and the connection lives.
func TestACallerWhoLeavesDoesNotCutItsSpend(t *testing.T) {
	s := open(t, newTables(t, patient))
	p := storetest.AddProject(t, s)
	id, hash := storetest.AddToken(t, s, p.ID)
	gone, leave := context.WithCancel(context.Background())
	leave()
	token, _, err := s.Spend(gone, id, hash, storetest.Noon)
	require.NoError(t, err)
	require.Equal(t, int64(1), token.RequestCount)
}

// history is what clients and the network saw of a token's spends.
type history struct {
	admitted, refused, failed atomic.Int64 // by spend
	unknown                   atomic.Int64 // tries whose answer was not seen, and spends that were counted before they failed
}

// watch counts the tries whose outcome nobody knows.
func (h *history) watch(cfg *aws.Config) {
	onUpdates(func(call func() (any, error)) (any, error) {
		result, err := call()
		var answer smithy.APIError
		if err != nil && !errors.As(err, &answer) {
			h.unknown.Add(1)
		}
		return result, err
	})(cfg)
}

// run makes n spends at once and notes their outcomes.
func (h *history) run(t *testing.T, n int, stores []*dynamo.Store, id llmproxy.TokenID, hash llmproxy.TokenHash) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			token, _, err := stores[i%len(stores)].Spend(context.Background(), id, hash, storetest.Noon)
			if errors.Is(err, llmproxy.ErrUnavailable) && !token.ID.IsZero() { // only its project could not be read
				h.unknown.Add(1)
			}
			h.note(t, err, nil)
		})
	}
	wg.Wait()
}

// note counts an outcome. A secret that is not known counts as a stranger's where one is expected.
func (h *history) note(t *testing.T, err error, strangers *atomic.Int64) {
	var full *llmproxy.RateLimitError
	switch {
	case err == nil:
		h.admitted.Add(1)
	case errors.Is(err, llmproxy.ErrExhausted), errors.As(err, &full):
		h.refused.Add(1)
	case errors.Is(err, llmproxy.ErrUnavailable):
		h.failed.Add(1)
	case errors.Is(err, llmproxy.ErrNotFound) && strangers != nil:
		strangers.Add(1)
	default:
		t.Errorf("a spend ended with %v", err)
	}
}

// check holds what was seen against what is stored: nobody was let in beyond the cap, each who was let in has been counted, and what
// was counted beyond them are tries whose answer was lost.
func (h *history) check(t *testing.T, s *dynamo.Store, id llmproxy.TokenID, most int64) {
	t.Helper()
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	admitted, unknown := h.admitted.Load(), h.unknown.Load()
	t.Logf("admitted %d, refused %d, failed %d, unknown %d, stored %d of %d", admitted, h.refused.Load(), h.failed.Load(), unknown, token.RequestCount, most)
	require.LessOrEqual(t, admitted, most, "admitted beyond the cap")
	require.LessOrEqual(t, admitted, token.RequestCount, "admitted but not counted")
	require.LessOrEqual(t, token.RequestCount, admitted+unknown, "counted more than can have been")
	require.LessOrEqual(t, token.RequestCount, most, "counted beyond the cap")
}

func TestAnswersThatAreLostNeverAdmitTooMany(t *testing.T) {
	t.Run("dropped in the client", func(t *testing.T) {
		var h history
		lossy := func(cfg *aws.Config) {
			onUpdates(func(call func() (any, error)) (any, error) {
				result, err := call()
				if rand.N(3) == 0 { // a third of the answers
					return nil, io.ErrUnexpectedEOF
				}
				return result, err
			})(cfg)
		}
		testLostAnswers(t, &h, func() {}, lossy)
	})
	t.Run("cut on the wire", func(t *testing.T) {
		var h history
		n := newNetwork(t)
		mend := n.disturb("timeout", `"timeout":1`, 0.3) // of the connections: the request goes through, then it is cut
		testLostAnswers(t, &h, mend, n.route)
	})
}

func testLostAnswers(t *testing.T, h *history, mend func(), disturb func(*aws.Config)) {
	const most = 50
	cfg := newTables(t, patient)
	setup := open(t, cfg)
	p := storetest.AddProject(t, setup)
	id, hash := storetest.AddToken(t, setup, p.ID, func(g *llmproxy.Gate) { g.MaxRequests = most })
	stores := []*dynamo.Store{open(t, cfg, h.watch, disturb), open(t, cfg, h.watch, disturb)}
	h.run(t, 40, stores, id, hash)
	h.check(t, setup, id, most)
	h.run(t, 60, stores, id, hash)
	h.check(t, setup, id, most)
	require.NotZero(t, h.unknown.Load(), "the test has lost answers")
	mend()
	h.run(t, most, []*dynamo.Store{setup}, id, hash)
	h.check(t, setup, id, most)
	require.ErrorIs(t, spend(setup, id, hash), llmproxy.ErrExhausted, "what was lost is not given back")
}
