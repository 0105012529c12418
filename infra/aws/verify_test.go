//go:build linux

package aws

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

	said, err = s.runVerify(aws, "BASE_URL="+door.URL+"/nothing", "PATIENCE=5")
	require.Error(s.t, err, "%s", said)
	require.Contains(s.t, said, "FAIL  a token reads a list: got 404, wanted 200", "where something does not hold, it says so")
}

// runVerify runs the script.
func (s *stack) runVerify(aws string, more ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
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
