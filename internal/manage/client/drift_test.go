package client_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheClientIsThatOfTheDocument runs the pinned generator anew. Building it the first time takes a while.
func TestTheClientIsThatOfTheDocument(t *testing.T) {
	dir := t.TempDir()
	config, err := os.ReadFile("oapi-codegen.yaml")
	require.NoError(t, err)
	fresh := filepath.Join(dir, "client.gen.go")
	file := filepath.Join(dir, "oapi-codegen.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(config), "client/client.gen.go", fresh, 1)), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../../../infra/tools/go.mod", "oapi-codegen", "-config", file, "openapi-3.0.yaml")
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	want, err := os.ReadFile(fresh)
	require.NoError(t, err)
	got, err := os.ReadFile("client.gen.go")
	require.NoError(t, err)
	if string(want) != string(got) { // the difference would be thousands of lines
		t.Error("client.gen.go is not what the document says: go generate ./internal/manage")
	}
}
