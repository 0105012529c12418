//go:build linux

package aws

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
)

// followNextSteps runs what the output NextSteps tells a new user to paste, and returns the token that comes of it. What stands in for
// AWS has management under a name of its own, so the program finds it by a proxy of the test.
func (s *stack) followNextSteps() (token string) {
	s.t.Helper()
	steps := s.out["NextSteps"]
	require.Len(s.t, strings.Split(steps, "\n"), 5, "a command on each line: %s", steps)
	dir := s.t.TempDir()
	program := filepath.Join(dir, "bin", "llm-proxy")
	build := exec.CommandContext(s.t.Context(), "go", "build", "-o", program, "./local/llm-proxy")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
	require.NoError(s.t, os.WriteFile(filepath.Join(dir, "key.txt"), []byte("sk-fake-provider-key-1234\n"), 0o600))

	api, _, _ := strings.Cut(strings.TrimPrefix(s.out["ManageUrl"], "https://"), ".")
	target, err := url.Parse(s.url)
	require.NoError(s.t, err)
	management := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = api + ".execute-api.localhost:" + target.Port()
	}})
	defer management.Close()

	script := `set -eu
llm-proxy() { # at the address that was exported, which leads elsewhere here
	[ "$LLM_PROXY_MANAGE_API_BASE_URL" = "$MANAGE_URL" ]
	LLM_PROXY_MANAGE_API_BASE_URL=$BEHIND command llm-proxy "$@"
}
` + steps + `
printf '\n%s\n%s' "$OPENAI_BASE_URL" "$OPENAI_API_KEY"
`
	cmd := exec.CommandContext(s.t.Context(), "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + filepath.Dir(program) + ":" + filepath.Dir(tool(s.t, "awscli", "aws")) + ":" + os.Getenv("PATH"), "HOME=" + dir,
		"AWS_ENDPOINT_URL=" + s.url, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "MANAGE_URL=" + s.out["ManageUrl"], "BEHIND=" + management.URL,
	}
	said, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s", said)
	lines := strings.Split(string(said), "\n")
	require.Equal(s.t, s.out["BaseUrl"], lines[len(lines)-2], "%s", said)
	return lines[len(lines)-1]
}
