package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage/client"
)

// manageFlags are those of every manage command.
type manageFlags struct {
	baseURL   string
	token     string
	tokenFile string
	json      bool
}

// Environment variables of manage commands.
const (
	envManageURL       = "LLM_PROXY_MANAGE_API_BASE_URL"
	envManageToken     = "MANAGEMENT_TOKEN"
	envManageTokenFile = "LLM_PROXY_MANAGEMENT_TOKEN_FILE"
)

func newManageCommand() *cobra.Command {
	f := &manageFlags{}
	cmd := &cobra.Command{
		Use:   "manage",
		Short: "Manage projects, tokens, audit, usage and destinations of a server",
		Long: `Asks the management API of a server. Without further words it is the server
that runs on this machine; another one takes --manage-api-base-url and a
management token.

Standard output has data: a table, one new secret alone, or with --json what the
API says, as it is. Nothing is asked where no terminal is.`,
		Example: `llm-proxy manage project create Team-A --api-key-file key.txt
export OPENAI_API_KEY=$(llm-proxy manage token generate --project Team-A --duration-minutes 60)
llm-proxy manage token list --project Team-A --json | jq '.[].id'
llm-proxy manage audit export --format csv --from 2026-11-01 > audit.csv`,
		Args:              noArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return checkGiven(cmd) },
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.baseURL, "manage-api-base-url", "", "origin of the server, such as https://llm.example.com ["+envManageURL+"] (default: the server that runs here)")
	flags.StringVar(&f.token, "management-token", "", "management token; others on this machine can see it here, so a file is safer ["+envManageToken+"]")
	flags.StringVar(&f.tokenFile, "management-token-file", "", "file with the management token; - reads standard input ["+envManageTokenFile+"] (default, for the server that runs here: its key file)")
	flags.BoolVar(&f.json, "json", false, "print what the API says, as it is")
	addManageDataDir(cmd)
	defer cmd.SetGlobalNormalizationFunc(flagName)
	cmd.AddCommand(newManageProjectCommand(f), newManageTokenCommand(f), newManageAuditCommand(f), newManageUsageCommand(f), newManageRequestsCommand(f), newManageDestinationCommand(f))
	return cmd
}

// flagName is a flag's name, also of one that is called as the API's parameter is.
func flagName(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "project-id":
		name = "project"
	case "token-id":
		name = "token"
	case "q":
		name = "query"
	}
	return pflag.NormalizedName(name)
}

// checkGiven refuses flags that were given without a value: a script's variable that is not set must not widen a listing, switch groups of
// endpoints off or lead to another server.
func checkGiven(cmd *cobra.Command) error {
	var problems []string
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		value := flag.Value.String()
		switch {
		case flag.Name == "name" || flag.Name == "description": // empty is a value
		case value == "" || value == "[]":
			problems = append(problems, "--"+flag.Name+" must not be empty: leave it out")
		case flag.Name == "limit" && strings.HasPrefix(value, "-"):
			problems = append(problems, "--limit must not be negative")
		case flag.Name == "if-revision" && (value == "0" || strings.HasPrefix(value, "-")):
			problems = append(problems, "--if-revision must be at least 1")
		}
	})
	if problems != nil {
		return usageError("%s", strings.Join(problems, "\n"))
	}
	return nil
}

// addManageDataDir adds where the server that runs here keeps its PID file and keys.
func addManageDataDir(cmd *cobra.Command) {
	cmd.PersistentFlags().String("data-dir", "", "data folder of the server that runs here [LLM_PROXY_DATA_DIR]")
}

// group is a command that has only further ones.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command %q in %q", args[0], cmd.CommandPath())
			}
			return nil
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

// manageTimeout is how long one answer may take. An export has no limit.
const manageTimeout = 30 * time.Second

// manageAPI is a server that is asked.
type manageAPI struct {
	*client.Client
	cmd    *cobra.Command
	origin string
	json   bool
}

// open finds the server and the credential. What is given wins over the environment, the environment over what lies here.
func (f *manageFlags) open(cmd *cobra.Command) (*manageAPI, error) {
	origin, token := f.baseURL, llmproxy.Secret{}
	if origin == "" {
		origin = os.Getenv(envManageURL)
	}
	token, err := f.credential(cmd)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport
	if origin == "" {
		local, err := findLocal(cmd)
		if err != nil {
			return nil, err
		}
		origin, transport = local.running.URL, local.running.transport()
		if token.IsZero() {
			token = local.token
		}
	}
	base, err := manageOrigin(origin)
	if err != nil {
		return nil, err
	}
	if token.IsZero() {
		return nil, usageError("no management token: set %s, or name a file with --management-token-file", envManageToken)
	}
	if base.Scheme == "http" && !isLoopback(net.JoinHostPort(base.Hostname(), "0")) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s is not encrypted: whoever is on the way can read the management token\n", base.Host)
	}
	api := &manageAPI{cmd: cmd, origin: base.String(), json: f.json}
	api.Client, err = client.NewClient(api.origin, client.WithHTTPClient(&http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would carry the token elsewhere
	}), client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		r.Header.Set("User-Agent", "llm-proxy/"+version)
		return nil
	}))
	return api, err
}

// credential is the management token that was given, by flag or environment; zero if none was.
func (f *manageFlags) credential(cmd *cobra.Command) (llmproxy.Secret, error) {
	file := f.tokenFile
	switch {
	case f.token != "" && f.tokenFile != "":
		return llmproxy.Secret{}, usageError("give one of --management-token and --management-token-file")
	case f.token != "":
		return llmproxy.NewSecret(f.token), nil
	case file == "" && os.Getenv(envManageToken) != "":
		return llmproxy.NewSecret(strings.TrimSpace(os.Getenv(envManageToken))), nil
	case file == "":
		file = os.Getenv(envManageTokenFile)
	}
	if file == "" {
		return llmproxy.Secret{}, nil
	}
	return readSecret("the management token", file, cmd.InOrStdin())
}

