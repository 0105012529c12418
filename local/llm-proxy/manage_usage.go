package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/manage/client"
)

// ledgerFlags narrow what is read from the ledger.
type ledgerFlags struct{ project, token, model, from, to string }

func (l *ledgerFlags) add(f *manageFlags, cmd *cobra.Command) {
	f.addProjectFlag(cmd, &l.project, "only those of a project, by name or id (by id if it was deleted)")
	flags := cmd.Flags()
	flags.StringVar(&l.token, "token", "", "only those of a token, by id or secret; - reads it from standard input")
	flags.StringVar(&l.model, "model", "", "only those of a model")
	flags.StringVar(&l.from, "from", "", "from this time on: 2026-11-22T12:00:00Z, 2026-11-22, or ago: 24h, 7d")
	flags.StringVar(&l.to, "to", "", "before this time, in the same forms")
}

// ledgerParams are what the flags name; nil is not named.
type ledgerParams struct {
	project, token *uuid.UUID
	model          *string
	from, to       *time.Time
}

func (l *ledgerFlags) params(api *manageAPI) (p ledgerParams, err error) {
	if l.project != "" {
		id, err := api.projectUUID(l.project)
		if err != nil {
			return p, err
		}
		p.project = &id
	}
	if l.token != "" {
		ids, err := tokenIDs(api.cmd, []string{l.token})
		if err != nil {
			return p, err
		}
		p.token = &ids[0]
	}
	if l.model != "" {
		p.model = &l.model
	}
	if p.from, err = optionalMoment("from", l.from); err != nil {
		return p, err
	}
	p.to, err = optionalMoment("to", l.to)
	return p, err
}

// optionalMoment is a time that a flag names; nil if it names none.
func optionalMoment(flag, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := moment(flag, text, time.Now(), -1)
	return &at, err
}

// groupNames are what usage can be grouped by, as people say it.
var groupNames = map[string]client.GetUsageParamsGroupBy{"project": "project_id", "token": "token_id", "model": "model"}

// topNames are what the largest groups can be told by, as people say it.
var topNames = map[string]client.GetUsageParamsTopBy{"requests": "requests", "errors": "errors", "input": "input", "output": "output", "total": "total", "cost": "cost_usd"}

