package manage_test

import (
	"flag"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/manage"
)

//go:generate go test -run ^TestTheDocumentIsCommitted$ . -update
//go:generate go tool -modfile=../../infra/tools/go.mod oapi-codegen -config client/oapi-codegen.yaml client/openapi-3.0.yaml

var update = flag.Bool("update", false, "write the committed documents anew")

func TestTheDocumentIsCommitted(t *testing.T) {
	documents, err := manage.Documents()
	require.NoError(t, err)
	for file, want := range documents {
		if *update {
			require.NoError(t, os.WriteFile(file, want, 0o600))
		}
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s is not what the code says: go generate ./internal/manage", file)
	}
}

func TestTheDocumentIsServed(t *testing.T) {
	a := newAPI(t)
	got := a.want(t, http.StatusOK, "GET", "/manage/openapi.json", nil)
	require.Equal(t, "3.1.0", got.object(t)["openapi"])
	require.Contains(t, got.object(t)["paths"], "/manage/tokens/{id}/rotate")
	require.NotContains(t, got.body, "$schema")
}
