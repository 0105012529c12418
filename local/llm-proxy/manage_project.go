package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"charm.land/huh/v2"
	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage/client"
)

func newManageProjectCommand(f *manageFlags) *cobra.Command {
	return group("project", "Projects: a provider key and the tokens minted for it",
		newProjectList(f), newProjectGet(f), newProjectCreate(f), newProjectUpdate(f),
		newProjectSwitch(f, "activate", "Let a project's tokens work again", true),
		newProjectSwitch(f, "deactivate", "Refuse a project's tokens until it is activated again", false),
		newProjectDelete(f), newProjectRevokeTokens(f))
}

func newProjectList(f *manageFlags) *cobra.Command {
	var params client.ListProjectsParams
	var active bool
	var q string
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List projects, newest first", Args: noArgs}
	flags := cmd.Flags()
	flags.BoolVar(&active, "active", true, "only active ones; --active=false only others (default: both)")
	flags.StringVarP(&q, "query", "q", "", "part of the name, in any case")
	flags.IntVar(&limit, "limit", maxPage, "how many at most; 0 lists all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := f.open(cmd)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("active") {
			params.Active = &active
		}
		if q != "" {
			params.Q = &q
		}
		items, more, err := api.listing(limit, func(ctx context.Context, limit int64, cursor *string) (*http.Response, error) {
			params.Limit, params.Cursor = &limit, cursor
			return api.ListProjects(ctx, &params)
		})
		if err != nil {
			return err
		}
		return printListing(api, items, more, []string{"ID", "NAME", "PROVIDER", "ACTIVE", "KEY", "CREATED"}, func(p *client.Project) []string {
			return []string{p.ProjectID.String(), p.Name, p.Provider, shownBool(p.IsActive), keyOf(p), shownTime(&p.CreatedAt)}
		})
	}
	return cmd
}

// keyOf is what may be shown of a project's key.
func keyOf(p *client.Project) string {
	switch {
	case p.APIKeyRef != nil:
		return *p.APIKeyRef
	case p.KeyHint != nil:
		return "…" + *p.KeyHint
	}
	return "set"
}

// printProject prints a project, as it is or as a sheet.
func (a *manageAPI) printProject(body []byte) error {
	return printed(a, body, a.projectSheet)
}

func (a *manageAPI) projectSheet(p *client.Project) error {
	groups := make([]string, len(p.Endpoints))
	for i, g := range p.Endpoints {
		groups[i] = string(g)
	}
	fields := [][2]string{
		{"id", p.ProjectID.String()},
		{"name", p.Name},
		{"description", p.Description},
		{"provider", p.Provider},
		{"key", keyOf(p)},
		{"active", shownBool(p.IsActive)},
		{"endpoints", strings.Join(groups, ", ")},
		{"created", shownTime(&p.CreatedAt)},
		{"updated", shownTime(&p.UpdatedAt)},
		{"revision", strconv.FormatInt(p.Revision, 10)},
	}
	if p.Capture != nil {
		fields = append(fields, [2]string{"capture", string(*p.Capture)})
	}
	for _, key := range slices.Sorted(maps.Keys(p.Metadata)) {
		fields = append(fields, [2]string{"metadata." + shown(key), p.Metadata[key]})
	}
	return sheet(a.cmd.OutOrStdout(), fields)
}

func newProjectGet(f *manageFlags) *cobra.Command {
	return &cobra.Command{
		Use: "get PROJECT", Short: "Show a project, by name or id", Args: oneArg("PROJECT"), ValidArgsFunction: f.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := f.openProject(cmd, args[0])
			if err != nil {
				return err
			}
			return api.show(api.printProject, func(ctx context.Context) (*http.Response, error) { return api.GetProject(ctx, id) })
		},
	}
}

// projectFields are the flags of a project's fields.
type projectFields struct {
	name, description, provider, apiKeyFile, apiKeyRef, capture string
	metadata                                                    map[string]string
	endpoints, clearFields                                      []string
}