func newManageUsageCommand(f *manageFlags) *cobra.Command {
	var l ledgerFlags
	var bucket, topBy string
	var by []string
	var top int64
	cmd := &cobra.Command{
		Use: "usage", Short: "What requests add up to: counts, usage, cost, times",
		Long: `Adds up what the ledger has, in whole hours of UTC: without further words the
last 30 days, with --bucket hour the last 24 hours. What no request tells is
empty, never 0; PRICED says of how many requests the cost is known. Times are
percentiles, off by 3.2 % at most. --json has all of it, costs to the last digit.

With --top only the largest groups of the whole time have rows of their own, the
largest first; all others are one row, so that the rows add up to the total.`,
		Example: `llm-proxy manage usage --group-by project,model
llm-proxy manage usage --group-by token --top 10 --top-by cost
llm-proxy manage usage --project Team-A --bucket day --from 7d
llm-proxy manage usage --token 0198... --json | jq .total.cost_usd`,
		Args: noArgs,
	}
	l.add(f, cmd)
	cmd.Flags().StringVar(&bucket, "bucket", "", "rows for each hour or day")
	cmd.Flags().StringSliceVar(&by, "group-by", nil, "rows for each of project, token, model; joined by commas")
	cmd.Flags().Int64Var(&top, "top", 0, "rows for the largest groups alone, 1 to 100, and one for all others")
	cmd.Flags().StringVar(&topBy, "top-by", "", "what the largest have most of: requests (the default), errors, input, output, total, cost")
	_ = cmd.RegisterFlagCompletionFunc("top", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("top-by", cobra.FixedCompletions([]string{"requests", "errors", "input", "output", "total", "cost"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("bucket", cobra.FixedCompletions([]string{"hour", "day"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("group-by", cobra.FixedCompletions([]string{"project", "token", "model"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		params := &client.GetUsageParams{}
		if len(by) > 0 {
			groups := make([]client.GetUsageParamsGroupBy, len(by))
			for i, name := range by {
				var ok bool
				if groups[i], ok = groupNames[name]; !ok {
					return usageError("--group-by: %q is none of project, token, model", name)
				}
			}
			params.GroupBy = &groups
		}
		if err := setTop(cmd, params, top, topBy); err != nil {
			return err
		}
		if bucket != "" {
			params.Bucket = (*client.GetUsageParamsBucket)(&bucket)
		}
		api, err := f.open(cmd)
		if err != nil {
			return err
		}
		p, err := l.params(api)
		if err != nil {
			return err
		}
		params.ProjectID, params.TokenID, params.Model, params.From, params.To = p.project, p.token, p.model, p.from, p.to
		body, _, err := api.call(func(ctx context.Context) (*http.Response, error) { return api.GetUsage(ctx, params) })
		if err != nil {
			return err
		}
		return api.printUsage(body)
	}
	return cmd
}

// setTop has the largest groups asked for, where flags say so.
func setTop(cmd *cobra.Command, params *client.GetUsageParams, top int64, topBy string) error {
	if cmd.Flags().Changed("top") {
		if top < 1 || top > 100 {
			return usageError("--top: must be from 1 to 100")
		}
		if params.GroupBy == nil {
			return usageError("--top goes with --group-by: the largest of what?")
		}
		params.Top = &top
	}
	if topBy != "" {
		by, ok := topNames[topBy]
		if !ok {
			return usageError("--top-by: %q is none of requests, errors, input, output, total, cost", topBy)
		}
		if params.Top == nil {
			return usageError("--top-by goes with --top: how many?")
		}
		params.TopBy = &by
	}
	return nil
}

func (a *manageAPI) printUsage(body []byte) error {
	out := a.cmd.OutOrStdout()
	if a.json {
		return printRaw(out, body)
	}
	var u client.Usage
	if err := json.Unmarshal(body, &u); err != nil {
		return err
	}
	fmt.Fprintf(a.cmd.ErrOrStderr(), "from %s to %s\n", shownTime(&u.From), shownTime(&u.To))
	var head []string
	if u.Bucket != nil {
		head = append(head, "START")
	}
	for _, by := range u.GroupBy {
		head = append(head, strings.ToUpper(strings.TrimSuffix(string(by), "_id")))
	}
	rows := make([][]string, 0, len(u.Rows)+1)
	for i := range u.Rows {
		rows = append(rows, append(groupCells(&u, &u.Rows[i]), rowCells(&u.Rows[i])...))
	}
	if len(rows) != 1 {
		total := client.UsageRow{
			Requests: u.Total.Requests, Errors: u.Total.Errors, Priced: u.Total.Priced, Usage: u.Total.Usage, CostUsd: u.Total.CostUsd, LatencyMs: u.Total.LatencyMs, FirstByteMs: u.Total.FirstByteMs,
		}
		name := slices.Repeat([]string{""}, len(head))
		if len(name) > 0 {
			name[0] = "total"
		}
		rows = append(rows, append(name, rowCells(&total)...))
	}
	return table(out, append(head, "REQUESTS", "ERRORS", "INPUT", "OUTPUT", "COST USD", "PRICED", "P50 MS", "P95 MS", "FIRST P50", "FIRST P95"), rows)
}

// groupCells are those that say which group a row is of.
func groupCells(u *client.Usage, r *client.UsageRow) []string {
	var cells []string
	if u.Bucket != nil {
		cells = append(cells, shownTime(r.Start))
	}
	if r.Others != nil && *r.Others {
		for range u.GroupBy {
			cells = append(cells, "others")
		}
		return cells
	}
	for _, by := range u.GroupBy {
		switch by {
		case "project_id":
			cells = append(cells, shownID(r.ProjectID))
		case "token_id":
			cells = append(cells, shownID(r.TokenID))
		case "model":
			cells = append(cells, shownText(r.Model))
		}
	}
	return cells
}

func rowCells(r *client.UsageRow) []string {
	cells := []string{shownNumber(&r.Requests), shownNumber(&r.Errors), shownNumber(r.Usage.Input), shownNumber(r.Usage.Output), shownCost(r.CostUsd), shownNumber(&r.Priced)}
	for _, times := range []*client.Times{r.LatencyMs, r.FirstByteMs} {
		if times == nil {
			cells = append(cells, "-", "-")
		} else {
			cells = append(cells, shownNumber(&times.P50), shownNumber(&times.P95))
		}
	}
	return cells
}

// What is not known is shown as a dash: an empty cell would be taken for another column's.

func shownNumber(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

func shownCost(usd *float64) string {
	if usd == nil {
		return "-"
	}
	return strconv.FormatFloat(*usd, 'f', 6, 64)
}

func shownID(id *uuid.UUID) string {
	if id == nil {
		return "-"
	}
	return id.String()
}

func shownText(text *string) string {
	if text == nil {
		return "-"
	}
	return *text
}
