package checks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sofatutor/llm-proxy/"

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string // of its own code, without tests
	Deps       []string // all of them, indirect ones too
}

// features and adapters never import each other, and not one the other; a feature declares the interface it needs.
var featuresAndAdapters = []string{
	"internal/proxy", "internal/manage", "internal/admin", "internal/dispatch", "internal/bench", "internal/redrive", "internal/auditrelay",
	"internal/store/dynamo", "internal/store/sqlite", "internal/bus/eventbridge", "internal/bus/spool", "internal/seal", "internal/lambdahttp", "internal/fastpath",
}

// shared are the packages that features and adapters stand on.
var shared = []string{"internal/emf", "internal/usage", "internal/provider", "internal/rawio", "internal/llmproxy"}

const awsHTTP = "internal/awshttp"

// mayUseAWS are the places of the AWS SDK. Whatever else holds it would make each binary larger and slower to start.
var mayUseAWS = []string{awsHTTP, "internal/store/dynamo", "internal/bus/eventbridge", "internal/seal", "internal/dispatch", "internal/redrive", "internal/lambdahttp", "internal/lambdahost", "functions", "local", "infra/aws"}

// cloudWatch has the client that reads metrics, which management alone does; all others write theirs into the log. The slash tells it from
// cloudwatchlogs.
const cloudWatch = "github.com/aws/aws-sdk-go-v2/service/cloudwatch/"

func TestImportsPointDown(t *testing.T) {
	packages := listPackages(t)
	require.NotEmpty(t, packages)
	for _, p := range packages {
		for _, wrong := range violations(p) {
			t.Error(wrong)
		}
	}
}

// TestTheNounsNeedNothing: the dependencies of internal/llmproxy are asked for with their own entries, as only those tell what belongs
// to the standard library.
func TestTheNounsNeedNothing(t *testing.T) {
	for _, p := range listPackages(t, "-deps", "./internal/llmproxy") {
		if !p.Standard {
			require.Equal(t, module+"internal/llmproxy", p.ImportPath, "internal/llmproxy uses the standard library only")
		}
	}
}

func TestTheRulesFindWhatTheyForbid(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		needs []string
		deps  []string
		wants string // part of the violation; empty for none
	}{
		"a feature stands on the shared packages": {path: "internal/proxy", needs: []string{"internal/llmproxy", "internal/provider", "internal/proxy/h1"}},
		"a program joins features and adapters":   {path: "local/llm-proxy", needs: []string{"internal/proxy", "internal/store/sqlite"}},
		"a feature with an adapter":               {path: "internal/proxy", needs: []string{"internal/seal"}, wants: "imports internal/seal"},
		"an adapter with a feature":               {path: "internal/store/sqlite", needs: []string{"internal/manage"}, wants: "imports internal/manage"},
		"two adapters":                            {path: "internal/bus/spool", needs: []string{"internal/store/sqlite"}, wants: "imports internal/store/sqlite"},
		"a door with a feature":                   {path: "internal/fastpath", needs: []string{"internal/proxy"}, wants: "imports internal/proxy"},
		"a feature with a door":                   {path: "internal/proxy", needs: []string{"internal/fastpath"}, wants: "imports internal/fastpath"},
		"a feature with a stand-in":               {path: "internal/manage", needs: []string{"internal/demo"}, wants: "imports internal/demo"},
		"a part of a feature":                     {path: "internal/proxy/h1", needs: []string{"internal/dispatch"}, wants: "imports internal/dispatch"},
		"a shared package with a feature":         {path: "internal/usage", needs: []string{"internal/proxy"}, wants: "imports internal/proxy"},
		"the nouns with anything":                 {path: "internal/llmproxy", needs: []string{"internal/provider"}, wants: "imports internal/provider"},
		"a function with a command":               {path: "functions/setup", needs: []string{"local/llm-proxy"}, wants: "imports local/llm-proxy"},
		"anything with a program":                 {path: "internal/demo", needs: []string{"local/llm-proxy"}, wants: "imports local/llm-proxy"},
		"the request path with AWS":               {path: "internal/proxy", deps: []string{"github.com/aws/aws-sdk-go-v2/config"}, wants: "depends on github.com/aws"},
		"the request path with a tokenizer":       {path: "internal/proxy", deps: []string{"github.com/pkoukk/tiktoken-go"}, wants: "depends on github.com/pkoukk"},
		"the request path with an estimate":       {path: "functions/proxy", deps: []string{module + "internal/usage/estimate"}, wants: "depends on " + module + "internal/usage/estimate"},
		"the request path with prices":            {path: "internal/proxy", deps: []string{module + "internal/usage/price"}, wants: "depends on " + module + "internal/usage/price"},
		"the request path with a database":        {path: "internal/proxy", deps: []string{"modernc.org/sqlite"}, wants: "depends on modernc.org/sqlite"},
		"a function with the command line":        {path: "functions/setup", deps: []string{"github.com/spf13/cobra"}, wants: "depends on github.com/spf13/cobra"},
		"a function with a tokenizer":             {path: "functions/management", deps: []string{"github.com/pkoukk/tiktoken-go"}, wants: "depends on github.com/pkoukk"},
		"the dispatcher with a tokenizer":         {path: "functions/dispatcher", deps: []string{"github.com/pkoukk/tiktoken-go"}},
		"management with metrics to read":         {path: "functions/management", deps: []string{cloudWatch + "types"}},
		"the proxy with metrics to read":          {path: "functions/proxy", deps: []string{cloudWatch + "types"}, wants: "depends on " + cloudWatch},
		"the dispatcher with logs to write":       {path: "functions/dispatcher", deps: []string{"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"}},
		"an adapter on AWS":                       {path: "internal/bus/eventbridge/route", needs: []string{"internal/awshttp"}},
		"a stranger with AWS's clients":           {path: "internal/manage", needs: []string{"internal/awshttp"}, wants: "imports internal/awshttp"},
		"AWS's clients with an adapter":           {path: "internal/awshttp", needs: []string{"internal/seal"}, wants: "imports internal/seal"},
		"a stranger to AWS":                       {path: "internal/manage", deps: []string{"github.com/aws/smithy-go"}, wants: "depends on github.com/aws"},
		"a store on AWS":                          {path: "internal/store/dynamo", deps: []string{"github.com/aws/smithy-go"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := goPackage{ImportPath: module + c.path, Deps: c.deps}
			for _, needed := range c.needs {
				p.Imports = append(p.Imports, module+needed)
			}
			got := strings.Join(violations(p), "\n")
			if c.wants == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, c.wants)
		})
	}
}