func (p *projectFields) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&p.description, "description", "", "up to 500 characters")
	flags.StringToStringVar(&p.metadata, "metadata", nil, "entries as key=value; may be given again")
	flags.StringVar(&p.provider, "provider", "", "name of the provider (default: the server's default)")
	flags.StringVar(&p.apiKeyFile, "api-key-file", "", "file with the provider key; - reads standard input. It is never taken from the command line, where others could see it")
	flags.StringVar(&p.apiKeyRef, "api-key-ref", "", "instead: name of the secret that holds the key")
	flags.StringVar(&p.capture, "capture", "", "what events carry of bodies: full or metadata (default: as the server is set)")
	flags.StringSliceVar(&p.endpoints, "endpoints", nil, "groups of endpoints: inference, stored (default: inference)")
	_ = cmd.RegisterFlagCompletionFunc("capture", cobra.FixedCompletions([]string{"full", "metadata"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("endpoints", cobra.FixedCompletions([]string{"inference", "stored", "inference,stored"}, cobra.ShellCompDirectiveNoFileComp))
}

// body are the members that the flags name.
func (p *projectFields) body(cmd *cobra.Command) (map[string]any, error) {
	body := map[string]any{}
	for flag, value := range map[string]any{
		"name": p.name, "description": p.description, "metadata": p.metadata, "provider": p.provider, "api-key-ref": p.apiKeyRef, "capture": p.capture, "endpoints": p.endpoints,
	} {
		if cmd.Flags().Changed(flag) {
			body[strings.ReplaceAll(flag, "-", "_")] = value
		}
	}
	for _, field := range p.clearFields {
		if _, both := body[field]; both {
			return nil, usageError("%s is both set and cleared", field)
		}
		body[field] = nil
	}
	if p.apiKeyFile != "" {
		key, err := readSecret("the provider key", p.apiKeyFile, cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		body["api_key"] = key.Reveal()
	}
	return body, nil
}

func newProjectCreate(f *manageFlags) *cobra.Command {
	var p projectFields
	var key string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a project with a provider key", Args: oneArg("NAME"), ValidArgsFunction: cobra.NoFileCompletions,
		Example: `llm-proxy manage project create Team-A --api-key-file key.txt
pass show openai | llm-proxy manage project create Team-A --api-key-file - --metadata cost_centre=4711`,
	}
	p.add(cmd)
	cmd.Flags().StringVar(&key, "idempotency-key", "", "makes one project of commands that are run again within 24 hours")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := f.open(cmd)
		if err != nil {
			return err
		}
		body, err := p.body(cmd)
		if err != nil {
			return err
		}
		body["name"] = args[0]
		if body["api_key"] == nil && body["api_key_ref"] == nil {
			secret, err := askForKey(cmd)
			if err != nil {
				return err
			}
			body["api_key"] = secret.Reveal()
		}
		params := client.CreateProjectParams{}
		if key != "" {
			params.IdempotencyKey = &key
		}
		return api.send(body, api.printProject, func(ctx context.Context, body io.Reader) (*http.Response, error) {
			return api.CreateProjectWithBody(ctx, &params, jsonType, body)
		})
	}
	return cmd
}

const jsonType = "application/json"

// askForKey asks for a provider key without echo.
func askForKey(cmd *cobra.Command) (llmproxy.Secret, error) {
	if !interactive() {
		return llmproxy.Secret{}, usageError("without a terminal to ask on, the provider key comes with --api-key-file FILE")
	}
	var key string
	input := huh.NewInput().Title("Provider key").Description("It is sealed and never shown again.").EchoMode(huh.EchoModePassword).Value(&key)
	if err := huh.NewForm(huh.NewGroup(input)).WithOutput(os.Stderr).RunWithContext(cmd.Context()); err != nil {
		return llmproxy.Secret{}, wizardError(err)
	}
	return llmproxy.NewSecret(strings.TrimSpace(key)), nil
}

func newProjectUpdate(f *manageFlags) *cobra.Command {
	var p projectFields
	var revision int64
	cmd := &cobra.Command{
		Use: "update PROJECT", Short: "Change a project: what is not named stays", Args: oneArg("PROJECT"), ValidArgsFunction: f.completeProjects,
		Example: `llm-proxy manage project update Team-A --api-key-file new-key.txt
llm-proxy manage project update Team-A --clear description,capture --if-revision 3`,
	}
	p.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&p.name, "name", "", "up to 100 characters")
	flags.StringSliceVar(&p.clearFields, "clear", nil, "fields to clear: description, metadata, capture, endpoints")
	flags.Int64Var(&revision, "if-revision", 0, "change it only if this is its revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := p.body(cmd)
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return usageError("nothing to change was named")
		}
		return f.changeProject(cmd, args[0], body, revision)
	}
	return cmd
}

// changeProject sends a change and prints what became of it.
func (f *manageFlags) changeProject(cmd *cobra.Command, name string, body map[string]any, revision int64) error {
	api, id, err := f.openProject(cmd, name)
	if err != nil {
		return err
	}
	return api.send(body, api.printProject, func(ctx context.Context, body io.Reader) (*http.Response, error) {
		return api.UpdateProjectWithBody(ctx, id, &client.UpdateProjectParams{IfMatch: ifMatch(revision)}, jsonType, body)
	})
}

