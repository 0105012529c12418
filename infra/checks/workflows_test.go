package checks

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// root is the repository, seen from this package's folder.
const root = "../.."

// pinned is an action by its full commit, with the version that a reader knows behind it.
var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} +# v\d+(\.\d+)*$`)

type workflow struct {
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Permissions    map[string]string `yaml:"permissions"`
		TimeoutMinutes int               `yaml:"timeout-minutes"`
	} `yaml:"jobs"`
}

func TestActionsArePinnedByCommit(t *testing.T) {
	for name, text := range workflows(t) {
		uses := usesOf(text)
		require.NotEmpty(t, uses, "%s uses no action: the test reads it wrongly", name)
		for _, action := range uses {
			require.Regexp(t, pinned, action, "%s: an action is named by its full commit, with its version as a comment", name)
		}
	}
}

func TestWorkflowsStartWithoutPermissions(t *testing.T) {
	for name, text := range workflows(t) {
		var w workflow
		require.NoError(t, yaml.Unmarshal([]byte(text), &w), name)
		require.NotNil(t, w.Permissions, "%s: permissions: {} stands at the top", name)
		require.Empty(t, w.Permissions, "%s: permissions: {} stands at the top", name)
		require.NotEmpty(t, w.Jobs, name)
		for job, j := range w.Jobs {
			require.NotNil(t, j.Permissions, "%s: job %s says what it may", name, job)
			require.Positive(t, j.TimeoutMinutes, "%s: job %s ends by itself", name, job)
		}
	}
}

func TestAReleaseComesWithItsBillOfMaterials(t *testing.T) {
	release := workflows(t)["release.yml"]
	require.Contains(t, release, "run: make release\n")
	require.Contains(t, release, "actions/attest-build-provenance@")
	require.Contains(t, release, "gh release create")
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	_, target, found := strings.Cut(string(makefile), "\nrelease: ")
	require.True(t, found)
	target, _, _ = strings.Cut(target, "\n\n")
	require.Contains(t, target, "go run ./infra/sbom -binary $$program -lock internal/admin/ui/package-lock.json")
	require.Contains(t, target, "SHA256SUMS")
}

func TestThePatternOfPinnedActions(t *testing.T) {
	commit := strings.Repeat("0a", 20)
	for action, want := range map[string]bool{
		"actions/checkout@" + commit + " # v6.0.2":     true,
		"actions/cache/save@" + commit + " # v5":       true,
		"actions/checkout@v6":                          false,
		"actions/checkout@main # v6":                   false,
		"actions/checkout@" + commit:                   false,
		"actions/checkout@" + commit[:39] + " # v6":    false,
		"actions/checkout@" + commit + "0 # v6":        false,
		"actions/checkout@" + commit + " # the newest": false,
	} {
		require.Equal(t, want, pinned.MatchString(action), action)
	}
}

func TestUsesAreFoundWhereverTheyStand(t *testing.T) {
	require.Equal(t, []string{"a/b@v1", "c/d@v2 # x", "e/f@v3"}, usesOf("steps:\n  - uses: a/b@v1\n  - name: x\n    uses:   c/d@v2 # x\n  - {uses: e/f@v3}\n"))
}

var usesLine = regexp.MustCompile(`(?m)(?:^|[\s{-])["']?uses["']?:\s*([^}\n]*[^}\s])`)

func usesOf(text string) []string {
	var uses []string
	for _, match := range usesLine.FindAllStringSubmatch(text, -1) {
		uses = append(uses, match[1])
	}
	return uses
}

func workflows(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.yml", "*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", pattern))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			texts[filepath.Base(file)] = string(text)
		}
	}
	require.NotEmpty(t, texts, "there are workflows")
	return texts
}
