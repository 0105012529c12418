package dynamo

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// ledgerReaders is how many days are read at once.
const ledgerReaders = 8

// Request returns what is known of a request: its event without bodies.
func (l *Ledger) Request(ctx context.Context, id llmproxy.EventID) (llmproxy.Event, error) {
	output, err := l.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: l.table, Key: controlKey(requestsPartition(dayOf(id.Time())), id.String())})
	if err != nil {
		return llmproxy.Event{}, unavailable(err)
	}
	if len(output.Item) == 0 {
		return llmproxy.Event{}, llmproxy.ErrNotFound
	}
	e, err := eventOf(output.Item)
	return e, unavailable(err)
}

// Requests lists requests, newest first. Those of a token or a project come from an index; so do those that failed, day by day, and all
// others come day by day from the table.
func (l *Ledger) Requests(ctx context.Context, f llmproxy.RequestFilter, p llmproxy.Page) ([]llmproxy.Event, bool, error) {
	q := requestQuery{from: llmproxy.UUID{}.String(), below: "~"} // below it are all ids
	if !f.From.IsZero() {
		q.from = llmproxy.FirstID(f.From).String()
	}
	if !f.To.IsZero() {
		q.below = llmproxy.FirstID(f.To).String()
	}
	if !p.After.IsZero() {
		q.below = min(q.below, p.After.String())
	}
	q.filter(&f)
	if len(q.filters) == 0 {
		q.size = pageLimit(p) + 1
	}
	return page(read(l.requests(ctx, &f, q), eventOf), func(*llmproxy.Event) bool { return true }, p)
}

// requestQuery asks for requests of a partition of the table or of an index.
type requestQuery struct {
	index, attribute, partition string // index and attribute are empty for the table itself
	from, below                 string // from <= id < below
	filters                     []expression.ConditionBuilder
	size                        int // rows to a page; 0 is as many as fit
}

// filter takes the best index, and has what it does not narrow by filtered.
func (q *requestQuery) filter(f *llmproxy.RequestFilter) {
	and := func(c expression.ConditionBuilder) { q.filters = append(q.filters, c) }
	switch {
	case !f.TokenID.IsZero():
		q.index, q.attribute, q.partition = tokenIndex, "tok", f.TokenID.String()
		if !f.ProjectID.IsZero() {
			and(expression.Name("prj").Equal(expression.Value(f.ProjectID.String())))
		}
	case !f.ProjectID.IsZero():
		q.index, q.attribute, q.partition = projectIndex, "prj", f.ProjectID.String()
	case f.StatusTo > 0 && f.StatusFrom >= 400, f.Outcome != "" && f.Outcome != llmproxy.Complete:
		q.index, q.attribute = failedIndex, "bad"
	}
	if f.Model != "" {
		and(expression.Name("mdl").Equal(expression.Value(llmproxy.ModelKey(f.Model))))
	}
	if f.StatusTo > 0 {
		and(expression.Name("st").GreaterThanEqual(expression.Value(f.StatusFrom)).And(expression.Name("st").LessThan(expression.Value(f.StatusTo))))
	}
	if f.Outcome != "" {
		and(expression.Name("oc").Equal(expression.Value(string(f.Outcome))))
	}
}

// requests reads the rows of all partitions that can have what is asked for. It ends after the first error.
func (l *Ledger) requests(ctx context.Context, f *llmproxy.RequestFilter, q requestQuery) iter.Seq2[[]item, error] {
	if q.partition != "" {
		return l.requestPages(ctx, q)
	}
	return func(yield func([]item, error) bool) {
		first, last := "0000-01-01", "9999-12-31"
		if id, err := llmproxy.ParseUUID(q.below); err == nil {
			last = dayOf(id.Time())
		}
		if !f.From.IsZero() {
			first = dayOf(f.From)
		}
		for day, err := range l.daysBack(ctx, daysPartition, first, last) {
			if err != nil {
				yield(nil, err)
				return
			}
			if q.partition = day; q.index == "" {
				q.partition = requestsPartition(day)
			}
			for rows, err := range l.requestPages(ctx, q) {
				if !yield(rows, err) || err != nil {
					return
				}
			}
		}
	}
}

// requestPages reads a partition page by page, newest first.
func (l *Ledger) requestPages(ctx context.Context, q requestQuery) iter.Seq2[[]item, error] {
	attribute := q.attribute
	if attribute == "" {
		attribute = LedgerTable.PartitionKey
	}
	key := expression.Key(attribute).Equal(expression.Value(q.partition)).And(expression.Key("sk").Between(expression.Value(q.from), expression.Value(q.below)))
	builder := expression.NewBuilder().WithKeyCondition(key)
	switch len(q.filters) {
	case 0:
	case 1:
		builder = builder.WithFilter(q.filters[0])
	default:
		builder = builder.WithFilter(expression.And(q.filters[0], q.filters[1], q.filters[2:]...))
	}
	return func(yield func([]item, error) bool) {
		for rows, err := range l.pages(ctx, builder, q.index, q.size) {
			rows = slices.DeleteFunc(rows, func(row item) bool { // the bound itself is not asked for
				sort, _ := row["sk"].(*types.AttributeValueMemberS)
				return sort != nil && sort.Value == q.below
			})
			if !yield(rows, err) || err != nil {
				return
			}
		}
	}
}

