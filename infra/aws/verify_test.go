//go:build linux

package aws

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
)

// verify runs scripts/verify-deployed against the deployed stack. The emulator's function URL does not stream: in its place stands the same
// built function, told what the deployed one is told, in the host that plays Lambda's side.
func (s *stack) verify(bootstrap string) {
	s.t.Helper()
	aws := tool(s.t, "awscli", "aws")
	env := map[string]string{"AWS_ENDPOINT_URL": s.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
	for name, value := range s.variables("-Proxy-") {
		env[name] = value
	}
	host, err := lambdahost.New(lambdahost.Config{Bootstrap: bootstrap, Name: "proxy", Env: env, Processes: 4, Init: time.Minute})
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, host.Close()) }()
	door := httptest.NewServer(host.FunctionURL())
	defer door.Close()

	said, err := s.runVerify(aws, "BASE_URL="+door.URL+"/v1")
	require.NoError(s.t, err, "%s", said)
	require.Contains(s.t, said, "all of it holds")
	require.GreaterOrEqual(s.t, strings.Count(said, "\nok    "), 17, said)
	require.NotContains(s.t, said, "sk-", "neither a key nor a token is printed")
}

// TestEveryCheckOfTheScriptCanFail runs it where nothing that it asks for holds.
func TestEveryCheckOfTheScriptCanFail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, script := range map[string]string{
		// One answer has what any question looks for, all of it wrong.
		"aws": `cat <<'END'
{"Stacks": [{"Outputs": [{"OutputKey": "BaseUrl", "OutputValue": "https://nothing.example/v1"}, {"OutputKey": "ManageUrl", "OutputValue": "https://nothing.example"},
	{"OutputKey": "EventBucketName", "OutputValue": "bucket"}, {"OutputKey": "ManagementTokenSecret", "OutputValue": "secret"},
	{"OutputKey": "AdminUrl", "OutputValue": "https://nothing.example/"}, {"OutputKey": "AdminSecret", "OutputValue": "secret"}]}],
 "StackResourceDetail": {"PhysicalResourceId": "id"}, "SecretString": "{\"management_token\": \"fake\", \"user\": \"admin\", \"password\": \"fake\"}",
 "Role": {"Arn": "arn"}, "EvaluationResults": [{"EvalDecision": "unknown"}], "Table": {"TableArn": "arn"}, "Attributes": {"ApproximateNumberOfMessages": "7"},
 "State": "DISABLED", "Subscriptions": [{"SubscriptionArn": "PendingConfirmation"}], "Account": "000000000000", "Budget": {"BudgetType": "USAGE"},
 "events": [{"message": "REPORT RequestId: 1 Duration: 3.00 ms Init Duration: 90.10 ms"}, {"message": "REPORT RequestId: 2 Duration: 3.00 ms Init Duration: 1234.56 ms"}]}
END
`,
		// It makes a project and a token, and answers everything else with a status that is none.
		"curl": `for a in "$@"; do
	if [ "${last:-}" = --output ] || [ "${last:-}" = --dump-header ]; then : >"$a"; fi
	last=$a
done
case "$*" in
*starttransfer*) echo 1.0 1.0 ;;
*/dev/null*) echo 599 ;;
*) case "$*" in *@-*) cat >/dev/null ;; esac
	echo '{"project_id": "project", "id": "token", "token": "fake"}' ;;
esac
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+script), 0o700))
	}
	cmd := exec.CommandContext(t.Context(), "scripts/verify-deployed", "nothing")
	cmd.Dir = root
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "OPENAI_API_KEY=sk-fake-provider-key-1234", "PATIENCE=1"}
	said, err := cmd.CombinedOutput()
	require.Error(t, err, "%s", said)
	require.NotContains(t, string(said), "\nok", "nothing holds")
	for _, stream := range []string{"a stream", "a stream through the site's distribution"} {
		require.Contains(t, string(said), "FAIL  "+stream+" arrives as it is made")
		require.Contains(t, string(said), "FAIL  "+stream+" ends as the provider ends it")
	}
	script, err := os.ReadFile(filepath.Join(root, "scripts/verify-deployed"))
	require.NoError(t, err)
	for _, check := range regexp.MustCompile(`(?m)\bcheck "([^"$(]*)`).FindAllSubmatch(script, -1) {
		if what := strings.TrimSpace(string(check[1])); what != "with the provider's usage" { // asked of a record alone that was found
			require.Contains(t, string(said), "FAIL  "+what)
		}
	}
}

// runVerify runs the script.
func (s *stack) runVerify(aws string, more ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), deployPatience)
	defer cancel()
	api, _, _ := strings.Cut(strings.TrimPrefix(s.out["ManageUrl"], "https://"), ".")
	cmd := exec.CommandContext(ctx, "scripts/verify-deployed", "llm-proxy-test")
	cmd.Dir = root
	cmd.Env = append([]string{
		"PATH=" + filepath.Dir(aws) + ":" + os.Getenv("PATH"), "HOME=" + s.t.TempDir(), "OPENAI_API_KEY=sk-fake-provider-key-1234",
		"AWS_ENDPOINT_URL=" + s.url, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=us-east-1",
		"MANAGE_URL=http://" + api + ".execute-api.localhost:" + strings.TrimPrefix(s.host, "127.0.0.1:"),
	}, more...)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// variables are those of a deployed function, whose name has this in it.
func (s *stack) variables(part string) map[string]string {
	s.t.Helper()
	a, err := s.ask("GET", s.host, "/2015-03-31/functions/", "", "")
	require.NoError(s.t, err)
	for _, f := range gjson.Get(a.body, "Functions").Array() {
		if strings.Contains(f.Get("FunctionName").Str, part) {
			variables := map[string]string{}
			f.Get("Environment.Variables").ForEach(func(name, value gjson.Result) bool {
				variables[name.Str] = value.String()
				return true
			})
			return variables
		}
	}
	require.Fail(s.t, "there is no such function", "%s: %s", part, a.body)
	return nil
}