// ifMatch is the header that asks for a revision; nil asks for none.
func ifMatch(revision int64) *string {
	if revision == 0 {
		return nil
	}
	tag := strconv.Quote(strconv.FormatInt(revision, 10))
	return &tag
}

func newProjectSwitch(f *manageFlags, use, short string, active bool) *cobra.Command {
	return &cobra.Command{
		Use: use + " PROJECT", Short: short, Args: oneArg("PROJECT"), ValidArgsFunction: f.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.changeProject(cmd, args[0], map[string]any{"is_active": active}, 0)
		},
	}
}

func newProjectDelete(f *manageFlags) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete PROJECT", Short: "Delete a project: its key is gone, its tokens are refused", Args: oneArg("PROJECT"), ValidArgsFunction: f.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := f.openProject(cmd, args[0])
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, fmt.Sprintf("Deleting project %s with all its tokens", shown(args[0]))); err != nil {
				return err
			}
			if _, _, err := api.call(func(ctx context.Context) (*http.Response, error) { return api.DeleteProject(ctx, id) }); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "deleted project %s\n", id)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func newProjectRevokeTokens(f *manageFlags) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "revoke-tokens PROJECT", Short: "Revoke all tokens of a project minted so far", Args: oneArg("PROJECT"), ValidArgsFunction: f.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := f.openProject(cmd, args[0])
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, fmt.Sprintf("Revoking all tokens of project %s", shown(args[0]))); err != nil {
				return err
			}
			return api.show(api.printRevoked, func(ctx context.Context) (*http.Response, error) { return api.RevokeProjectTokens(ctx, id) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// printRevoked says how many tokens were revoked.
func (a *manageAPI) printRevoked(body []byte) error {
	return printed(a, body, func(r *client.Revoked) error {
		_, err := fmt.Fprintf(a.cmd.ErrOrStderr(), "revoked %d tokens\n", r.Revoked)
		return err
	})
}

// oneArg takes one argument.
func oneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError("%q takes one argument: %s", cmd.CommandPath(), name)
		}
		return nil
	}
}

// openProject finds the server and on it a project by its name or id.
func (f *manageFlags) openProject(cmd *cobra.Command, name string) (*manageAPI, string, error) {
	api, err := f.open(cmd)
	if err != nil {
		return nil, "", err
	}
	id, err := api.projectID(name)
	return api, id, err
}

// projectID is the id of a project that is named by it or by its name.
func (a *manageAPI) projectID(name string) (string, error) {
	if _, err := llmproxy.ParseProjectID(name); err == nil {
		return name, nil
	}
	projects, err := a.projects(name)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, p := range projects {
		if p.Name == name {
			ids = append(ids, p.ProjectID.String())
		}
	}
	switch len(ids) {
	case 0:
		return "", &exitError{exitRefused, fmt.Errorf("there is no project %q", name)}
	case 1:
		return ids[0], nil
	}
	return "", &exitError{exitUsage, fmt.Errorf("%d projects are called %q, name one by its id: %s", len(ids), name, strings.Join(ids, ", "))}
}

// projects are those whose name contains a part.
func (a *manageAPI) projects(part string) ([]client.Project, error) {
	if len(part) > 400 {
		return nil, errors.New("no project has such a long name")
	}
	params := client.ListProjectsParams{}
	if part != "" {
		params.Q = &part
	}
	items, _, err := a.listing(0, func(ctx context.Context, limit int64, cursor *string) (*http.Response, error) {
		params.Limit, params.Cursor = &limit, cursor
		return a.ListProjects(ctx, &params)
	})
	if err != nil {
		return nil, err
	}
	projects := make([]client.Project, len(items))
	for i, item := range items {
		if err := json.Unmarshal(item, &projects[i]); err != nil {
			return nil, err
		}
	}
	return projects, nil
}

// completeProjects offers the names of projects.
func (f *manageFlags) completeProjects(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return f.projectNames(cmd, begun)
}

// projectNames are the names that begin so. What does not answer offers none.
func (f *manageFlags) projectNames(cmd *cobra.Command, begun string) ([]string, cobra.ShellCompDirective) {
	if cmd.Context() == nil {
		cmd.SetContext(context.Background())
	}
	api, err := f.open(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	projects, err := api.projects(begun)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range projects {
		if strings.HasPrefix(p.Name, begun) {
			names = append(names, cobra.CompletionWithDesc(shown(p.Name), p.ProjectID.String()))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