// pages reads what a query finds page by page, from the largest sort key on. It ends after the first error.
func (l *Ledger) pages(ctx context.Context, builder expression.Builder, index string, size int) iter.Seq2[[]item, error] {
	return func(yield func([]item, error) bool) {
		expr, err := builder.Build()
		if err != nil {
			yield(nil, err)
			return
		}
		input := &dynamodb.QueryInput{
			TableName: l.table, ScanIndexForward: aws.Bool(false), KeyConditionExpression: expr.KeyCondition(), FilterExpression: expr.Filter(),
			ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
		}
		if index != "" {
			input.IndexName = aws.String(index)
		}
		if size > 0 {
			input.Limit = aws.Int32(int32(size))
		}
		for {
			output, err := l.client.Query(ctx, input)
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

// daysBack are the days from first to last that a partition lists, the newest first.
func (l *Ledger) daysBack(ctx context.Context, partition, first, last string) iter.Seq2[string, error] {
	key := expression.Key("pk").Equal(expression.Value(partition)).And(expression.Key("sk").Between(expression.Value(first), expression.Value(last)))
	return read(l.pages(ctx, expression.NewBuilder().WithKeyCondition(key), "", 0), dayNoted)
}

// Usage adds up what the ledger has, in the order of start, project, token and model.
func (l *Ledger) Usage(ctx context.Context, f llmproxy.UsageFilter) ([]llmproxy.UsageRow, error) {
	if !f.From.Before(f.To) {
		return nil, nil
	}
	var mu sync.Mutex
	sums := llmproxy.NewUsageSums(&f)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(ledgerReaders)
	for day, err := range l.daysBack(ctx, hoursPartition, dayOf(f.From), dayOf(f.To.Add(-time.Hour))) {
		if err != nil {
			return nil, errorOf(group.Wait(), err)
		}
		group.Go(func() error {
			for rows, err := range l.sumsOf(ctx, &f, day) {
				if err != nil {
					return err
				}
				mu.Lock()
				err = addSums(sums, &f, day, rows)
				mu.Unlock()
				if err != nil {
					return unavailable(err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return sums.Rows(), nil
}

// Largest returns the groups that have most of a size over the whole time.
func (l *Ledger) Largest(ctx context.Context, f llmproxy.UsageFilter, by llmproxy.Size, most int) ([]llmproxy.UsageGroup, error) {
	f.Bucket = 0
	rows, err := l.Usage(ctx, f)
	if err != nil {
		return nil, err
	}
	return llmproxy.LargestOf(rows, by, most), nil
}

// errorOf is the first of two errors, of which the second is one.
func errorOf(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// sumsOf reads a day's sums that a filter is answered from: those without tokens where nothing is asked of tokens.
func (l *Ledger) sumsOf(ctx context.Context, f *llmproxy.UsageFilter, day string) iter.Seq2[[]item, error] {
	prefix := projectSums
	switch {
	case !f.TokenID.IsZero():
		prefix = tokenSums + f.TokenID.String() + "#"
	case slices.Contains(f.By, llmproxy.ByToken):
		prefix = tokenSums
	case !f.ProjectID.IsZero():
		prefix = projectSums + f.ProjectID.String() + "#"
	}
	key := expression.Key("pk").Equal(expression.Value(sumsPartition(day))).And(expression.Key("sk").BeginsWith(prefix))
	return l.pages(ctx, expression.NewBuilder().WithKeyCondition(key), "", 0)
}

// addSums adds those of a day's rows that a filter lets through.
func addSums(sums *llmproxy.UsageSums, f *llmproxy.UsageFilter, day string, rows []item) error {
	begin, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return err
	}
	from, to := llmproxy.HourOf(f.From), llmproxy.HourOf(f.To)
	for _, row := range rows {
		sort, _ := row["sk"].(*types.AttributeValueMemberS)
		if sort == nil {
			return errSumKey
		}
		key, err := parseSumKey(llmproxy.HourOf(begin), sort.Value)
		if err != nil {
			return err
		}
		if key.hour < from || key.hour >= to || !f.ProjectID.IsZero() && key.ProjectID != f.ProjectID || f.Model != "" && key.Model != llmproxy.ModelKey(f.Model) {
			continue
		}
		if err := addSum(sums.Of(key.hour, key.UsageGroup), row); err != nil {
			return err
		}
	}
	return nil
}
