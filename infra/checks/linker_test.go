package checks

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// programs are those that are shipped and whose start somebody waits for.
var programs = []string{"./local/llm-proxy", "./functions/proxy", "./functions/management", "./functions/admin"}

// TestNothingLooksForMethodsByName: where something may (text/template does), the linker keeps each exported method of each type, all operations
// of the clients of AWS among them. It made the program a third larger, and its start and its memory with it.
func TestNothingLooksForMethodsByName(t *testing.T) {
	for _, program := range programs {
		require.Empty(t, looksForMethods(t, program), "%s: remove what leads there, or do it without", program)
	}
}

// TestALookForMethodsIsFound: the check above can fail.
func TestALookForMethodsIsFound(t *testing.T) {
	require.NotEmpty(t, looksForMethods(t, "./infra/checks/testdata/looksformethods"))
}

// looksForMethods are the functions of a program that look for methods by a name that is not known when it is linked.
func looksForMethods(t *testing.T, program string) []string {
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "-tags=lambda.norpc", "-ldflags=-dumpdep", program)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	seen, lines := map[string]bool{}, 0
	var functions []string
	for scanner := bufio.NewScanner(out); scanner.Scan(); lines++ {
		from, _, _ := strings.Cut(scanner.Text(), " -> ") // a -> b <ReflectMethod>
		if name, is := strings.CutSuffix(from, " <ReflectMethod>"); is && !seen[name] {
			seen[name] = true
			functions = append(functions, name)
		}
	}
	require.NoError(t, cmd.Wait())
	require.Greater(t, lines, 1000, "the linker has told what needs what")
	return functions
}
