package aws

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the repository, seen from this package's folder.
const root = "../.."

// tool is a program that infra/aws/tools/install.sh has installed. Without it the test is skipped.
func tool(t *testing.T, environment, name string) string {
	t.Helper()
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		require.NoError(t, err)
		cache = filepath.Join(home, ".cache")
	}
	folder := filepath.Join(cache, "llm-proxy", "aws", environment)
	if _, err := os.Stat(filepath.Join(folder, ".stamp")); err != nil {
		t.Skipf("SKIPPED: %s is not installed; make aws installs it and runs this test", environment)
	}
	return filepath.Join(folder, "bin", name)
}

// offline is an environment in which no tool looks for an account, and none reports its use.
func offline() []string {
	return append(os.Environ(), "AWS_DEFAULT_REGION=us-east-1", "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "SAM_CLI_TELEMETRY=0", "LOG_LEVEL=WARNING")
}

// run runs a tool and fails the test with what it says if it does not succeed.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = root, offline()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %q:\n%s", filepath.Base(program), args, out)
	return string(out)
}

// translated returns what SAM makes of templates, as JSON.
func translated(t *testing.T, templates ...string) []string {
	t.Helper()
	python := tool(t, "sam", "python")
	dir := t.TempDir()
	args := []string{"infra/aws/tools/translate.py"}
	for i, template := range templates {
		path := filepath.Join(dir, fmt.Sprint(i, ".yaml"))
		require.NoError(t, os.WriteFile(path, []byte(template), 0o600))
		args = append(args, path)
	}
	run(t, python, args...)
	var all []string
	for _, path := range args[1:] {
		text, err := os.ReadFile(path + ".json")
		require.NoError(t, err)
		all = append(all, string(text))
	}
	return all
}

func readTemplate(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	require.NoError(t, err)
	return string(text)
}
