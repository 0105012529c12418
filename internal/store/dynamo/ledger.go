package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// LedgerConfig says which table the ledger uses and how long it tries.
type LedgerConfig struct {
	Table string // name of the table laid out as LedgerTable
	// Budget is how long a transaction may take in all, where others come between. 0 is 10 s.
	Budget time.Duration
	Log    *zap.Logger // nil logs nothing
}

// Ledger keeps what became of requests and what they add up to. It is safe for concurrent use, in any number of processes.
type Ledger struct {
	table       *string
	client      *dynamodb.Client
	connections *http.Transport
	budget      time.Duration
	log         *zap.Logger
	days        days
}

// ledgerBudget is for many that record the same hour at once.
const ledgerBudget = 10 * time.Second

// ledgerChunk is how many events are recorded in one transaction: each is a row and, at most, two sums it leaves and two it joins.
const ledgerChunk = maxWrites / 5

// NewLedger returns the ledger over a table that is there. It does no I/O.
func NewLedger(awsConfig aws.Config, cfg LedgerConfig) *Ledger {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Budget == 0 {
		cfg.Budget = ledgerBudget
	}
	l := &Ledger{table: aws.String(cfg.Table), budget: cfg.Budget, log: cfg.Log, connections: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: ledgerReaders, IdleConnTimeout: idleTimeout, TLSHandshakeTimeout: cfg.Budget / 2, ResponseHeaderTimeout: cfg.Budget,
		DisableCompression: true,
	}}
	client := awshttp.New(&http.Client{Transport: l.connections, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
	l.client = dynamodb.NewFromConfig(awsConfig, func(o *dynamodb.Options) { o.HTTPClient, o.Retryer = client, manageRetryer() })
	return l
}

// Close ends the ledger.
func (l *Ledger) Close() error {
	l.connections.CloseIdleConnections()
	return nil
}

// CreateTable makes the table where it is not there yet, for development and tests; on AWS the stack's template makes it.
func (l *Ledger) CreateTable(ctx context.Context) error {
	return createTable(ctx, l.client, l.table, LedgerTable)
}

// Record stores events, each with its part of the sums of its hour in one step. An event that is there is passed over, unless it is
// there as lost and comes as what it really was. After an error any number of the events may be stored.
func (l *Ledger) Record(ctx context.Context, events []*llmproxy.Event) error {
	var some []*entry
	for _, e := range once(events) {
		if err := l.noteDay(ctx, e.ID.Time()); err != nil {
			return err
		}
		if some = append(some, &entry{event: e}); len(some) == ledgerChunk {
			if err := l.record(ctx, some); err != nil {
				return err
			}
			some = nil
		}
	}
	return l.record(ctx, some)
}

// once are the events without those that come twice: a transaction names a row once. What really was counts, not what was lost.
func once(events []*llmproxy.Event) (all []*llmproxy.Event) {
	at := map[llmproxy.EventID]int{}
	for _, e := range events {
		i, there := at[e.ID]
		switch {
		case !there:
			at[e.ID] = len(all)
			all = append(all, e)
		case all[i].Outcome == llmproxy.Lost:
			all[i] = e
		}
	}
	return all
}

// entry is an event on its way into the ledger.
type entry struct {
	event *llmproxy.Event
	lost  *llmproxy.Event // what is there of it, and gives way
	done  bool            // it is there
}

// noteDay makes sure that listings will look into a day.
func (l *Ledger) noteDay(ctx context.Context, at time.Time) error {
	day := dayOf(at)
	if l.days.has(day) {
		return nil
	}
	for partition, keeps := range map[string]time.Duration{daysPartition: llmproxy.LedgerKeeps, hoursPartition: llmproxy.LedgerKeepsHours} {
		row, err := attributevalue.MarshalMap(dayRow{Partition: partition, Day: day, TTL: at.Add(keeps + 48*time.Hour).Unix()})
		if err != nil {
			return err
		}
		if _, err := l.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: l.table, Item: row}); err != nil {
			return unavailable(err)
		}
	}
	l.days.add(day)
	return nil
}

