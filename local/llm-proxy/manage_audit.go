package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/manage/client"
)

func newManageAuditCommand(f *manageFlags) *cobra.Command {
	return group("audit", "Who did what, and what was refused", newAuditList(f), newAuditExport(f))
}

// auditFlags narrow the audit.
type auditFlags struct {
	action, actor, outcome, project, token, requestID, from, to, query string
}

func (a *auditFlags) add(f *manageFlags, cmd *cobra.Command) {
	f.addProjectFlag(cmd, &a.project, "only what concerns a project, by name or id (by id if it was deleted)")
	flags := cmd.Flags()
	flags.StringVar(&a.token, "token", "", "only what was done to a token, by id or secret; - reads it from standard input")
	flags.StringVar(&a.action, "action", "", "such as project.create, token.revoke, authenticate")
	flags.StringVar(&a.actor, "actor", "", "token, admin:<user>, local or unknown")
	flags.StringVar(&a.outcome, "outcome", "", "done or refused")
	flags.StringVar(&a.requestID, "request-id", "", "what one request did")
	flags.StringVar(&a.from, "from", "", "from this time on: 2026-11-22T12:00:00Z, 2026-11-22, or ago: 24h, 7d")
	flags.StringVar(&a.to, "to", "", "before this time, in the same forms")
	flags.StringVarP(&a.query, "query", "q", "", "part of action, actor, reason or a changed value, in any case")
	_ = cmd.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions([]string{"done", "refused"}, cobra.ShellCompDirectiveNoFileComp))
}

// params are the filters that the flags name.
func (a *auditFlags) params(api *manageAPI) (*client.ListAuditParams, error) {
	p := &client.ListAuditParams{}
	for text, to := range map[*string]**string{&a.action: &p.Action, &a.actor: &p.Actor, &a.requestID: &p.RequestID, &a.query: &p.Q} {
		if *text != "" {
			*to = text
		}
	}
	if a.outcome != "" {
		outcome := client.ListAuditParamsOutcome(a.outcome)
		p.Outcome = &outcome
	}
	if a.project != "" {
		id, err := api.projectUUID(a.project)
		if err != nil {
			return nil, err
		}
		p.ProjectID = &id
	}
	if a.token != "" {
		ids, err := tokenIDs(api.cmd, []string{a.token})
		if err != nil {
			return nil, err
		}
		p.TokenID = &ids[0]
	}
	for flag, time_ := range map[string]struct {
		text string
		to   **time.Time
	}{"from": {a.from, &p.From}, "to": {a.to, &p.To}} {
		if time_.text == "" {
			continue
		}
		at, err := moment(flag, time_.text, time.Now(), -1)
		if err != nil {
			return nil, err
		}
		*time_.to = &at
	}
	return p, nil
}

func newAuditList(f *manageFlags) *cobra.Command {
	var a auditFlags
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List audit entries, newest first", Args: noArgs}
	a.add(f, cmd)
	cmd.Flags().IntVar(&limit, "limit", maxPage, "how many at most; 0 lists all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := f.open(cmd)
		if err != nil {
			return err
		}
		params, err := a.params(api)
		if err != nil {
			return err
		}
		items, more, err := api.listing(limit, func(ctx context.Context, limit int64, cursor *string) (*http.Response, error) {
			params.Limit, params.Cursor = &limit, cursor
			return api.ListAudit(ctx, params)
		})
		if err != nil {
			return err
		}
		return printListing(api, items, more, []string{"TIME", "ACTOR", "ACTION", "OUTCOME", "FROM", "WHAT"}, func(e *client.AuditEntry) []string {
			from := ""
			if e.ClientAddr != nil {
				from = *e.ClientAddr
			}
			return []string{e.Time.Local().Format(time.DateTime), e.Actor, e.Action, string(e.Outcome), from, whatOf(e)}
		})
	}
	return cmd
}

// whatOf says in a line what an entry tells.
func whatOf(e *client.AuditEntry) string {
	var parts []string
	if e.Reason != nil {
		parts = append(parts, *e.Reason)
	}
	if e.Suppressed != nil {
		parts = append(parts, fmt.Sprintf("and %d more", *e.Suppressed))
	}
	switch {
	case e.TokenID != nil:
		parts = append(parts, "token "+e.TokenID.String())
	case e.ProjectID != nil:
		parts = append(parts, "project "+e.ProjectID.String())
	}
	for _, field := range slices.Sorted(maps.Keys(e.After)) {
		change := field + "=" + e.After[field]
		if before := e.Before[field]; before != "" {
			change = field + ": " + before + " → " + e.After[field]
		}
		parts = append(parts, change)
	}
	return strings.Join(parts, ", ")
}

func newAuditExport(f *manageFlags) *cobra.Command {
	var a auditFlags
	x := exportFlags{csv: manage.NewAuditCSV}
	cmd := &cobra.Command{
		Use: "export", Short: "Write all audit entries as JSON lines or CSV", Args: noArgs,
		Long: "Writes all entries that the filters leave, newest first.\n" + exportHelp,
	}
	a.add(f, cmd)
	x.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := x.check(); err != nil {
			return err
		}
		api, err := f.open(cmd)
		if err != nil {
			return err
		}
		params, err := a.params(api)
		if err != nil {
			return err
		}
		return api.export(&x, span{params.From, params.To}, func(ctx context.Context, limit int64, cursor *string) (*http.Response, error) {
			params.Limit, params.Cursor = &limit, cursor
			return api.ListAudit(ctx, params)
		})
	}
	return cmd
}
