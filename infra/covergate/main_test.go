package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheGate(t *testing.T) {
	const well = "x/a/a.go:1.1,9.1 95 1\nx/a/a.go:10.1,11.1 5 0\n"
	for name, c := range map[string]struct {
		profile string
		wants   string // part of the error; empty passes
	}{
		"enough everywhere passes": {well, ""},
		"a package below its floor fails though the sum is well": {
			strings.Replace(well, " 95 1", " 995 1", 1) + "x/b/b.go:1.1,2.1 7 1\nx/b/b.go:3.1,4.1 3 0\n", "too little covered: x/b",
		},
		"a sum below the floor fails though each package is well":   {"x/a/a.go:1.1,9.1 85 1\nx/a/a.go:10.1,11.1 15 0\n", "all together (85.0 %, wanted 90 %)"},
		"code run by one of two test binaries counts as run":        {well + "x/a/a.go:10.1,11.1 5 3\nx/a/a.go:1.1,9.1 95 0\n", ""},
		"generated code does not count":                             {well + "x/a/api.gen.go:1.1,9.1 900 0\n", ""},
		"a profile of generated code alone is no proof of anything": {"x/a/api.gen.go:1.1,9.1 900 1\n", "holds no code"},
		"an empty profile is no proof of anything":                  {"", "holds no code"},
		"what is no profile is an error":                            {"nonsense\n", "read profile"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "coverage.out")
			require.NoError(t, os.WriteFile(file, []byte("mode: atomic\n"+c.profile), 0o600))
			err := run([]string{"-profile", file, "-generated", "*.gen.go"}, &strings.Builder{})
			if c.wants == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.wants)
		})
	}
}

func TestTheTableNamesEachPackage(t *testing.T) {
	var out strings.Builder
	err := judge(map[string]statements{"x/a": {all: 4, ran: 4}, "x/b": {all: 4, ran: 1}, "x/nothing": {}}, 50, 40, &out)
	require.EqualError(t, err, "too little covered: x/b")
	require.Equal(t, " 100.0 %      4 of     4  x/a\n  25.0 %      1 of     4  x/b  below 40\n"+
		" 100.0 %      0 of     0  x/nothing\n  62.5 %      5 of     8  all\n", out.String())
}

func TestBadArgumentsAreErrors(t *testing.T) {
	require.ErrorContains(t, run([]string{"-total", "many"}, &strings.Builder{}), "invalid value")
	file := filepath.Join(t.TempDir(), "coverage.out")
	require.NoError(t, os.WriteFile(file, []byte("mode: atomic\nx/a/a.go:1.1,2.1 1 1\n"), 0o600))
	require.ErrorContains(t, run([]string{"-profile", file, "-generated", "["}, &strings.Builder{}), `pattern "["`)
}