// record stores what is not there yet of at most ledgerChunk events, in one transaction. What it meets there tells what to leave out, or
// to replace, at the next try.
func (l *Ledger) record(ctx context.Context, entries []*entry) error {
	ctx, cancel := context.WithTimeout(ctx, l.budget)
	defer cancel()
	for n := 0; ; {
		var missing []*entry
		for _, e := range entries {
			if !e.done {
				missing = append(missing, e)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		writes, err := l.writes(missing)
		if err != nil {
			return err
		}
		_, err = l.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
		var cancelled *types.TransactionCanceledException
		if !errors.As(err, &cancelled) {
			return unavailable(err)
		}
		learned, mayPass, lookErr := look(missing, cancelled)
		switch {
		case lookErr != nil:
			return unavailable(lookErr)
		case learned:
			continue
		case !mayPass:
			return unavailable(err)
		}
		if !sleep(ctx, jittered(min(firstWait<<min(n, 10), longestWait))) {
			return unavailable(err)
		}
		n++
	}
}

// look reads from a cancelled transaction what is there of the entries. It reports whether it learned anything, or else whether another
// try may pass.
func look(entries []*entry, cancelled *types.TransactionCanceledException) (learned, mayPass bool, err error) {
	mayPass = true
	for i, why := range cancelled.CancellationReasons {
		switch reasonCode(why) {
		case "None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
		case "ConditionalCheckFailed": // only rows of events, which come first, have one
			if i >= len(entries) {
				return false, false, errors.New("a sum was refused, which has no condition")
			}
			learned = true
			if err := entries[i].meet(why.Item); err != nil {
				return false, false, err
			}
		default:
			mayPass = false
		}
	}
	return learned, mayPass, nil
}

// meet learns what is there under the event's id.
func (e *entry) meet(row item) error {
	if e.lost = nil; len(row) == 0 {
		return nil // what was to give way has gone
	}
	there, err := eventOf(row)
	switch {
	case err != nil:
		return fmt.Errorf("the ledger's row of %s: %w", e.event.ID, err)
	case there.Outcome == llmproxy.Lost && e.event.Outcome != llmproxy.Lost:
		e.lost = &there
	default:
		e.done = true
	}
	return nil
}

// writes are a transaction's: first the rows of the events, then what they add to sums.
func (l *Ledger) writes(entries []*entry) ([]types.TransactWriteItem, error) {
	var writes []types.TransactWriteItem
	sums := map[sumKey]*llmproxy.Tally{}
	of := func(e *llmproxy.Event, add func(*llmproxy.Tally, *llmproxy.Tally)) {
		tally := llmproxy.TallyOf(e)
		for _, key := range sumKeysOf(e) {
			if sums[key] == nil {
				sums[key] = &llmproxy.Tally{}
			}
			add(sums[key], &tally)
		}
	}
	for _, e := range entries {
		put, err := l.put(e)
		if err != nil {
			return nil, err
		}
		writes = append(writes, types.TransactWriteItem{Put: put})
		of(e.event, (*llmproxy.Tally).Add)
		if e.lost != nil {
			of(e.lost, (*llmproxy.Tally).Take)
		}
	}
	for key, sum := range sums {
		update, err := l.update(key, sum)
		if err != nil {
			return nil, err
		}
		writes = append(writes, types.TransactWriteItem{Update: update})
	}
	return writes, nil
}

// put stores an event where there is none, or where what is lost gives way to it.
func (l *Ledger) put(e *entry) (*types.Put, error) {
	condition := expression.AttributeNotExists(expression.Name("pk"))
	if e.lost != nil {
		condition = expression.Name("oc").Equal(expression.Value(string(llmproxy.Lost)))
	}
	expr, err := expression.NewBuilder().WithCondition(condition).Build()
	if err != nil {
		return nil, err
	}
	row, err := attributevalue.MarshalMap(requestRowOf(e.event))
	return &types.Put{
		TableName: l.table, Item: row, ConditionExpression: expr.Condition(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, err
}

// update adds to a sum.
func (l *Ledger) update(key sumKey, sum *llmproxy.Tally) (*types.Update, error) {
	update := expression.Set(expression.Name("ttl"), expression.Value(key.ttl()))
	add := func(name string, n int64) {
		if n != 0 {
			update = update.Add(expression.Name(name), expression.Value(n))
		}
	}
	for i, n := range sum.Counters() {
		add(counterNames[i], *n)
	}
	for bucket, n := range sum.Latency.All() {
		add(latencyPrefix+strconv.Itoa(bucket), n)
	}
	for bucket, n := range sum.FirstByte.All() {
		add(firstBytePrefix+strconv.Itoa(bucket), n)
	}
	expr, err := expression.NewBuilder().WithUpdate(update).Build()
	return &types.Update{
		TableName: l.table, Key: controlKey(sumsPartition(key.day()), key.sort()), UpdateExpression: expr.Update(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
	}, err
}

// eventOf reads a request's row.
func eventOf(row item) (e llmproxy.Event, err error) {
	var r requestRow
	if err := attributevalue.UnmarshalMap(row, &r); err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(r.Record), &e)
}
