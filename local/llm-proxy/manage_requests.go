package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/manage/client"
)

func newManageRequestsCommand(f *manageFlags) *cobra.Command {
	return group("requests", "What became of requests, without their bodies", newRequestsList(f), newRequestsGet(f), newRequestsExport(f))
}

// requestFlags narrow the requests.
type requestFlags struct {
	ledgerFlags
	status, outcome string
}

func (r *requestFlags) add(f *manageFlags, cmd *cobra.Command) {
	r.ledgerFlags.add(f, cmd)
	flags := cmd.Flags()
	flags.StringVar(&r.status, "status", "", "as the caller got it: 429, or 5xx for a class")
	flags.StringVar(&r.outcome, "outcome", "", "complete, cut, client_gone, deadline, refused, upstream_error or lost")
	outcomes := []string{"complete", "cut", "client_gone", "deadline", "refused", "upstream_error", "lost"}
	_ = cmd.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(outcomes, cobra.ShellCompDirectiveNoFileComp))
}

// params are the filters that the flags name.
func (r *requestFlags) params(api *manageAPI) (*client.ListRequestsParams, error) {
	p, err := r.ledgerFlags.params(api)
	if err != nil {
		return nil, err
	}
	params := &client.ListRequestsParams{ProjectID: p.project, TokenID: p.token, Model: p.model, From: p.from, To: p.to}
	if r.status != "" {
		params.Status = &r.status
	}
	if r.outcome != "" {
		params.Outcome = (*client.ListRequestsParamsOutcome)(&r.outcome)
	}
	return params, nil
}

func newRequestsList(f *manageFlags) *cobra.Command {
	var r requestFlags
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List requests of the last 30 days, newest first", Args: noArgs,
		Example: "llm-proxy manage requests list --project Team-A --status 5xx --from 24h",
	}
	r.add(f, cmd)
	cmd.Flags().IntVar(&limit, "limit", maxPage, "how many at most; 0 lists all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := f.open(cmd)
		if err != nil {
			return err
		}
		params, err := r.params(api)
		if err != nil {
			return err
		}
		items, more, err := api.listing(limit, func(ctx context.Context, limit int64, cursor *string) (*http.Response, error) {
			params.Limit, params.Cursor = &limit, cursor
			return api.ListRequests(ctx, params)
		})
		if err != nil {
			return err
		}
		return printListing(api, items, more, []string{"TIME", "ID", "STATUS", "OUTCOME", "MODEL", "MS", "INPUT", "OUTPUT", "COST USD", "PATH"}, func(r *client.Request) []string {
			usage := usageOf(r)
			return []string{
				r.Time.Local().Format(time.DateTime), r.ID.String(), shownNumber(r.Status), string(r.Outcome), shownText(r.Model), shownNumber(r.Timing.TotalMs),
				shownNumber(usage.Input), shownNumber(usage.Output), shownCost(usage.CostUsd), r.Path,
			}
		})
	}
	return cmd
}

func newRequestsExport(f *manageFlags) *cobra.Command {
	var r requestFlags
	x := exportFlags{csv: manage.NewRequestsCSV}
	cmd := &cobra.Command{
		Use: "export", Short: "Write all requests of the last 30 days as JSON lines or CSV", Args: noArgs,
		Long:    "Writes all requests that the filters leave, newest first, without their bodies.\n" + exportHelp,
		Example: "llm-proxy manage requests export --format csv --project Team-A --from 7d -o requests.csv",
	}
	r.add(f, cmd)
	x.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := x.check(); err != nil {
			return err
		}
		api, err := f.open(cmd)
		if err != nil {
			return err
		}
		params, err := r.params(api)
		if err != nil {
			return err
		}
		return api.export(&x, span{params.From, params.To}, func(ctx context.Context, limit int64, cursor *string) (*http.Response, error) {
			params.Limit, params.Cursor = &limit, cursor
			return api.ListRequests(ctx, params)
		})
	}
	return cmd
}

// usageOf is a request's usage; nothing in it if that is not known.
func usageOf(r *client.Request) client.RequestUsage {
	if r.Usage == nil {
		return client.RequestUsage{}
	}
	return *r.Usage
}

func newRequestsGet(f *manageFlags) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show a request", Args: oneArg("ID"), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "Shows a request. ID is what the header X-Llm-Proxy-Request-Id of its answer says.",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := uuid.Parse(args[0])
			if err != nil {
				return usageError("%q is no id of a request", args[0])
			}
			api, err := f.open(cmd)
			if err != nil {
				return err
			}
			body, _, err := api.call(func(ctx context.Context) (*http.Response, error) { return api.GetRequest(ctx, id.String()) })
			if err != nil {
				return err
			}
			if api.json {
				return printRaw(cmd.OutOrStdout(), body)
			}
			var r client.Request
			if err := json.Unmarshal(body, &r); err != nil {
				return err
			}
			return sheet(cmd.OutOrStdout(), requestSheet(&r))
		},
	}
}

func requestSheet(r *client.Request) [][2]string {
	usage := usageOf(r)
	field := func(name, value string) [2]string {
		if value == "-" {
			value = "" // a sheet leaves out what is not known
		}
		return [2]string{name, value}
	}
	sheet := [][2]string{
		{"id", r.ID.String()},
		{"time", r.Time.Local().Format("2006-01-02 15:04:05.000")},
		field("project", shownID(r.ProjectID)), field("token", shownID(r.TokenID)),
		{"request", r.Method + " " + r.Path},
		field("provider", shownText(r.Provider)), field("model", shownText(r.Model)), field("status", shownNumber(r.Status)),
		{"outcome", string(r.Outcome)},
		field("code", shownText(r.Code)),
		{"stream", shownBool(r.Stream)},
		{"sent", strconv.FormatInt(r.Request.Bytes, 10) + " bytes"},
		{"got", strconv.FormatInt(r.Response.Bytes, 10) + " bytes"},
	}
	for _, t := range []struct {
		name string
		ms   *int64
	}{{"total", r.Timing.TotalMs}, {"first byte", r.Timing.FirstByteMs}, {"upstream", r.Timing.UpstreamMs}, {"auth", r.Timing.AuthMs}} {
		if t.ms != nil {
			sheet = append(sheet, [2]string{t.name, strconv.FormatInt(*t.ms, 10) + " ms"})
		}
	}
	return append(sheet,
		field("input", shownNumber(usage.Input)), field("output", shownNumber(usage.Output)), field("cached", shownNumber(usage.Cached)),
		field("reasoning", shownNumber(usage.Reasoning)), [2]string{"usage from", string(usage.Source)}, field("cost USD", shownCost(usage.CostUsd)))
}
