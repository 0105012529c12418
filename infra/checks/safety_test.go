package checks

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	safetyRow    = regexp.MustCompile(`(?m)^\| ([HF]\d+) \|.*\|$`)
)

// TestWhatIsSaidToBeShownHasItsTests: each number stands once in the table of threats and faults, with tests that are there or the plain
// word that there is none.
func TestWhatIsSaidToBeShownHasItsTests(t *testing.T) {
	there := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		code, err := os.ReadFile(path)
		for _, match := range testFunction.FindAllSubmatch(code, -1) {
			there[string(match[1])] = true
		}
		return err
	}))
	page, err := os.ReadFile(filepath.Join(root, "docs", "safety-tests.md"))
	require.NoError(t, err)
	var got, want []string
	for _, row := range safetyRow.FindAllStringSubmatch(string(page), -1) {
		got = append(got, row[1])
		tests := namedTest.FindAllStringSubmatch(row[0], -1)
		if len(tests) == 0 {
			require.Contains(t, row[0], "not shown", "%s names no test", row[1])
		}
		for _, test := range tests {
			require.True(t, there[test[1]], "%s names %s, which is not there", row[1], test[1])
		}
	}
	for letter, last := range map[string]int{"H": 28, "F": 37} {
		for n := range last {
			want = append(want, fmt.Sprintf("%s%d", letter, n+1))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(t, want, got)
}
