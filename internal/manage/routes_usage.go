package manage

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

type usageInput struct {
	ProjectID string    `query:"project_id" format:"uuid"`
	TokenID   string    `query:"token_id" format:"uuid" doc:"The token's id, never its secret"`
	Model     string    `query:"model" minLength:"1" maxLength:"200"`
	From      time.Time `query:"from" doc:"From the hour of this moment on; absent is 30 days before to, or a day where the bucket is an hour"`
	To        time.Time `query:"to" doc:"Until the end of the hour before this moment, or of the hour that it is in the middle of; absent is until now"`
	Bucket    string    `query:"bucket" enum:"hour,day" doc:"Rows for each hour or day, in UTC; absent adds up the whole time"`
	GroupBy   []string  `query:"group_by" enum:"project_id,token_id,model" uniqueItems:"true" doc:"Rows for each of these, joined by commas"`
	Top       int       `query:"top" minimum:"1" maximum:"100" doc:"With group_by: only the groups that are largest over the whole time have rows of their own, those that are left are one, with others: true"`
	TopBy     string    `query:"top_by" enum:"requests,errors,input,output,total,cost_usd" doc:"With top: what the largest have most of; absent: requests"`
}

type usageAnswer struct{ Body wireUsage }

type listRequestsInput struct {
	ProjectID string    `query:"project_id" format:"uuid"`
	TokenID   string    `query:"token_id" format:"uuid" doc:"The token's id, never its secret"`
	Model     string    `query:"model" minLength:"1" maxLength:"200"`
	Status    string    `query:"status" pattern:"^[1-5]([0-9][0-9]|xx)$" doc:"429, or 5xx for a class"`
	Outcome   string    `query:"outcome" enum:"complete,cut,client_gone,deadline,refused,upstream_error,lost"`
	From      time.Time `query:"from" doc:"From this moment on"`
	To        time.Time `query:"to" doc:"Before this moment"`
	ExportParams
	PageParams
}

// RequestPath names a request in a path.
type RequestPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]+$" doc:"As X-Llm-Proxy-Request-Id of its answer says"`
}

type requestAnswer struct{ Body wireRequest }

// addUsage adds what is answered from the ledger.
func (h *Handler) addUsage() {
	huma.Register(h.api, h.operation("getUsage", "GET", "/manage/usage", "What requests add up to: counts, usage, cost, times", http.StatusOK, http.StatusNotFound), h.getUsage)
	list := h.operation("listRequests", "GET", "/manage/requests", "Requests of the last 30 days, newest first; never their bodies", http.StatusOK, http.StatusNotFound)
	h.exports(&list, reflect.TypeFor[wireRequest]())
	huma.Register(h.api, list, h.listRequests)
	huma.Register(h.api, h.operation("getRequest", "GET", "/manage/requests/{id}", "One request; never its bodies", http.StatusOK, http.StatusNotFound), h.getRequest)
}

// ledger is what usage and requests are read from.
func (h *Handler) ledger() (Ledger, error) {
	if h.cfg.Ledger == nil {
		return nil, missing("This installation keeps no ledger.", h.cfg.NoLedger)
	}
	return h.cfg.Ledger, nil
}

// maxUsageRows bounds an answer.
const maxUsageRows = 10_000

func (h *Handler) getUsage(ctx context.Context, in *usageInput) (*usageAnswer, error) {
	f, err := in.filter(callOf(ctx), h.service.now())
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	ledger, err := h.ledger()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	rows, err := in.read(ctx, ledger, f)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	if len(rows) > maxUsageRows {
		return nil, h.problem(ctx, FieldErrors{{"bucket", "makes more than 10000 rows: narrow the time, or group by less"}})
	}
	return &usageAnswer{usageOut(&f, in, rows)}, nil
}

// filter is what the parameters ask for, in whole hours.
func (in *usageInput) filter(c *call, now time.Time) (llmproxy.UsageFilter, error) {
	problems := c.once()
	f := llmproxy.UsageFilter{Model: in.Model, From: in.From.UTC().Truncate(time.Hour), To: endOfHour(in.To)}
	f.ProjectID.UUID = problems.id("project_id", in.ProjectID)
	f.TokenID.UUID = problems.id("token_id", in.TokenID)
	span := 30 * 24 * time.Hour
	switch in.Bucket {
	case "hour":
		f.Bucket, span = time.Hour, 24*time.Hour
	case "day":
		f.Bucket = 24 * time.Hour
	}
	if in.To.IsZero() {
		f.To = endOfHour(now.Add(time.Millisecond)) // now is in it
	}
	if in.From.IsZero() {
		f.From = f.To.Add(-span)
	}
	if !f.From.Before(f.To) {
		problems.add("from", "must be before to")
	}
	for _, by := range in.GroupBy {
		f.By = append(f.By, llmproxy.Dimension(by))
	}
	if in.Top > 0 && len(f.By) == 0 {
		problems.add("top", "goes with group_by: the largest of what?")
	}
	if in.TopBy != "" && in.Top == 0 {
		problems.add("top_by", "goes with top: how many?")
	}
	return f, problems.err()
}

