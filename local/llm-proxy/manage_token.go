package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage/client"
)

func newManageTokenCommand(f *manageFlags) *cobra.Command {
	return group("token", "Tokens: what people and programs call with",
		newTokenList(f), newTokenGenerate(f), newTokenGet(f), newTokenUpdate(f), newTokenRevoke(f), newTokenRotate(f))
}

// addProjectFlag adds --project.
func (f *manageFlags) addProjectFlag(cmd *cobra.Command, to *string, help string) {
	cmd.Flags().StringVar(to, "project", "", help)
	_ = cmd.RegisterFlagCompletionFunc("project", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return f.projectNames(cmd, begun)
	})
}

func newTokenList(f *manageFlags) *cobra.Command {
	var params client.ListTokensParams
	var project, within, status, q, sort string
	var ids []string
	var active bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List tokens, newest first unless they are sorted", Args: noArgs,
		Example: "llm-proxy manage token list --project Team-A --status expired\nllm-proxy manage token list -q ci --expiring-within 7d\nllm-proxy manage token list --sort -request_count --limit 10",
	}
	f.addProjectFlag(cmd, &project, "only those of a project, by name or id")
	flags := cmd.Flags()
	flags.BoolVar(&active, "active", true, "only those that are neither revoked nor expired; --active=false only others (default: both)")
	flags.StringVar(&status, "status", "", "only those of which this became: active, revoked, expired, or exhausted (the lifetime cap is reached)")
	flags.StringVar(&within, "expiring-within", "", "only those that expire within this time: 30m, 24h, 7d")
	flags.StringVarP(&q, "query", "q", "", "part of the name, in any case, or how the id begins")
	flags.StringSliceVar(&ids, "id", nil, "these, up to 100, by id or secret, joined by commas; those that are not there are left out")
	flags.StringVar(&sort, "sort", "", "by name, expires_at, request_count or last_used_at, from the smallest on; with a minus before it from the largest")
	flags.IntVar(&limit, "limit", maxPage, "how many at most; 0 lists all")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions([]string{"active", "revoked", "expired", "exhausted"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions([]string{"name", "-name", "expires_at", "-expires_at", "request_count", "-request_count", "last_used_at", "-last_used_at"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		named, err := tokenIDs(cmd, ids)
		if err != nil {
			return err
		}
		if named != nil {
			params.ID = &named
		}
		api, err := f.open(cmd)
		if err != nil {
			return err
		}
		if project != "" {
			id, err := api.projectUUID(project)
			if err != nil {
				return err
			}
			params.ProjectID = &id
		}
		if cmd.Flags().Changed("active") {
			params.Active = &active
		}
		if status != "" {
			params.Status = (*client.ListTokensParamsStatus)(&status)
		}
		if q != "" {
			params.Q = &q
		}
		if sort != "" {
			params.Sort = (*client.ListTokensParamsSort)(&sort)
		}
		if within != "" {
			params.ExpiringWithin = &within
		}
		items, more, err := api.listing(limit, func(ctx context.Context, limit int64, cursor *string) (*http.Response, error) {
			if params.ID == nil || cmd.Flags().Changed("limit") { // the API says that these do not go together
				params.Limit, params.Cursor = &limit, cursor
			}
			return api.ListTokens(ctx, &params)
		})
		if err != nil {
			return err
		}
		return printListing(api, items, more, []string{"ID", "NAME", "PROJECT", "STATE", "EXPIRES", "USED", "LIMIT", "PER HOUR"}, func(t *client.Token) []string {
			return []string{t.ID.String(), t.Name, t.ProjectID.String(), string(t.Status), shownTime(&t.ExpiresAt), strconv.FormatInt(t.RequestCount, 10), shownLimit(t.MaxRequests), shownLimit(t.RequestsPerHour)}
		})
	}
	return cmd
}

// projectUUID is [manageAPI.projectID] as parameters want it.
func (a *manageAPI) projectUUID(name string) (uuid.UUID, error) {
	id, err := a.projectID(name)
	if err != nil {
		return uuid.UUID{}, err
	}
	return uuid.Parse(id)
}

// printToken prints a token, as it is or as a sheet.
func (a *manageAPI) printToken(body []byte) error {
	return printed(a, body, a.tokenSheet)
}

func (a *manageAPI) tokenSheet(t *client.Token) error {
	return sheet(a.cmd.OutOrStdout(), [][2]string{
		{"id", t.ID.String()},
		{"name", t.Name},
		{"project", t.ProjectID.String()},
		{"state", string(t.Status)},
		{"created", shownTime(&t.CreatedAt)},
		{"expires", shownTime(&t.ExpiresAt)},
		{"revoked", shownTime(t.RevokedAt)},
		{"used", strconv.FormatInt(t.RequestCount, 10)},
		{"last used", shownTime(t.LastUsedAt)},
		{"limit", shownLimit(t.MaxRequests)},
		{"per hour", shownLimit(t.RequestsPerHour)},
		{"drops headers", strings.Join(t.RequestHeadersDrop, ", ")},
		{"revision", strconv.FormatInt(t.Revision, 10)},
	})
}

// printSecret prints a new secret alone, and beside it on standard error what it is.
func (a *manageAPI) printSecret(body []byte) error {
	return printed(a, body, func(t *client.MintedToken) error {
		fmt.Fprintf(a.cmd.ErrOrStderr(), "token %s, expires %s. Its secret is shown this once:\n", t.ID, shownTime(&t.ExpiresAt))
		_, err := fmt.Fprintln(a.cmd.OutOrStdout(), t.Token)
		return err
	})
}

func newTokenGenerate(f *manageFlags) *cobra.Command {
	var project, name, maxRequests, perHour string
	var minutes int64
	var drop []string
	cmd := &cobra.Command{
		Use: "generate", Aliases: []string{"mint"}, Short: "Mint a token and print its secret, this once", Args: noArgs,
		Example: "export OPENAI_API_KEY=$(llm-proxy manage token generate --project Team-A --duration-minutes 60)",
	}
	f.addProjectFlag(cmd, &project, "project, by name or id (required)")
	flags := cmd.Flags()
	flags.Int64Var(&minutes, "duration-minutes", 0, "how long it lives, 1 to 525600 (required)")
	flags.StringVar(&name, "name", "", "up to 100 characters")
	flags.StringVar(&maxRequests, "max-requests", "", "requests in its whole life, or none (default: as the server is set)")
	flags.StringVar(&perHour, "requests-per-hour", "", "requests in each clock hour, or none (default: 1000)")
	flags.StringSliceVar(&drop, "drop-header", nil, "header of the caller that its requests do not carry on; may be given again")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var missing []string
		if project == "" {
			missing = append(missing, "--project")
		}
		if !cmd.Flags().Changed("duration-minutes") {
			missing = append(missing, "--duration-minutes")
		}
		if missing != nil {
			return usageError("missing: %s", strings.Join(missing, ", "))
		}
		body := map[string]any{"duration_minutes": minutes, "name": name}
		if err := limitFlags(cmd, body, maxRequests, perHour); err != nil {
			return err
		}
		if len(drop) > 0 {
			body["request_headers_drop"] = drop
		}
		api, id, err := f.openProject(cmd, project)
		if err != nil {
			return err
		}
		body["project_id"] = id
		return api.send(body, api.printSecret, func(ctx context.Context, body io.Reader) (*http.Response, error) {
			return api.MintTokenWithBody(ctx, jsonType, body)
		})
	}
	return cmd
}

// limitFlags puts the caps that were named into a body: a number, or none.
func limitFlags(cmd *cobra.Command, body map[string]any, maxRequests, perHour string) error {
	for flag, text := range map[string]string{"max-requests": maxRequests, "requests-per-hour": perHour} {
		if !cmd.Flags().Changed(flag) {
			continue
		}
		member := strings.ReplaceAll(flag, "-", "_")
		if text == "none" {
			body[member] = nil
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return usageError("--%s: %q is neither a number nor none", flag, text)
		}
		body[member] = n
	}
	return nil
}

// openToken finds the server and the token's id: of an id, of a secret, or of what standard input has.
func (f *manageFlags) openToken(cmd *cobra.Command, name string) (*manageAPI, string, error) {
	id, err := tokenID(cmd, name)
	if err != nil {
		return nil, "", err
	}
	api, err := f.open(cmd)
	return api, id, err
}

// tokenID is the id of a token. The id is taken from a secret here, so that no secret travels.
func tokenID(cmd *cobra.Command, name string) (string, error) {
	if name == "-" {
		secret, err := readSecret("the token", "-", cmd.InOrStdin())
		if err != nil {
			return "", err
		}
		name = secret.Reveal()
	}
	if id, ok := llmproxy.ParseTokenSecret(name); ok {
		return id.String(), nil
	}
	if id, err := llmproxy.ParseTokenID(name); err == nil {
		return id.String(), nil
	}
	return "", usageError("a token is named by its id or its secret; this is neither")
}

// tokenIDs are the ids of tokens; nil of none.
func tokenIDs(cmd *cobra.Command, names []string) (ids []uuid.UUID, err error) {
	for _, name := range names {
		text, err := tokenID(cmd, name)
		if err != nil {
			return nil, err
		}
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

const tokenHelp = "TOKEN is an id or a secret; - reads it from standard input, since others on this machine can see a secret among a command's arguments."

func newTokenGet(f *manageFlags) *cobra.Command {
	return &cobra.Command{
		Use: "get TOKEN", Short: "Show a token", Long: "Shows a token. " + tokenHelp, Args: oneArg("TOKEN"), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := f.openToken(cmd, args[0])
			if err != nil {
				return err
			}
			return api.show(api.printToken, func(ctx context.Context) (*http.Response, error) { return api.GetToken(ctx, id) })
		},
	}
}

func newTokenUpdate(f *manageFlags) *cobra.Command {
	var name, expiresAt, maxRequests, perHour string
	var revision int64
	cmd := &cobra.Command{
		Use: "update TOKEN", Short: "Change a token: what is not named stays", Long: "Changes a token; what is not named stays. " + tokenHelp, Args: oneArg("TOKEN"),
		ValidArgsFunction: cobra.NoFileCompletions,
		Example:           "llm-proxy manage token update 0198... --expires-at 2026-12-31T23:59:59Z --max-requests none",
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "up to 100 characters")
	flags.StringVar(&expiresAt, "expires-at", "", "when it expires: 2026-12-31T23:59:59Z, or from now on: 24h, 7d")
	flags.StringVar(&maxRequests, "max-requests", "", "requests in its whole life, or none")
	flags.StringVar(&perHour, "requests-per-hour", "", "requests in each clock hour, or none")
	flags.Int64Var(&revision, "if-revision", 0, "change it only if this is its revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body := map[string]any{}
		if cmd.Flags().Changed("name") {
			body["name"] = name
		}
		if err := limitFlags(cmd, body, maxRequests, perHour); err != nil {
			return err
		}
		if expiresAt != "" {
			at, err := moment("expires-at", expiresAt, time.Now(), 1)
			if err != nil {
				return err
			}
			body["expires_at"] = at
		}
		if len(body) == 0 {
			return usageError("nothing to change was named")
		}
		api, id, err := f.openToken(cmd, args[0])
		if err != nil {
			return err
		}
		return api.send(body, api.printToken, func(ctx context.Context, body io.Reader) (*http.Response, error) {
			return api.UpdateTokenWithBody(ctx, id, &client.UpdateTokenParams{IfMatch: ifMatch(revision)}, jsonType, body)
		})
	}
	return cmd
}

// maxRevoke is how many tokens the API revokes at once.
const maxRevoke = 90

func newTokenRevoke(f *manageFlags) *cobra.Command {
	return &cobra.Command{
		Use: "revoke TOKEN...", Short: "Revoke tokens, all that are named or none; it is final", Long: "Revokes up to 90 tokens, all or none; it is final. " + tokenHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > maxRevoke {
				return usageError("%q takes from 1 to %d tokens", cmd.CommandPath(), maxRevoke)
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := make([]string, len(args))
			for i, arg := range args {
				var err error
				if ids[i], err = tokenID(cmd, arg); err != nil {
					return err
				}
			}
			api, err := f.open(cmd)
			if err != nil {
				return err
			}
			if _, _, err := api.call(func(ctx context.Context) (*http.Response, error) {
				return api.RevokeTokens(ctx, client.Revoke{Tokens: &ids})
			}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "revoked %s\n", strings.Join(ids, ", "))
			return nil
		},
	}
}

func newTokenRotate(f *manageFlags) *cobra.Command {
	var grace int64
	cmd := &cobra.Command{
		Use: "rotate TOKEN", Short: "Give a token a new secret and print it, this once", Long: "Gives a token a new secret and prints it, this once; id and counter stay. " + tokenHelp,
		Args: oneArg("TOKEN"), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().Int64Var(&grace, "grace-minutes", 0, "how long the secret before stays good")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, id, err := f.openToken(cmd, args[0])
		if err != nil {
			return err
		}
		return api.show(api.printSecret, func(ctx context.Context) (*http.Response, error) {
			return api.RotateToken(ctx, id, client.Rotate{GraceMinutes: &grace})
		})
	}
	return cmd
}

// moment reads a time: RFC 3339, a date (its beginning, here), or a distance from now such as 30m, 24h, 7d: ahead where direction is 1,
// back where it is -1.
func moment(flag, text string, now time.Time, direction int) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return at, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.Add(time.Duration(direction) * time.Duration(n) * 24 * time.Hour).UTC(), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(time.Duration(direction) * d).UTC(), nil
	}
	return time.Time{}, usageError("--%s: %q is no time such as 2026-12-31T23:59:59Z, 2026-12-31, 24h or 7d", flag, text)
}
