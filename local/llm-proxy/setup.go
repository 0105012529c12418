package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// setupFlags are those of setup beside the settings.
type setupFlags struct {
	nonInteractive bool
	json           bool
	project        string
	apiKeyFile     string
	provider       string
	minutes        int64
	maxRequests    int64
	perHour        int64
	stored         bool
}

func newSetupCommand() *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make a project with a provider key, and a first token",
		Long: `Makes what the server needs: keys, a project that holds a provider key, and a
first token. On a terminal it asks for what the flags leave open. The provider
key is read without echo or from a file, never from the command line, where
others could see it. Run it again for a further project.`,
		Example: `llm-proxy setup
llm-proxy setup --non-interactive --db llm-proxy.db --project Team --api-key-file key.txt --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return setup(cmd, &f) },
	}
	addSettings(cmd, "db", "data-dir", "providers", "default-max-requests", "addr", "public-url")
	flags := cmd.Flags()
	flags.BoolVar(&f.nonInteractive, "non-interactive", false, "never ask; what is missing is an error")
	flags.BoolVar(&f.json, "json", false, `print {"project_id","token","token_id","expires_at"}`)
	flags.StringVar(&f.project, "project", "", "name of the project")
	flags.StringVar(&f.apiKeyFile, "api-key-file", "", "file with the provider key; - reads standard input")
	flags.StringVar(&f.provider, "provider", "", "provider of the project (default: that of providers.yaml)")
	flags.Int64Var(&f.minutes, "duration-minutes", 30*24*60, "how long the token lives, 1 to 525600")
	flags.Int64Var(&f.maxRequests, "max-requests", 0, "requests in the token's whole life (default: no cap)")
	flags.Int64Var(&f.perHour, "requests-per-hour", manage.DefaultRequestsPerHour, "requests in each clock hour; 0 is no limit")
	flags.BoolVar(&f.stored, "stored", false, "allow files, batches and stored responses too, which all tokens of the key share")
	return cmd
}

func setup(cmd *cobra.Command, f *setupFlags) error {
	s, err := loadSettings(cmd)
	if err != nil {
		return err
	}
	if s.Store != storeSQLite {
		return usageError("setup makes a project on this machine: with LLM_PROXY_STORE=%s, projects are made with llm-proxy manage project create", s.Store)
	}
	providers, err := readProviders(&s)
	if err != nil {
		return err
	}
	if f.provider == "" {
		f.provider = providers.Default
	}
	key, err := setupInput(cmd, f, providers)
	if err != nil {
		return err
	}
	token, secret, err := f.create(cmd.Context(), &s, providers, key, cmd.Flags().Changed("max-requests"))
	if manage.IsInputError(err) {
		return &exitError{exitUsage, err}
	}
	if err != nil {
		return err
	}
	return f.print(cmd.OutOrStdout(), &s, providers, token, secret)
}

// create makes keys and database where they are missing, a project and a token.
func (f *setupFlags) create(ctx context.Context, s *settings, providers *provider.Set, key llmproxy.Secret, capped bool) (token llmproxy.Token, secret llmproxy.Secret, err error) {
	in := manage.NewToken{Name: "first", DurationMinutes: f.minutes, RequestsPerHour: &manage.Limit{N: f.perHour, None: f.perHour == 0}}
	if capped {
		in.MaxRequests = &manage.Limit{N: f.maxRequests}
	}
	if err := in.Check(); err != nil { // before anything is made for it
		return token, secret, err
	}
	if providers.Providers[f.provider] == nil {
		return token, secret, usageError("--provider: there is no provider %q; there are: %s", f.provider, strings.Join(slices.Sorted(maps.Keys(providers.Providers)), ", "))
	}
	keys, err := loadKeys(s.DataDir, makeOperators)
	if err != nil {
		return token, secret, err
	}
	store, err := sqlite.Open(ctx, s.sqlite(nil))
	if err != nil {
		return token, secret, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	sealer, err := newSealer(keys)
	if err != nil {
		return token, secret, err
	}
	service := newService(s, store, sealer, providers)
	groups := []llmproxy.EndpointGroup{llmproxy.GroupInference}
	if f.stored {
		groups = append(groups, llmproxy.GroupStored)
	}
	actor := llmproxy.Actor{Name: "local"}
	project, err := service.CreateProject(ctx, actor, manage.NewProject{Name: f.project, Provider: f.provider, APIKey: key, Endpoints: groups})
	if err != nil {
		return token, secret, err
	}
	in.ProjectID = project.ID
	return service.MintToken(ctx, actor, in)
}

// setupInput asks for what the flags leave open, where somebody is there to be asked.
func setupInput(cmd *cobra.Command, f *setupFlags, providers *provider.Set) (llmproxy.Secret, error) {
	interactive := !f.nonInteractive && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
	if interactive && (f.project == "" || f.apiKeyFile == "") {
		return askForSetup(cmd.Context(), f, providers)
	}
	var missing []string
	if f.project == "" {
		missing = append(missing, "--project NAME")
	}
	if f.apiKeyFile == "" {
		missing = append(missing, "--api-key-file FILE")
	}
	if missing != nil {
		return llmproxy.Secret{}, usageError("without a terminal to ask on, setup needs %s", strings.Join(missing, " and "))
	}
	return readKey(f.apiKeyFile, cmd.InOrStdin())
}

// readKey reads a provider key from a file, or from standard input. A line end after it is no part of it.
func readKey(path string, stdin io.Reader) (llmproxy.Secret, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(stdin, 64<<10))
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return llmproxy.Secret{}, usageError("read the provider key: %v", err)
	}
	key := strings.TrimSpace(string(data))
	if key == "" {
		return llmproxy.Secret{}, usageError("read the provider key: %s is empty", path)
	}
	return llmproxy.NewSecret(key), nil
}

// errAborted: the wizard was left.
var errAborted = errors.New("nothing was made")

// wizardError is what the wizard's end means.
func wizardError(err error) error {
	return &exitError{exitRefused, fmt.Errorf("%w: %w", errAborted, err)}
}