// read adds up what is asked for.
func (in *usageInput) read(ctx context.Context, ledger Ledger, f llmproxy.UsageFilter) ([]usageRow, error) {
	if in.Top > 0 {
		return in.readTop(ctx, ledger, f)
	}
	rows, err := ledger.Usage(ctx, f)
	out := make([]usageRow, len(rows))
	for i := range rows {
		out[i] = usageRow{UsageRow: rows[i]}
	}
	return out, err
}

// usageRow is a row of the answer.
type usageRow struct {
	llmproxy.UsageRow
	others bool // all groups that are not among the largest
}

// readTop reads the largest groups, the same ones in each hour or day, from the largest on, and what is left as one. Of a hundred thousand
// groups the largest alone are read, and the others are what they leave of everything.
func (in *usageInput) readTop(ctx context.Context, ledger Ledger, f llmproxy.UsageFilter) ([]usageRow, error) {
	groups, err := ledger.Largest(ctx, f, cmp.Or(llmproxy.Size(in.TopBy), llmproxy.SizeRequests), in.Top)
	if err != nil {
		return nil, err
	}
	var out []usageRow
	for _, group := range groups {
		rows, err := ledger.Usage(ctx, narrowed(f, group))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.UsageGroup == group { // one that is not known narrows nothing
				out = append(out, usageRow{UsageRow: row})
			}
		}
	}
	everything := f
	everything.By = nil
	left, err := ledger.Usage(ctx, everything) // the last to be read: it has all that the others have
	if err != nil {
		return nil, err
	}
	for i := range left {
		for j := range out {
			if out[j].Start.Equal(left[i].Start) {
				left[i].Tally.Take(&out[j].Tally)
			}
		}
	}
	for _, row := range left {
		if row.Tally.Requests > 0 {
			out = append(out, usageRow{UsageRow: row, others: true})
		}
	}
	slices.SortStableFunc(out, func(a, b usageRow) int { return a.Start.Compare(b.Start) })
	return out, nil
}

// narrowed is the filter for one group alone, as far as it is known.
func narrowed(f llmproxy.UsageFilter, to llmproxy.UsageGroup) llmproxy.UsageFilter {
	if !to.ProjectID.IsZero() {
		f.ProjectID = to.ProjectID
	}
	if !to.TokenID.IsZero() {
		f.TokenID = to.TokenID
	}
	if to.Model != "" {
		f.Model = to.Model
	}
	return f
}

// endOfHour is the end of the hour that the moment is in the middle of.
func endOfHour(at time.Time) time.Time {
	hour := at.UTC().Truncate(time.Hour)
	if hour.Equal(at) {
		return hour
	}
	return hour.Add(time.Hour)
}

func (h *Handler) listRequests(ctx context.Context, in *listRequestsInput) (*listAnswer, error) {
	f, err := in.filter()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	ledger, err := h.ledger()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return answerList(ctx, h, listing[llmproxy.Event, wireRequest]{
		name: "requests", params: in.ExportParams, page: in.PageParams, columns: requestColumns, row: requestCells, out: requestOut,
		id:   func(e *llmproxy.Event) llmproxy.UUID { return e.ID.UUID },
		read: func(page llmproxy.Page) ([]llmproxy.Event, bool, error) { return ledger.Requests(ctx, f, page) },
	})
}

func (in *listRequestsInput) filter() (llmproxy.RequestFilter, error) {
	var problems FieldErrors
	f := llmproxy.RequestFilter{Model: in.Model, Outcome: llmproxy.Outcome(in.Outcome), From: in.From, To: in.To}
	f.ProjectID.UUID = problems.id("project_id", in.ProjectID)
	f.TokenID.UUID = problems.id("token_id", in.TokenID)
	if s := in.Status; s != "" {
		f.StatusFrom, f.StatusTo = int(s[0]-'0')*100, int(s[0]-'0'+1)*100
		if s[1] != 'x' {
			f.StatusFrom += int(s[1]-'0')*10 + int(s[2]-'0')
			f.StatusTo = f.StatusFrom + 1
		}
	}
	return f, problems.err()
}

func (h *Handler) getRequest(ctx context.Context, in *RequestPath) (*requestAnswer, error) {
	ledger, err := h.ledger()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	id, err := llmproxy.ParseEventID(in.ID)
	if err != nil {
		return nil, h.problem(ctx, llmproxy.ErrNotFound)
	}
	e, err := ledger.Request(ctx, id)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return &requestAnswer{requestOut(&e)}, nil
}