// readSecret reads a secret from a file, or from standard input for "-". A line end after it is no part of it.
func readSecret(what, path string, stdin io.Reader) (llmproxy.Secret, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(stdin, 64<<10))
	} else {
		data, err = os.ReadFile(path) //nolint:gosec // the operator's choice
	}
	if err != nil {
		return llmproxy.Secret{}, usageError("read %s: %v", what, err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return llmproxy.Secret{}, usageError("read %s: %s does not hold it and nothing else", what, path)
	}
	return llmproxy.NewSecret(text), nil
}

// manageOrigin reads an origin. /manage at its end is forgiven.
func manageOrigin(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(strings.TrimRight(text, "/"), managementPath))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return nil, usageError("--manage-api-base-url must be an origin, such as https://llm.example.com")
	}
	return u, nil
}

// localServer is the server that runs on this machine.
type localServer struct {
	running runningServer
	token   llmproxy.Secret // from its key file; zero if that has none or is not for this user
}

func findLocal(cmd *cobra.Command) (localServer, error) {
	here := map[string]string{} // what the server's other settings are does not matter
	for _, name := range []string{"LLM_PROXY_DATA_DIR", "LLM_PROXY_DB", "LLM_PROXY_PID_FILE"} {
		if value := os.Getenv(name); value != "" {
			here[name] = value
		}
	}
	if flag := cmd.Flags().Lookup("data-dir"); flag != nil && flag.Changed {
		here["LLM_PROXY_DATA_DIR"] = flag.Value.String()
	}
	s, err := parseSettings(here)
	if err != nil {
		return localServer{}, err
	}
	running, err := findServer(s.PIDFile)
	if errors.Is(err, errNotRunning) {
		return localServer{}, &exitError{exitUnreachable, fmt.Errorf("%w. Start it, or name another one with --manage-api-base-url", err)}
	}
	if err != nil {
		return localServer{}, err
	}
	local := localServer{running: running}
	if keys, err := readKeys(keyFilePath(s.DataDir)); err == nil && keys.ManagementToken != "" {
		local.token = llmproxy.NewSecret(keys.ManagementToken)
	}
	return local, nil
}

// call reads a whole answer. An answer that is an error comes back as one that says what to do.
func (a *manageAPI) call(ask func(ctx context.Context) (*http.Response, error)) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(a.cmd.Context(), manageTimeout)
	defer cancel()
	res, err := ask(ctx)
	if err != nil {
		return nil, nil, a.unreachable(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, nil, a.unreachable(err)
	}
	if err := a.refusal(res, body); err != nil {
		return nil, nil, err
	}
	return body, res.Header, nil
}

// show asks and prints what comes back.
func (a *manageAPI) show(printAnswer func(body []byte) error, ask func(ctx context.Context) (*http.Response, error)) error {
	body, _, err := a.call(ask)
	if err != nil {
		return err
	}
	return printAnswer(body)
}

// send asks with a body of the members that were named, and prints what comes back.
func (a *manageAPI) send(members map[string]any, printAnswer func(body []byte) error, ask func(ctx context.Context, body io.Reader) (*http.Response, error)) error {
	data, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return a.show(printAnswer, func(ctx context.Context) (*http.Response, error) { return ask(ctx, bytes.NewReader(data)) })
}

// printed hands what the API says to print, or with --json prints it as it is.
func printed[T any](a *manageAPI, body []byte, print func(*T) error) error {
	if a.json {
		return printRaw(a.cmd.OutOrStdout(), body)
	}
	var one T
	if err := json.Unmarshal(body, &one); err != nil {
		return err
	}
	return print(&one)
}

// unreachable says that no whole answer came.
func (a *manageAPI) unreachable(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err // without the URL, which has the filters
	}
	return &exitError{exitUnreachable, fmt.Errorf("%s does not answer: %w", a.origin, err)}
}

// refusal is the error that an answer means; nil if it is none.
func (a *manageAPI) refusal(res *http.Response, body []byte) error {
	if res.StatusCode < http.StatusMultipleChoices {
		return nil
	}
	var problem client.Problem
	text := ""
	if json.Unmarshal(body, &problem) == nil && problem.Title != "" {
		if problem.Detail != nil {
			text = *problem.Detail
		}
		if problem.Errors != nil {
			for _, field := range *problem.Errors {
				text += "\n  " + shown(field.Field) + ": " + shown(field.Message)
			}
		}
	} else {
		text = "with something that is not ours: is it the origin of an llm-proxy?"
	}
	err := fmt.Errorf("%s answered %s: %s", a.origin, res.Status, text)
	switch code := res.StatusCode; {
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnsupportedMediaType, code == http.StatusUnprocessableEntity:
		return &exitError{exitUsage, err}
	case code == http.StatusServiceUnavailable, code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		return &exitError{exitUnreachable, err}
	case code < http.StatusInternalServerError && code >= http.StatusBadRequest:
		return &exitError{exitRefused, err}
	}
	return err
}

// interactive reports whether somebody is there to be asked.
func interactive() bool {
	return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
}

// confirm asks before something that cannot be undone. Where nobody can be asked, yes has to be said beforehand.
func confirm(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	if !interactive() {
		return usageError("%s cannot be undone: give --yes", what)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s cannot be undone. Go on? [y/N] ", what)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return &exitError{exitRefused, errors.New("nothing was done")}
	}
	return nil
}
