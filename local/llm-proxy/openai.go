package main

import (
	"errors"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// newOpenAICommand groups what speaks to the proxy as an OpenAI client does.
func newOpenAICommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "openai",
		Short: "Use the proxy as any OpenAI client does",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChatCommand())
	return cmd
}

// endpoint is where an OpenAI client sends requests, and with which token. The names of its environment variables are those that all
// such clients read.
type endpoint struct {
	baseURL   string
	token     string
	tokenFile string
}

// defaultBaseURL is where llm-proxy server listens unless it is told otherwise.
const defaultBaseURL = "http://127.0.0.1:8080/v1"

func (e *endpoint) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&e.baseURL, "base-url", "", "where the API is, up to and with /v1 [OPENAI_BASE_URL]")
	flags.Lookup("base-url").DefValue = defaultBaseURL
	flags.StringVar(&e.token, "token", "", "token to send; others on this machine can see it here, so --token-file or OPENAI_API_KEY is safer")
	flags.StringVar(&e.tokenFile, "token-file", "", "file with the token; - reads standard input [OPENAI_API_KEY has the token itself]")
}

// resolve completes the endpoint from the environment. Without any token it returns an empty one.
func (e *endpoint) resolve(cmd *cobra.Command) (base *url.URL, token llmproxy.Secret, err error) {
	text := firstOf(e.baseURL, os.Getenv("OPENAI_BASE_URL"), defaultBaseURL)
	base, err = url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err != nil: // the error would quote it, and somebody's credential with it
		return nil, token, usageError("the base URL cannot be read; it looks like %s", defaultBaseURL)
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, token, usageError("the base URL must begin with http:// or https:// and name a host, like %s", defaultBaseURL)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, token, usageError("the base URL must not carry a credential or a query: the token goes into --token-file or OPENAI_API_KEY")
	}
	switch {
	case e.tokenFile != "" && e.token != "":
		return nil, token, usageError("give one of --token and --token-file")
	case e.tokenFile != "":
		token, err = readSecretFile(e.tokenFile, cmd)
	case e.token != "":
		token = llmproxy.NewSecret(e.token)
	default:
		token = llmproxy.NewSecret(strings.TrimSpace(os.Getenv("OPENAI_API_KEY")))
	}
	return base, token, err
}

// errNoToken says where a token comes from.
var errNoToken = errors.New("no token: set OPENAI_API_KEY, or name a file with --token-file; llm-proxy setup and llm-proxy server --demo print one")

// maxSecret bounds what is read as one.
const maxSecret = 64 << 10

// readSecretFile reads a token from a file, or from standard input for "-".
func readSecretFile(path string, cmd *cobra.Command) (llmproxy.Secret, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return llmproxy.Secret{}, usageError("--token-file: %v", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxSecret))
	if err != nil {
		return llmproxy.Secret{}, usageError("--token-file: %v", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return llmproxy.Secret{}, usageError("--token-file: %s does not hold one token and nothing else", path)
	}
	return llmproxy.NewSecret(text), nil
}

// firstOf is the first text that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
