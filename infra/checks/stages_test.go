package checks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAStageTellsWhatItSkippedAndWhatFailed runs what the stages of make test run on packages of its own. Of several packages at once go test
// says nothing of those that were skipped.
func TestAStageTellsWhatItSkippedAndWhatFailed(t *testing.T) {
	script, err := filepath.Abs(filepath.Join(root, ".ci/test.sh"))
	require.NoError(t, err)
	const head = "package p\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Exit\n\n"
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module fake\n\ngo 1.26\n",
		"fine/f_test.go":   head + `func TestFine(t *testing.T) { t.Log("nobody wants to know") }`,
		"skips/s_test.go":  head + `func TestOne(t *testing.T) { t.Run("part", func(t *testing.T) { t.Skip("SKIPPED: there is no engine") }) }`,
		"fails/f_test.go":  head + `func TestTwo(t *testing.T) { t.Error("seven is not eight") }`,
		"leaks/l_test.go":  head + "func TestThree(*testing.T) {}\n\nfunc TestMain(m *testing.M) { m.Run(); os.Stdout.WriteString(\"left behind\\n\"); os.Exit(1) }",
		"broken/b_test.go": head + `func TestFour(t *testing.T) { undefinedFunction() }`,
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	}
	for packages, want := range map[string]struct {
		fails bool
		says  []string
	}{
		"fine skips":  {false, []string{"=== SKIP: skips TestOne/part", "SKIPPED: there is no engine"}},
		"fine fails":  {true, []string{"=== FAIL: fails TestTwo", "seven is not eight"}},
		"fine leaks":  {true, []string{"left behind"}},
		"fine broken": {true, []string{"undefined: undefinedFunction"}},
	} {
		cmd := exec.CommandContext(t.Context(), script)
		for _, name := range strings.Fields(packages) {
			cmd.Args = append(cmd.Args, "./"+name)
		}
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if strings.HasPrefix(string(out), "missing: ") {
			t.Skipf("SKIPPED: %v: %s", err, out)
		}
		require.Equal(t, want.fails, err != nil, "%s: %v\n%s", packages, err, out)
		for _, says := range want.says {
			require.Contains(t, string(out), says, packages)
		}
		require.NotContains(t, string(out), "nobody wants to know", packages)
	}
}

// TestEachStageRunsItsTestsThatWay: go test alone is for what prints everything anyway.
func TestEachStageRunsItsTestsThatWay(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	stages := 0
	for line := range strings.Lines(string(makefile)) {
		stages += strings.Count(line, "$(TEST) ")
		if strings.HasPrefix(line, "\t") && strings.Contains(line, "go test ") {
			require.Regexp(t, ` -bench | -v `, line, "$(TEST) tells what was skipped, go test does not")
		}
	}
	require.GreaterOrEqual(t, stages, 6)
}
