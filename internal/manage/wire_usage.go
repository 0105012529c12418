package manage

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// decimal is a number that is written to its last digit.
type decimal string

// MarshalJSON implements [json.Marshaler].
func (d decimal) MarshalJSON() ([]byte, error) { return []byte(d), nil }

// UnmarshalJSON implements [json.Unmarshaler].
func (d *decimal) UnmarshalJSON(text []byte) error {
	*d = decimal(text)
	return nil
}

// Schema implements [huma.SchemaProvider].
func (decimal) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Format: "double"}
}

// wireUsage is what requests add up to.
type wireUsage struct {
	From    time.Time      `json:"from" doc:"Beginning of the first hour"`
	To      time.Time      `json:"to" doc:"End of the last hour"`
	Bucket  string         `json:"bucket,omitempty" enum:"hour,day"`
	GroupBy []string       `json:"group_by" nullable:"false" enum:"project_id,token_id,model"`
	Total   Tally          `json:"total" doc:"Of all rows"`
	Rows    []wireUsageRow `json:"rows" nullable:"false" doc:"By start, then project, token and model, or with top from the largest on. What nobody asked in has no row"`
}

// wireUsageRow is what the requests of one group add up to.
type wireUsageRow struct {
	Start     *time.Time `json:"start,omitempty" doc:"Of the hour or day"`
	ProjectID string     `json:"project_id,omitempty" format:"uuid"`
	TokenID   string     `json:"token_id,omitempty" format:"uuid"`
	Model     string     `json:"model,omitempty" doc:"Absent where it is not grouped by, or not known"`
	Others    bool       `json:"others,omitempty" doc:"All groups that are not among the top ones"`
	Tally
}

// Tally is what requests add up to. What no request tells is absent, never 0.
type Tally struct {
	Requests  int64      `json:"requests"`
	Errors    int64      `json:"errors" doc:"Not complete, or a status of 500 or more"`
	Metered   int64      `json:"metered" doc:"Requests whose usage is known; usage is the sum over these"`
	Estimated int64      `json:"estimated" doc:"Those of the metered whose usage was counted here"`
	Priced    int64      `json:"priced" doc:"Requests whose cost is known; cost_usd is the sum over these"`
	Usage     Units      `json:"usage"`
	CostUSD   decimal    `json:"cost_usd,omitempty" doc:"Exact to 12 digits after the point"`
	Latency   *wireTimes `json:"latency_ms,omitempty" doc:"From the request's head to the end of the answer"`
	FirstByte *wireTimes `json:"first_byte_ms,omitempty" doc:"From the request's head to the first byte of the answer's body"`
}

// Units is usage. What is not known is absent.
type Units struct {
	Input      *int64 `json:"input,omitempty" doc:"Prompt units, cached and cache-written ones included"`
	Output     *int64 `json:"output,omitempty" doc:"Completion units, reasoning included"`
	Total      *int64 `json:"total,omitempty"`
	Cached     *int64 `json:"cached,omitempty" doc:"Part of input"`
	CacheWrite *int64 `json:"cache_write,omitempty" doc:"Part of input"`
	Reasoning  *int64 `json:"reasoning,omitempty" doc:"Part of output"`
}

// wireTimes are percentiles in milliseconds, each off by at most 1/32 of itself.
type wireTimes struct {
	Requests int64 `json:"requests" doc:"Those whose time is known"`
	P50      int64 `json:"p50" doc:"Off by at most 1/32 of itself, as the others"`
	P95      int64 `json:"p95"`
	P99      int64 `json:"p99"`
}

func usageOut(f *llmproxy.UsageFilter, in *usageInput, rows []usageRow) wireUsage {
	out := wireUsage{From: f.From, To: f.To, Bucket: in.Bucket, GroupBy: append([]string{}, in.GroupBy...), Rows: make([]wireUsageRow, len(rows))}
	var total llmproxy.Tally
	for i := range rows {
		r := &rows[i]
		total.Add(&r.Tally)
		one := wireUsageRow{ProjectID: idOut(r.ProjectID.UUID), TokenID: idOut(r.TokenID.UUID), Model: r.Model, Others: r.others, Tally: tallyOut(&r.Tally)}
		if f.Bucket > 0 {
			one.Start = &r.Start
		}
		out.Rows[i] = one
	}
	out.Total = tallyOut(&total)
	return out
}

// idOut is an id; empty where there is none.
func idOut(id llmproxy.UUID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func tallyOut(t *llmproxy.Tally) Tally {
	out := Tally{
		Requests: t.Requests, Errors: t.Errors, Metered: t.Metered, Estimated: t.Estimated, Priced: t.Priced,
		Usage: Units{
			Input: unitsOut(t.Input), Output: unitsOut(t.Output), Total: unitsOut(t.Total),
			Cached: unitsOut(t.Cached), CacheWrite: unitsOut(t.CacheWrite), Reasoning: unitsOut(t.Reasoning),
		},
		Latency: timesOut(&t.Latency), FirstByte: timesOut(&t.FirstByte),
	}
	if t.Priced > 0 {
		out.CostUSD = decimal(t.Cost.String())
	}
	return out
}

// unitsOut is a sum; nil where no event tells of it.
func unitsOut(u llmproxy.Units) *int64 {
	if u.Events == 0 {
		return nil
	}
	return &u.Sum
}

func timesOut(h *llmproxy.Histogram) *wireTimes {
	p50, ok := h.Quantile(.5)
	if !ok {
		return nil
	}
	p95, _ := h.Quantile(.95)
	p99, _ := h.Quantile(.99)
	return &wireTimes{Requests: h.Count(), P50: p50, P95: p95, P99: p99}
}