// violations says in sentences which rules a package breaks.
func violations(p goPackage) []string {
	path, ours := strings.CutPrefix(p.ImportPath, module)
	if !ours {
		return nil
	}
	var wrong []string
	for _, imported := range p.Imports {
		target, ours := strings.CutPrefix(imported, module)
		if ours && !mayImport(path, target) {
			wrong = append(wrong, fmt.Sprintf("%s imports %s: imports point down, from programs to features and adapters to usage, provider and llmproxy", path, target))
		}
	}
	forbidden := []string{}
	if !within(path, mayUseAWS...) {
		forbidden = append(forbidden, "github.com/aws/")
	}
	if within(path, "internal/proxy", "functions") && !within(path, "functions/dispatcher") {
		forbidden = append(forbidden, "github.com/pkoukk/tiktoken-go", module+"internal/usage/estimate", module+"internal/usage/price")
	}
	if within(path, "internal/proxy", "functions") {
		forbidden = append(forbidden, "modernc.org/sqlite", "github.com/spf13/cobra", "github.com/openai/openai-go", "github.com/charmbracelet/", "charm.land/")
	}
	if !within(path, "functions/management") {
		forbidden = append(forbidden, cloudWatch)
	}
	for _, dep := range p.Deps {
		for _, prefix := range forbidden {
			if strings.HasPrefix(dep, prefix) {
				wrong = append(wrong, fmt.Sprintf("%s depends on %s: each binary holds only what it runs", path, dep))
			}
		}
	}
	return wrong
}

func mayImport(path, target string) bool {
	for _, programs := range []string{"local", "functions"} {
		if within(target, programs) {
			return within(path, programs)
		}
	}
	if within(path, "internal/llmproxy") {
		return within(target, "internal/llmproxy")
	}
	if target == awsHTTP { // how the SDK's clients send
		return within(path, mayUseAWS...)
	}
	if within(path, shared...) {
		return within(target, shared...)
	}
	if within(path, awsHTTP) {
		return false
	}
	for _, part := range featuresAndAdapters {
		if within(path, part) {
			return within(target, append([]string{part}, shared...)...)
		}
	}
	return true
}

// within reports whether path is one of the folders or below one.
func within(path string, folders ...string) bool {
	for _, folder := range folders {
		if path == folder || strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}

// listPackages asks the go command for packages, all of the module without arguments.
func listPackages(t *testing.T, args ...string) []goPackage {
	t.Helper()
	if args == nil {
		args = []string{"./..."}
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("go list: %s", failed.Stderr)
	}
	require.NoError(t, err)
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			require.NoError(t, err)
		}
		packages = append(packages, p)
	}
}
