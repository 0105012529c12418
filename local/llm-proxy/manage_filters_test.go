package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// filtered are the commands by the operation of the API that they ask. Each operation with parameters in its query is here.
var filtered = map[string][]string{
	"listProjects": {"project list"}, "listTokens": {"token list"}, "listAudit": {"audit list", "audit export"},
	"listRequests": {"requests list", "requests export"}, "getUsage": {"usage"},
}

// paging are the parameters that a command has by itself.
var paging = []string{"limit", "cursor", "format"}

// printing are the flags that are about what is printed, how much of it, and where to.
var printing = []string{"limit", "cursor", "format", "output"}

// flagSamples are values of flags, of one command or of all.
var flagSamples = map[string]string{
	"project": "0198c0de-0000-7000-8000-000000000000", "token": "0198c0de-0000-7000-8000-000000000001", "id": "0198c0de-0000-7000-8000-000000000002,0198c0de-0000-7000-8000-000000000003",
	"active": "false", "expiring-within": "7d", "query": "part", "status": "5xx", "token list status": "revoked", "model": "gpt-4o", "from": "24h", "to": "1h",
	"outcome": "complete", "audit list outcome": "refused", "audit export outcome": "done", "action": "token.revoke", "actor": "local", "request-id": "r", "bucket": "day", "group-by": "project,token",
	"top": "5", "sort": "-request_count", "top-by": "cost",
}

// filtersOfTheAPI are the parameters in the query of each operation, as openapi.yaml has them.
func filtersOfTheAPI(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../internal/manage/openapi.yaml")
	require.NoError(t, err)
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string `yaml:"operationId"`
			Parameters  []struct{ In, Name string }
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &document))
	all := map[string][]string{}
	for _, operations := range document.Paths {
		for _, o := range operations {
			for _, p := range o.Parameters {
				if p.In == "query" {
					all[o.OperationID] = append(all[o.OperationID], p.Name)
				}
			}
		}
	}
	return all
}

// TestEachFilterOfTheAPIHasItsFlag runs each command without filters, and with each of its flags alone, and looks at what it asks: each flag
// must reach the API, and each parameter of the API must be reached.
func TestEachFilterOfTheAPIHasItsFlag(t *testing.T) {
	var asked url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		if r.URL.Path == managementPath+"/usage" {
			_, _ = w.Write([]byte(`{"rows":[],"total":{}}`))
			return
		}
		_, _ = w.Write([]byte("[]"))
	}))
	defer server.Close()
	t.Setenv(envManageURL, server.URL)
	t.Setenv(envManageToken, operatorToken)
	ask := func(command string, args ...string) url.Values {
		asked = nil
		_, _, err := runLine(t.Context(), append(append([]string{"manage"}, strings.Fields(command)...), args...)...)
		require.NoError(t, err, "%s %s", command, args)
		require.NotNil(t, asked, "%s %s asks nothing", command, args)
		return asked
	}
	api := filtersOfTheAPI(t)
	require.Len(t, filtered, len(api), "operations with filters: %v", api)
	for operation, commands := range filtered {
		require.NotEmpty(t, api[operation], "%s has no filters", operation)
		for _, command := range commands {
			plain := ask(command)
			var reached []string
			cmd, _, err := newRoot().Find(append([]string{"manage"}, strings.Fields(command)...))
			require.NoError(t, err)
			cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				if f.Name == "help" || slices.Contains(printing, f.Name) {
					return
				}
				value, ok := flagSamples[command+" "+f.Name]
				if !ok {
					value, ok = flagSamples[f.Name]
				}
				require.True(t, ok, "%s: the new flag --%s needs a sample here", command, f.Name)
				args := []string{"--" + f.Name + "=" + value}
				switch f.Name { // they say something about another one
				case "top":
					args = append(args, "--group-by=model")
				case "top-by":
					args = append(args, "--group-by=model", "--top=5")
				}
				got, before := ask(command, args...), plain
				if len(args) > 1 {
					before = ask(command, args[1:]...)
				}
				var new []string
				for name := range got {
					require.Contains(t, api[operation], name, "%s --%s asks for what the API does not know", command, f.Name)
					if !before.Has(name) {
						new = append(new, name)
					}
				}
				require.Len(t, new, 1, "%s --%s does not reach the API", command, f.Name)
				require.NotEmpty(t, got.Get(new[0]))
				reached = append(reached, new[0])
			})
			for _, name := range api[operation] {
				if slices.Contains(paging, name) {
					continue
				}
				require.Contains(t, reached, name, "%s has no flag for the API's filter", command)
			}
			require.Equal(t, strings.HasSuffix(command, "export"), cmd.Flags().Lookup("format") != nil, command)
		}
		exported := slices.ContainsFunc(commands, func(c string) bool { return strings.HasSuffix(c, " export") })
		require.Equal(t, slices.Contains(api[operation], "format"), exported, "%s can be exported, by the API or by a command alone", operation)
	}
}

// TestFlagsAreAlsoCalledAsTheAPIsParametersAre: --q, --project-id and --token-id.
func TestFlagsAreAlsoCalledAsTheAPIsParametersAre(t *testing.T) {
	for _, line := range []string{"project list --q x", "token list --q x --project-id 0198c0de-0000-7000-8000-000000000000", "requests list --token-id 0198c0de-0000-7000-8000-000000000001"} {
		_, stderr, code := answering(t, http.StatusOK, "[]", strings.Fields(line)...)
		require.Zero(t, code, stderr)
	}
	_, _, code := answering(t, http.StatusOK, "[]", "token", "list", "--id", "neither")
	require.Equal(t, exitUsage, code)
}
